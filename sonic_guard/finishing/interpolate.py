"""Twice the frame rate without a network: between two frames, one that optical flow brings halfway from both.

The flow is DIS (Kroeger et al., ECCV 2016), from each frame to the other. Either gives a candidate for the motion
through a pixel of the frame between: where one frame hides what the other shows, at most one of them is right. The one
on which both frames agree better counts more. Where neither agrees much better than the two frames as they are, such as
where both hide something or the motion is too fast, or where the way there and the way back are different ways, the
result is their mean: it looks as a blend does, and no worse.

Imports OpenCV: import this module lazily.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np

from .cuts import with_cuts
from .frames import Frame

LONGEST_SIDE = 960
"""Most pixels of a side of the pictures between which motion is sought: half the frame or less."""
SHORTEST_SIDE = 24
"""Fewer pixels of a side have no motion that DIS could find."""
AGREEMENT_SIGMA = 1.5
"""Pixels over which the agreement of two pictures is averaged."""
TRUST_SIGMA = 3.0
"""Pixels over which motion and blend are compared: more, so that a chance agreement of some pixels does not win."""
NOISE = 1.0
"""Squared levels by which two pictures of the same thing differ."""
DOUBTED, TRUSTED = 0.6, 0.9
"""Shares of the difference between two frames that motion must explain: up to the one it is not used, from the other on
it is used alone. Chance matches of unrelated pictures explain a third, noise of nearly still ones a half."""
APART, APART_SHARE = 0.5, 0.5
"""Pixels, and share of the motion, by which the two candidates may differ: at their root sum of squares the motion has
half of its weight."""
CONSISTENCY_SIGMA = 2.0
"""Pixels over which that weight is averaged: a seam of the flow alone is not seen."""
PATCH_STRIDE = 5
DESCENT = 12
VARIATIONAL = 2
"""Of DIS, with patches of 8 pixels: half the time of its preset "fast" at this resolution, and as near."""


@dataclass(frozen=True)
class Interpolate:
    """A filter of two frames for each: the frame, the same object, and one halfway to the next.

    No frame is made across a cut, and none after the last: the frame before stays for both times. So N frames become
    2 N and the length of the video stays.
    """

    before: int = 0
    after: int = 1
    multiple: int = 2

    def size(self, width: int, height: int) -> tuple[int, int]:
        """As it was."""
        return width, height

    def run(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """2 N of N frames; holds two."""
        halfway = Halfway()
        last: Frame | None = None
        for frame, begins_shot in with_cuts(frames):
            if last is not None:
                yield last
                yield last if begins_shot else halfway.between(last, frame)
            last = frame
        if last is not None:
            yield last
            yield last


class Halfway:
    """Makes the frame between two. Keeps the flow's buffers; not for several threads at once."""

    def __init__(self) -> None:
        self._dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._dis.setFinestScale(0)  # of pictures that are reduced already
        self._dis.setPatchStride(PATCH_STRIDE)
        self._dis.setGradientDescentIterations(DESCENT)
        self._dis.setVariationalRefinementIterations(VARIATIONAL)

    def between(self, first: Frame, second: Frame) -> Frame:
        """The frame halfway in time between two of the same size, uint8 [H, W, 3]."""
        height, width = first.shape[:2]
        reduced_size = _reduced_size(width, height)
        blend = cv2.addWeighted(first, 0.5, second, 0.5, 0)
        if min(reduced_size) < SHORTEST_SIDE:
            return blend
        motion = self._motion(_luma(first, reduced_size), _luma(second, reduced_size))
        per_pixel = np.divide((width, height), reduced_size, dtype=np.float32)
        half = _resized(motion.velocity, (width, height)) * (per_pixel / 2)
        # Cubic: linear interpolation would blur what moves by a fraction of a pixel, which costs half of the gain.
        moved = cv2.addWeighted(
            _moved(first, -half, cv2.INTER_CUBIC), 0.5, _moved(second, half, cv2.INTER_CUBIC), 0.5, 0
        )
        trust = _resized(motion.trust, (width, height))
        return cv2.blendLinear(moved, blend, trust, 1 - trust)

    def _motion(self, first: np.ndarray, second: np.ndarray) -> "_Motion":
        """What moves through each pixel of the frame between two pictures, uint8 [H, W]."""
        forth, back = (self._dis.calc(*pair, None) for pair in ((first, second), (second, first)))
        # A flow belongs to the pixels of its own picture: half of it leads there from a pixel of the frame between.
        candidates = _moved(forth, -forth / 2), -_moved(back, -back / 2)
        errors = [_difference(_moved(first, -each / 2), _moved(second, each / 2)) for each in candidates]
        odds = ((errors[1] + NOISE / 2) / (errors[0] + NOISE / 2)) ** 2
        share = (odds / (1 + odds))[..., None]
        velocity = candidates[0] * share + candidates[1] * (1 - share)
        as_they_are = _difference(first, second, TRUST_SIGMA)
        left = cv2.GaussianBlur(np.minimum(*errors), (0, 0), TRUST_SIGMA)
        explained = (as_they_are - left) / (as_they_are + NOISE)
        trust = np.clip((explained - DOUBTED) / (TRUSTED - DOUBTED), 0, 1) * _consistency(candidates, velocity)
        return _Motion(velocity, trust)


class _Motion(NamedTuple):
    """Of each pixel of the frame between, float32."""

    velocity: np.ndarray
    """[H, W, 2]: x and y in pixels from the first frame to the second."""
    trust: np.ndarray
    """[H, W]: weight of the moved frames against the blend."""


def _consistency(candidates: tuple[np.ndarray, np.ndarray], velocity: np.ndarray) -> np.ndarray:
    """How far the flow there and the flow back are one motion: 1 the same, 0 different, float32 [H, W]."""
    apart, allowed = _squared(candidates[0] - candidates[1]), APART**2 + APART_SHARE**2 * _squared(velocity)
    return cv2.GaussianBlur(allowed / (allowed + apart), (0, 0), CONSISTENCY_SIGMA)


def _squared(vectors: np.ndarray) -> np.ndarray:
    """Squared lengths of [H, W, 2]: [H, W]."""
    x, y = cv2.split(vectors)
    return x * x + y * y


def _reduced_size(width: int, height: int) -> tuple[int, int]:
    """Half the size, or less where that is more than `LONGEST_SIDE`."""
    steps = 1
    while max(width, height) >> steps > LONGEST_SIDE:
        steps += 1
    return width >> steps, height >> steps


def _luma(frame: Frame, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)


def _moved(picture: np.ndarray, offset: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    """`picture` as seen `offset` pixels away from each pixel, x and y, float32 [H, W, 2]."""
    height, width = picture.shape[:2]
    x, y = cv2.split(_pixels(width, height) + offset)  # OpenCV 5.0.0 reads beyond an empty second map
    return cv2.remap(picture, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=4)
def _pixels(width: int, height: int) -> np.ndarray:
    """The place of each pixel, x and y, float32 [H, W, 2]."""
    return np.dstack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))


def _difference(first: np.ndarray, second: np.ndarray, sigma: float = AGREEMENT_SIGMA) -> np.ndarray:
    """Mean squared difference around each pixel."""
    apart = cv2.absdiff(first, second).astype(np.float32)
    return cv2.GaussianBlur(apart * apart, (0, 0), sigma)
