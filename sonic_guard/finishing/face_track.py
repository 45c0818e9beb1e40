"""Where eyes, nose and mouth are in each frame of a film: five landmarks by CenterFace, smoothed over time.

`track` depends on `CONTEXT` frames on either side of a frame and on nothing else, so a part of a film gives the same
landmarks as the whole film. `locate` and `locate_near` look at one frame.
"""

import math
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..media.face import detector, scaled_for_detector
from ..media.picture import Rgb, size_of

Point = tuple[float, float]
"""x to the right, y down, in pixels; (0, 0) is the corner of the picture."""

THRESHOLD = 0.35
"""Lowest score that counts as a face."""
VIEWS = (128, 256, 512)
"""Long sides in pixels at which a frame is searched, the cheapest first: 6, 21 and 77 ms on one core."""
CLOSE_VIEW = 128
"""Side in pixels at which the surroundings of a face are searched again, for landmarks as exact in a small face."""
SURROUNDINGS = 4.0
"""Side of these surroundings, in distances from the eyes to the mouth."""
FINER = 1.5
"""Least factor by which the face is larger in its surroundings than where it was found, if they are searched."""
CONTEXT = 3
"""Frames before and after that `track` smooths over."""
SMOOTHING_FRAMES = 1.3
"""Standard deviation of the smoothing."""
SAME_FACE = 0.5
"""Farthest that a face moves within `CONTEXT` frames, in distances from the eyes to the mouth; beyond it is a cut."""


class Landmarks(NamedTuple):
    """Five points of a face. "Left" is the left in the picture."""

    eyes: tuple[Point, Point]
    nose: Point
    mouth: tuple[Point, Point]
    """The corners of the mouth."""

    def array(self) -> np.ndarray:
        """Left eye, right eye, nose, left and right corner of the mouth: float64 [5, 2]."""
        return np.array((*self.eyes, self.nose, *self.mouth), np.float64)

    @property
    def centre(self) -> Point:
        """Midway between the eyes and the mouth."""
        x, y = self.array()[[0, 1, 3, 4]].mean(0).tolist()
        return x, y

    @property
    def size(self) -> float:
        """From the middle of the eyes to the middle of the mouth, or between the eyes if that is more, in pixels."""
        points = self.array()
        down = points[3:5].mean(0) - points[0:2].mean(0)
        return max(math.hypot(*down), math.dist(points[0], points[1]))


def from_array(points: np.ndarray) -> Landmarks:
    """The landmarks of float [5, 2] in the order of `Landmarks.array`."""
    left_eye, right_eye, nose, left, right = ((float(x), float(y)) for x, y in points)
    return Landmarks((left_eye, right_eye), nose, (left, right))


def track(frames: Iterator[Rgb]) -> Iterator[tuple[Rgb, Landmarks | None]]:
    """Each frame, the same object, with the smoothed landmarks of its largest face; None where no face is found.

    Holds `CONTEXT` frames. A frame without a face gets one if the frames around it agree on where it is. Landmarks are
    not smoothed across a cut.

    Args:
        frames: uint8 [H, W, 3], RGB; they may differ in size, which counts as a cut.

    Raises `FaceError` if the detector cannot be loaded.
    """
    window: deque[tuple[Rgb, Landmarks | None] | None] = deque([None] * (2 * CONTEXT + 1), 2 * CONTEXT + 1)
    for frame in frames:
        window.append((frame, locate(frame)))
        yield from _middle(window)
    for _ in range(CONTEXT):
        window.append(None)
        yield from _middle(window)


def locate(frame: Rgb) -> Landmarks | None:
    """The landmarks of the largest face of a frame, uint8 [H, W, 3]; None without a face."""
    long_side = max(size_of(frame))
    for view in VIEWS:
        scale = view / long_side
        found = _largest(frame, scale)
        if found is not None:
            is_fine = CLOSE_VIEW / (SURROUNDINGS * found.size) < FINER * scale
            return found if is_fine else locate_near(frame, found) or found
        if view >= long_side:
            break
    return None


