"""Where a new shot begins, so that no filter mixes frames of two scenes.

Two frames belong to one shot if, brought midway by optical flow, they have the same structure. A pan, a person who
crosses, a flash or a fade keep it; another scene has none of it. Measured on three real clips: neighbours of one shot
0.74 … 1.0, fast pans included; cuts at most 0.33.

Imports OpenCV: import this module lazily.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from ..media.picture import Rgb
from .frame_pairs import Matcher, Midway, Reduced, luma, reduced

BEFORE = 1
"""Frames before a frame on which depends whether it starts a shot."""
SAME_SHOT = 0.5
"""Least similarity of neighbouring frames of one shot."""
SAME_PLACE = 0.7
"""Similarity from which frames belong to one shot as they are: flow, which takes most of the time, adds to it."""
DETAIL = 17
"""Side in reduced pixels of the mean that is subtracted: what varies over more is light, not structure."""
NOISE = 2.0
"""Structure in levels (rms) that says nothing: noise and compression. Two plain frames are similar."""
OTHER_LIGHT = 40.0
"""Levels by which the plain colours of two frames without structure differ, if there is a cut between them."""


def with_cuts(frames: Iterable[Rgb]) -> Iterator[tuple[Rgb, bool]]:
    """Each frame, the same object, and whether a new shot begins with it, which is so for the first one.

    A change of size begins a new shot. The answer depends on the frame and the one before it (`BEFORE`).

    Args:
        frames: uint8 [H, W, 3], RGB.
    """
    matcher = Matcher()
    last: Reduced | None = None
    for frame in frames:
        this = reduced(frame)
        yield frame, last is None or last.size != this.size or _is_cut(matcher, last, this)
        last = this


def _is_cut(matcher: Matcher, first: Reduced, second: Reduced) -> bool:
    is_alike = similarity(Midway(first.rgb, second.rgb)) >= SAME_PLACE
    return not is_alike and is_cut(matcher.midway(first, second))


def is_cut(pair: Midway) -> bool:
    """Whether two neighbouring frames, brought midway, show different scenes."""
    return similarity(pair) < SAME_SHOT


def similarity(pair: Midway) -> float:
    """How far two frames have the same structure: 1 the same, 0 nothing in common, negative: inverted.

    The correlation of their luma without its local mean, less if their contrasts differ. Where neither has structure
    it is 1 or, if their colours are far apart, 0.
    """
    first, second = _structure(pair.first), _structure(pair.second)
    noise = NOISE**2 * first.size
    both = float((first * first).sum() + (second * second).sum())
    if both < noise and np.abs(pair.first.mean((0, 1)) - pair.second.mean((0, 1))).max() > OTHER_LIGHT:
        return 0.0
    return (2 * float((first * second).sum()) + noise) / (both + noise)


def _structure(rgb: np.ndarray) -> np.ndarray:
    grey = luma(rgb)
    return grey - cv2.blur(grey, (DETAIL, DETAIL))
