"""Time of `probe` for a one-hour MP3, compared with ``ffprobe -count_packets`` in the same run.

Run as ``python -m bench.audio_probe [rounds]``. Both run alternately, so that other load on the machine affects both;
the ratio is that of the medians. The target is at most 1.5.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from sonic_guard.media.audio_file import probe

RATE = 44_100
HOUR_S = 3600
COUNT_PACKETS = ("ffprobe", "-v", "error", "-count_packets", "-select_streams", "a:0")
COUNT_PACKETS += ("-show_entries", "stream=nb_read_packets")


def write_mp3(path: Path, seconds: int, codec_options: dict[str, str], options: dict[str, str]) -> None:
    """Encode `seconds` of stereo sound: a tone of varying loudness in noise."""
    time_s = np.arange(RATE) / RATE
    noise = np.random.default_rng(0).normal(0, 0.1, RATE)
    second = ((0.3 * np.sin(2 * np.pi * 220 * time_s) + noise) * np.sin(np.pi * time_s) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.repeat(second, 2)[None], format="s16", layout="stereo")
    frame.sample_rate = RATE
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libmp3lame", rate=RATE, options=codec_options, layout="stereo")
        for at in range(seconds):
            frame.pts = at * RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def cbr_hour(folder: Path) -> Path:
    path = folder / "cbr, gapless tag.mp3"
    write_mp3(path, HOUR_S, {"b": "128000"}, {})
    return path


def vbr_hour(folder: Path) -> Path:
    minute, path = folder / "minute.mp3", folder / "vbr, no header.mp3"
    write_mp3(minute, 60, {"global_quality": "472", "flags": "+qscale"}, {"write_xing": "0", "id3v2_version": "0"})
    path.write_bytes(minute.read_bytes() * (HOUR_S // 60))
    return path


def clocked(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.audio_probe", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("rounds", nargs="?", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        for path in (cbr_hour(Path(folder)), vbr_hour(Path(folder))):
            command = [*COUNT_PACKETS, path]
            probe_times, ffprobe_times = [], []
            for _ in range(rounds):
                probe_times.append(clocked(lambda: probe(path)))  # noqa: B023 - called at once
                ffprobe_times.append(clocked(lambda: subprocess.run(command, check=True, capture_output=True)))  # noqa: B023
            own_s, ffprobe_s = statistics.median(probe_times), statistics.median(ffprobe_times)
            print(f"{path.name}: {probe(path).seconds} s, {path.stat().st_size / 1e6:.1f} MB")
            print(f"  probe {own_s * 1000:.0f} ms, ffprobe {ffprobe_s * 1000:.0f} ms, ratio {own_s / ffprobe_s:.2f}")


if __name__ == "__main__":
    main()