def locate_near(frame: Rgb, near: Landmarks) -> Landmarks | None:
    """The landmarks of the face that is about where `near` was in a frame before; None if there is none."""
    width, height = size_of(frame)
    x, y = near.centre
    half = SURROUNDINGS / 2 * max(near.size, 4.0)
    left, top = max(0, math.floor(x - half)), max(0, math.floor(y - half))
    part = frame[top : min(height, math.ceil(y + half)), left : min(width, math.ceil(x + half))]
    if min(part.shape[:2]) < 4:
        return None
    found = _largest(part, CLOSE_VIEW / max(size_of(part)))
    if found is None:
        return None
    found = from_array(found.array() + (left, top))
    return found if _same_face(found, near, SURROUNDINGS / 4) else None


def _largest(picture: Rgb, scale: float) -> Landmarks | None:
    """The largest face that the detector finds in a picture at `scale`; in the picture's pixels."""
    boxes, points = detector()(scaled_for_detector(picture, scale), THRESHOLD)
    if not len(boxes):
        return None
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) * boxes[:, 4]
    return from_array(np.asarray(points[int(np.argmax(areas))], np.float64).reshape(5, 2) / scale)


def _same_face(a: Landmarks, b: Landmarks, reach: float = SAME_FACE) -> bool:
    """Whether two landmarks may be the same face a few frames apart: about as large, and about there."""
    small, large = sorted((a.size, b.size))
    return small > 0.6 * large and math.dist(a.centre, b.centre) < reach * large


def _middle(window: "deque[tuple[Rgb, Landmarks | None] | None]") -> Iterator[tuple[Rgb, Landmarks | None]]:
    """The frame in the middle of the window with its smoothed landmarks; nothing outside of the film."""
    middle = window[CONTEXT]
    if middle is None:
        return
    frame, own = middle
    shot = [None if entry is None or entry[0].shape != frame.shape else entry[1] for entry in window]
    yield frame, _smoothed(shot, own or _between(shot))


def _between(shot: list[Landmarks | None]) -> Landmarks | None:
    """Where the face of a frame without one must be: the nearest before and after, if they are the same face."""
    before = next((found for found in reversed(shot[:CONTEXT]) if found), None)
    after = next((found for found in shot[CONTEXT + 1 :] if found), None)
    if before is None or after is None or not _same_face(before, after):
        return None
    return from_array((before.array() + after.array()) / 2)


def _smoothed(shot: list[Landmarks | None], middle: Landmarks | None) -> Landmarks | None:
    """The weighted mean of the landmarks that are the same face as `middle` without a cut in between.

    A straight line is fitted rather than a mean taken, so that a moving face is not drawn back at the ends of a shot.
    """
    if middle is None:
        return None
    kept = [
        (offset, shot[CONTEXT + offset] or middle) for offset in (*_run(shot, middle, -1), 0, *_run(shot, middle, 1))
    ]
    times = np.array([offset for offset, _ in kept], np.float64)
    points = np.stack([found.array() for _, found in kept])
    weights = np.exp(-0.5 * (times / SMOOTHING_FRAMES) ** 2)
    mean_time = np.average(times, weights=weights)
    mean = np.average(points, axis=0, weights=weights)
    spread = np.average((times - mean_time) ** 2, weights=weights)
    if spread == 0:
        return from_array(mean)
    slope = np.average((points - mean) * (times - mean_time)[:, None, None], axis=0, weights=weights) / spread
    return from_array(mean - slope * mean_time)


def _run(shot: list[Landmarks | None], middle: Landmarks, step: int) -> list[int]:
    """Offsets from the middle outwards, as far as the face stays the same; frames without a face are left out."""
    offsets = []
    for offset in range(step, (CONTEXT + 1) * step, step):
        found = shot[CONTEXT + offset]
        if found is None:
            continue
        if not _same_face(found, middle):
            break
        offsets.append(offset)
    return offsets
