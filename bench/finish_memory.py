"""Host memory of finishing by the length of the video: ``python -m bench.finish_memory [SECONDS[@RATE] …]``.

Each length runs in a process of its own, at 1920×1080 and RATE frames a second (25), with pulses of brightness that are
removed. Prints the most memory that the process held, what its imports took, and frames a second.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np

from bench.host_peak import peak_bytes
from sonic_guard.media.audio import Sound
from sonic_guard.media.video_file import join
from sonic_guard.media.video_writer import Encoding, VideoWriter

SIZE = (1920, 1080)
ENCODED_S = 40
FAST = Encoding(preset="ultrafast", crf=23)


def footage(path: Path, seconds: float, rate: Fraction) -> None:
    """A pattern that drifts, two frames of each 25 brighter, with a tone. After ``ENCODED_S`` it comes again."""
    tone = np.sin(np.arange(int(16_000 * seconds)) / 20).astype(np.float32)[None] / 8
    once = path.with_name("once.mp4")
    with VideoWriter(once, rate, FAST) as video:
        for number in range(int(rate * min(seconds, ENCODED_S))):
            video.write(pattern(number)[None])
    join([once] * ceil(seconds / ENCODED_S), path, FAST, rate, Sound(tone, 16_000))


def pattern(number: int) -> np.ndarray:
    """Frame `number`: uint8 [H, W, 3]."""
    width, height = SIZE
    columns = np.arange(number % 400, number % 400 + width)
    gain = 1.05 if number % 25 in (12, 13) else 1.0
    grey = (120 + 60 * np.sin(columns / 37)[None] * np.sin(np.arange(height) / 29)[:, None]) * gain
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def measure(path: Path, preset: str) -> None:
    """In the child: finish the video, and print MiB after the imports, MiB at most, and frames a second."""
    from sonic_guard.finishing.finish_all import FinishAllRequest, finish_all
    from sonic_guard.finishing.finish_presets import PRESETS, FinishPreset

    before = peak_bytes() / 2**20
    began_s = time.monotonic()
    request = FinishAllRequest(path, PRESETS[FinishPreset(preset)], FAST)
    done = finish_all(request, path.with_name("out.mp4"), path.parent / "work")
    took_s = time.monotonic() - began_s
    print(f"{before:.0f} {peak_bytes() / 2**20:.0f} {done.finished.frames / took_s:.1f} {done.finished.changed}")


def main(preset: str = "fast") -> None:
    """Print the table."""
    parser = argparse.ArgumentParser("python -m bench.finish_memory", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("lengths", nargs="*", default=["5", "20", "80"], metavar="SECONDS[@RATE]")
    lengths = parser.parse_args().lengths
    print(f"| seconds of 1080p, {preset} | MiB after the imports | MiB at most | frames/s | frames changed |")
    print("|---:|---:|---:|---:|---:|")
    for length in lengths:
        seconds, _, rate = length.partition("@")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "in.mp4"
            footage(path, float(seconds), Fraction(rate or 25))
            command = [sys.executable, "-m", "bench.finish_memory", "child", str(path), preset]
            row = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout.split()
        print(f"| {length} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        measure(Path(sys.argv[2]), sys.argv[3])
    else:
        main()
