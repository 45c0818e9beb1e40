"""Peak host memory and time of writing a video, by its length: the peak must not grow.

Run as ``python -m bench.long [format …]``. Each length is written by a process of its own: first its frames, 14 at a
time as Sonic's decoder gives them, then its pictures are joined with the sound, as the end of every long video is. The
sound is the caller's and as long as the video; its bytes are taken off. The promise: a peak within 5 % of that of 10 s.
"""

import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

from sonic_guard.media.audio import Sound
from sonic_guard.media.video import Encoding, VideoWriter
from sonic_guard.media.videofile import join, verify

LENGTHS_S = (10, 60, 600)
SIDE, GROUP, FPS, RATE = 512, 14, 25, 16_000


def peak_bytes() -> int:
    """The most memory this process has held; on Linux since it began, not since what it was forked from did."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def picture() -> np.ndarray:
    """A soft picture with some grain, wider than the frames: float32 [3, SIDE, 2 * SIDE]."""
    y, x = np.mgrid[0:SIDE, 0 : 2 * SIDE] / SIDE
    soft = [0.5 + 0.4 * np.sin(2 * np.pi * (n * x + y)) * np.cos(2 * np.pi * n * y) for n in (1, 2, 3)]
    return (np.array(soft) + np.random.default_rng(0).normal(0, 0.02, (3, SIDE, 2 * SIDE))).astype(np.float32)


def write(seconds: int, kind: str, folder: Path) -> None:
    """Write and join a video of `seconds`; print the peak in bytes without the sound's, and the seconds both took."""
    encoding, frames, ground = Encoding(kind), seconds * FPS, picture()
    piece, target = folder / f"piece{encoding.kind.suffix}", folder / "video"
    sound = Sound(np.random.default_rng(0).normal(0, 0.1, (1, seconds * RATE)).astype(np.float32), RATE)
    begun = time.perf_counter()
    with VideoWriter(piece, Fraction(FPS), encoding) as video:
        for first in range(0, frames, GROUP):
            numbers = range(first, min(first + GROUP, frames))
            video.write(np.stack([ground[..., at % SIDE : at % SIDE + SIDE] for at in numbers]))
    written = time.perf_counter()
    join([piece], target, encoding, Fraction(FPS), sound)
    joined = time.perf_counter()
    assert verify(target).frames == frames  # noqa: S101
    print(peak_bytes() - sound.waveform.nbytes, written - begun, joined - written)


def main() -> None:
    for kind in sys.argv[1:] or ["h264"]:
        peaks = []
        for seconds in LENGTHS_S:
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "bench.long", str(seconds), kind, folder]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            peaks.append(int(said[0]))
            wrote_s, joined_s = map(float, said[1:])
            pace = seconds * FPS / wrote_s
            print(
                f"{kind} {seconds:4d} s: peak {peaks[-1] / 2**20:.0f} MiB ({peaks[-1] / peaks[0]:.3f} of 10 s), "
                f"{wrote_s:.1f} s ({pace:.0f} frames a second), joined in {joined_s:.1f} s"
            )


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1].isdigit():
        write(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    else:
        main()
