"""Takes jitter out of a video: small shakes of the whole picture, and texture that shimmers from frame to frame.

Each point is followed into the frames around it by optical flow. Its way is smoothed by fitting a parabola (Savitzky
and Golay 1964), which leaves real motion and its acceleration alone, and the frame is warped so that the point lies on
the smoothed way. Nothing is averaged over frames: each frame stays as sharp as a warp by less than a pixel leaves it,
and nothing can leave a ghost. A point that flow loses (`motion`), that moves fast, or whose way would change by more
than jitter does is left where it is. Mouth and eyes follow what surrounds them, as a whole: lips keep their own motion.

Imports OpenCV: import this module lazily.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from numbers import Real
from typing import NamedTuple

import cv2
import numpy as np

from ..errors import FinishError, brief
from ..media.picture import Rgb, size_of
from .cuts import with_cuts
from .face_track import Landmarks, track
from .frames import Frame
from .motion import SMALLEST_SIDE, MotionMeter, Picture, Step, Way, at, onward, picture_for_flow, positions, squared
from .sliding import Window, windows

REACH = 8
"""Frames before and after one over which its points are followed: of white jitter 13 % stays, with 6 frames 18 %."""
LARGEST = 3.0
"""Pixels of a picture of 512 by which jitter moves a point; of a larger correction less and less is done."""
FAST = 8.0
"""Speed in pixels of a picture of 512 a frame at which half of the correction is left."""
EYE = (0.3, 0.2)
MOUTH = (0.65, 0.55)
"""Half width and height of an eye and of the mouth with the skin that moves with it, in distances from the eyes to the
mouth."""
MOUTH_LOWER = 0.12
"""By which that lies below the corners of the mouth."""
SURROUNDINGS = 1.5
"""Of what surrounds a feature, relative to the feature."""
STILL = 0.02
"""Pixels; a frame that no point of which would move further comes out as it is."""


@dataclass(frozen=True)
class Jitter:
    """The filter. `strength` 0 … 1: the share of the jitter that is taken out; at 0 every frame is left as it is."""

    strength: float = 1.0

    before: int = field(default=REACH, init=False)
    after: int = field(default=REACH, init=False)
    multiple: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.strength, bool) or not isinstance(self.strength, Real) or not 0 <= self.strength <= 1:
            raise FinishError(f"strength: expected a number from 0 to 1, got {brief(self.strength)}.")

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Of the output: that of the input."""
        return width, height

    def run(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames, uint8 [H, W, 3], with less jitter. Holds `before` + `after` + 1 frames and what is on the way."""
        return frames if self.strength == 0 else steadied(track(frames), self.strength)


class _Ellipse(NamedTuple):
    """Around an eye or the mouth, in pixels of the frame."""

    middle: np.ndarray
    axes: np.ndarray
    """Half of its width and height, of an upright face."""

    def mask(self, shape: tuple[int, ...], cell: np.ndarray, larger: float = 1.0) -> np.ndarray:
        """1 inside, 0 outside, over a third of the axes in between: float32 [gy, gx] for a field of `shape`."""
        y, x = (
            (((np.arange(count) + 0.5) * cell[axis] - self.middle[axis]) / (self.axes[axis] * larger)).astype(
                np.float32
            )
            for count, axis in zip(shape, (1, 0), strict=False)
        )
        return np.clip(4 - 3 * np.sqrt(x * x + (y * y)[:, None]), 0, 1)

    def box(self, width: int, height: int) -> tuple[slice, slice]:
        """Rows and columns of a frame in which it lies; none if it lies outside."""
        first, last = (np.rint(self.middle + sign * self.axes).astype(int) for sign in (-1, 1))
        return slice(max(0, first[1]), max(0, min(height, last[1]))), slice(
            max(0, first[0]), max(0, min(width, last[0]))
        )


class _Moving(NamedTuple):
    frame: Rgb
    face: Landmarks | None
    step: Step | None
    """From the frame before; None if this one begins a shot."""


def steadied(faces: Iterable[tuple[Rgb, Landmarks | None]], strength: float = 1.0) -> Iterator[Rgb]:
    """The frames of `faces`, each with the landmarks of its face, if it has one, with less jitter."""
    for window in windows(_moving(faces), REACH, REACH):
        frame, face, _ = window.middle
        features = [] if face is None else _features(face)
        shift = _correction(window, features)
        yield frame if shift is None else _warped(frame, shift * np.float32(strength), features)


def _moving(faces: Iterable[tuple[Rgb, Landmarks | None]]) -> Iterator[_Moving]:
    meter = MotionMeter()
    found: list[Landmarks | None] = []

    def frames() -> Iterator[Rgb]:
        for frame, face in faces:
            found.append(face)
            yield frame

    last: Picture | None = None
    for frame, is_first in with_cuts(frames()):
        this = picture_for_flow(frame)
        is_small = min(this.luma.shape) < SMALLEST_SIDE
        step = None if last is None or is_first or is_small else meter.step(last, this)
        yield _Moving(frame, found.pop(0), step)
        last = this


def _correction(window: Window[_Moving], features: Sequence[_Ellipse]) -> np.ndarray | None:
    """By how much each point of the frame in the middle is to move, float32 [gy, gx, 2] in pixels; None for nothing."""
    frame = window.middle.frame
    ways = _ways(window)
    if not ways:
        return None
    shift = _from_parabola(ways)
    cell = np.array([size / count for size, count in zip(size_of(frame), shift.shape[1::-1], strict=True)], np.float32)
    unit = max(frame.shape[:2]) / 512
    shift = shift * cell / unit
    speed = (ways[0][1].moved - ways[0][0].moved) * (cell / unit / 2)
    keep = _part(shift, LARGEST) * _part(speed, FAST)
    shift = cv2.GaussianBlur(shift * keep[..., None], (0, 0), 1.0)
    return _as_surrounded(shift, features, cell) * np.float32(unit)


def _ways(window: Window[_Moving]) -> list[tuple[Way, Way]]:
    """For 1, 2 … frames: where each point of the frame in the middle is that many frames before and after.

    Only as far as the shot goes on both sides: with one side alone, motion would be taken for jitter.
    """
    items, middle = window
    ways: list[tuple[Way, Way]] = []
    back = on = None
    grid = np.empty(0)
    for distance in range(1, min(middle, len(items) - 1 - middle) + 1):
        earlier, later = items[middle - distance + 1].step, items[middle + distance].step
        if earlier is None or later is None:
            break
        if back is None or on is None:
            grid = positions(earlier.backward.shape)
            back = Way(earlier.backward, earlier.backward_trust)
            on = Way(later.forward, later.forward_trust)
        else:
            back = onward(back, earlier.backward, earlier.backward_trust, grid)
            on = onward(on, later.forward, later.forward_trust, grid)
        ways.append((back, on))
    return ways


def _from_parabola(ways: Sequence[tuple[Way, Way]]) -> np.ndarray:
    """How far the middle of each point's parabola is from where the point is: float32 [gy, gx, 2], in grid cells.

    Least squares with the trust as weights: of a frame before and the one as far after, the lesser of both. With full
    trust these are the weights of Savitzky and Golay (1964). A point that is not found in the very next frames is at
    the edge of what moves, and stays.
    """
    trusts = [np.minimum(back.trust, on.trust) for back, on in ways]
    zeroth, second, fourth = np.ones_like(trusts[0]), np.zeros_like(trusts[0]), np.zeros_like(trusts[0])
    for distance, trust in enumerate(trusts, start=1):
        zeroth += 2 * trust
        second += 2 * distance**2 * trust
        fourth += 2 * distance**4 * trust
    scale = 1 / np.maximum(zeroth * fourth - second * second, 1e-6)
    shift = np.zeros_like(ways[0][0].moved)
    for distance, ((back, on), trust) in enumerate(zip(ways, trusts, strict=True), start=1):
        weight = trust * (fourth - second * distance**2) * scale
        shift += weight[..., None] * (back.moved + on.moved)
    return shift * trusts[0][..., None]


def _part(vectors: np.ndarray, half: float) -> np.ndarray:
    """1 for vectors much shorter than `half`, 0 for much longer ones: [gy, gx]."""
    return 1 / (1 + (squared(vectors) / half**2) ** 2)


def _features(face: Landmarks) -> list[_Ellipse]:
    """Eyes and mouth, each as far as it moves by itself: an open mouth reaches down to the chin."""
    size = face.size
    points = face.array()
    mouth = points[3:5].mean(0)
    down = (mouth - points[:2].mean(0)) / size
    eyes = [_Ellipse(eye, np.array(EYE) * size) for eye in points[:2]]
    return [*eyes, _Ellipse(mouth + down * MOUTH_LOWER * size, np.array(MOUTH) * size)]


def _as_surrounded(shift: np.ndarray, features: Sequence[_Ellipse], cell: np.ndarray) -> np.ndarray:
    """`shift` with each feature moved as a whole, by the mean of what surrounds it."""
    masks = [feature.mask(shift.shape, cell) for feature in features]
    free = reduce(np.multiply, (1 - mask for mask in masks), np.ones(shift.shape[:2], np.float32))
    result = shift.copy()
    for feature, mask in zip(features, masks, strict=True):
        ring = feature.mask(shift.shape, cell, SURROUNDINGS) * free
        mean = np.tensordot(ring, shift, 2) / max(float(ring.sum()), 1e-6)
        result += mask[..., None] * (mean - result)
    return result


def _warped(frame: Rgb, shift: np.ndarray, features: Sequence[_Ellipse]) -> Rgb:
    """The frame with each point moved by `shift` [gy, gx, 2], in pixels; the features without any loss of sharpness."""
    if np.abs(shift).max() < STILL:
        return frame
    height, width = frame.shape[:2]
    seen = positions(frame.shape) - cv2.resize(shift, (width, height), interpolation=cv2.INTER_LINEAR)
    result = at(frame, seen, cv2.INTER_CUBIC)
    for feature in features:
        box = feature.box(width, height)
        if seen[box].size:
            result[box] = at(frame, np.ascontiguousarray(seen[box]), cv2.INTER_LANCZOS4)  # six times as slow
    return np.asarray(result, np.uint8)
