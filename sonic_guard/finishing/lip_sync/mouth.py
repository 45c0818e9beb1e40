"""The mouth of a film, aligned so that the head stands still and only the mouth moves, as a few numbers a frame.

Landmarks are located a few times a second, because the detector is slow and its points shake by more than lips move.
They are smoothed and interpolated, and what is left of the head's motion is taken out by registering eyes and nose,
which do not talk.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import NamedTuple

import numpy as np

from ...media.cancellation import Check, nothing
from ...media.picture import Rgb
from ..face_track import Landmarks, locate, locate_near

FACE_SIZE = (96, 112)
"""Width and height in pixels of an aligned face."""
FACE_POINTS = np.array(((30, 32), (66, 32), (48, 53), (34, 74), (62, 74)), np.float64)
"""Where eyes, nose and mouth are in an aligned face: the proportions of a mean face."""
MOUTH = (slice(56, 104), slice(18, 78))
"""Rows and columns of mouth and chin in an aligned face."""
STILL = (slice(14, 62), slice(16, 80))
"""Rows and columns of what does not talk: eyes, nose, upper cheeks."""
SHAPE = (8, 10)
"""Vertical and horizontal frequencies of the cosine transform of the mouth that are kept: what is coarser than lips."""
KEY_S = 0.12
"""Seconds between frames whose landmarks are located."""
LOST_S = 0.5
"""Seconds to the next search where no face was found: a search of the whole picture is slow."""
STRETCH_FRAMES = 600
"""Most frames aligned at a time; bounds the memory."""
MIN_INTERVAL_S = 1 / 42
"""Frames that follow faster are left out: lips move no faster, and the time is better spent on more seconds."""
MAX_REGISTRATION = 6.0
"""Farthest in pixels of the aligned face that a registration corrects; more is a wrong match."""
MIN_FACE = 10.0
"""Smallest face, as the distance between eyes and mouth in pixels, whose lips can be read."""
CROP_FACE = 64.0
"""Largest distance between eyes and mouth in a crop; larger faces are scaled down."""
CROP_REACH = 1.9
"""Half the side of a crop in distances between eyes and mouth: room for what a head moves in `KEY_S`."""
SAME_SHOT = 0.5
"""Lowest correlation of eyes and nose in two frames of one shot."""


class TimedFrame(NamedTuple):
    """A frame and when it is shown."""

    time_s: float
    frame: Rgb


class Mouth(NamedTuple):
    """What the mouth did."""

    times_s: np.ndarray
    """float64 [N], when each frame is shown, ascending."""
    shapes: np.ndarray
    """float32 [N, 80], brightness of mouth and chin relative to the face's: its lowest `SHAPE` cosine frequencies, row
    by row. NaN where there is no face."""
    shots: np.ndarray
    """int [N], ascending: frames with the same number show one face without a cut."""

    @property
    def seen(self) -> np.ndarray:
        """Which frames show a face, bool [N]."""
        return np.isfinite(self.shapes[:, 0])


@dataclass(frozen=True, eq=False)
class _Crop:
    """The surroundings of a face in one frame."""

    time_s: float
    grey: np.ndarray | None
    """uint8; None without a face."""
    origin: tuple[float, float]
    """Of the crop in the frame, in pixels of the frame."""
    scale: float
    """Pixels of the crop per pixel of the frame."""
    key: Landmarks | None
    """What was located in this frame, if it was searched."""
    searched: bool


def read_mouth(frames: Iterable[TimedFrame], check: Check = nothing) -> Mouth:
    """The mouth in each of the frames, which come in the order they are shown.

    Holds `STRETCH_FRAMES` crops of faces, and one frame.

    Raises `FaceError` if the detector cannot be loaded.
    """
    crops = _crops(frames, check)
    times: list[float] = []
    shapes: list[np.ndarray] = []
    shots: list[int] = []
    shot = 0
    while stretch := list(islice(crops, STRETCH_FRAMES)):
        for crop, (face, new_shot) in zip(stretch, _aligned(stretch), strict=True):
            shot += new_shot
            times.append(crop.time_s)
            shapes.append(_shape(face))
            shots.append(shot)
        shot += 1
    coefficients = np.array(shapes, np.float32).reshape(len(times), SHAPE[0] * SHAPE[1])
    return Mouth(np.array(times, np.float64), coefficients, np.array(shots, int))


def _crops(frames: Iterable[TimedFrame], check: Check) -> Iterator[_Crop]:
    """A crop of each frame that counts."""
    face: Landmarks | None = None
    search_s = last_s = -np.inf
    for time_s, frame in frames:
        if time_s - last_s < MIN_INTERVAL_S:
            continue
        check()
        last_s = time_s
        search = time_s >= search_s - 1e-3
        if search:
            face = (locate_near(frame, face) if face else None) or locate(frame)
            face = face if face and face.size >= MIN_FACE else None
            search_s = time_s + (KEY_S if face else LOST_S)
        yield _crop(time_s, frame, face, search)


def _crop(time_s: float, frame: Rgb, face: Landmarks | None, searched: bool) -> _Crop:
    import cv2

    if face is None:
        return _Crop(time_s, None, (0.0, 0.0), 1.0, None, searched)
    x, y = face.centre
    half = CROP_REACH * face.size
    left, top = max(0, int(x - half)), max(0, int(y - half))
    part = frame[top : max(top + 1, int(y + half)), left : max(left + 1, int(x + half))]
    scale = min(1.0, CROP_FACE / face.size)
    grey = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return _Crop(time_s, np.asarray(grey, np.uint8), (left, top), scale, face if searched else None, searched)


def _aligned(crops: Sequence[_Crop]) -> Iterator[tuple[np.ndarray | None, bool]]:
    """For each crop the aligned face, float32 of `FACE_SIZE`, and whether a new shot begins with it."""
    points = _points(crops)
    reference: np.ndarray | None = None
    for crop, face_points in zip(crops, points, strict=True):
        if crop.grey is None or not np.isfinite(face_points[0, 0]):
            yield None, reference is not None
            reference = None
            continue
        face = _warped(crop, face_points)
        if reference is not None:
            moved = _registration(reference, face)
            face = _warped(crop, face_points, moved)
        still = face[STILL]
        new = reference is not None and _correlation(reference, still) < SAME_SHOT
        reference = still.copy() if reference is None or new else 0.9 * reference + 0.1 * still
        yield face, new


def _points(crops: Sequence[_Crop]) -> np.ndarray:
    """Landmarks for each crop, [N, 5, 2], smoothed over the located ones; NaN between two that differ."""
    times = np.array([crop.time_s for crop in crops])
    missing = np.full((5, 2), np.nan)
    searched = [crop for crop in crops if crop.searched]
    keys = np.array([crop.key.array() if crop.key else missing for crop in searched]).reshape(-1, 5, 2)
    key_times = np.array([crop.time_s for crop in searched])
    if not len(keys):
        return np.full((len(crops), 5, 2), np.nan)
    smooth = keys.copy()
    for n in range(1, len(keys) - 1):
        if all(_one_face(keys[n], keys[m]) for m in (n - 1, n + 1)):
            smooth[n] = (keys[n - 1] + 2 * keys[n] + keys[n + 1]) / 4
    before = np.clip(np.searchsorted(key_times, times, "right") - 1, 0, len(keys) - 1)
    after = np.minimum(before + 1, len(keys) - 1)
    span = np.maximum(key_times[after] - key_times[before], 1e-9)
    share = np.clip((times - key_times[before]) / span, 0, 1)[:, None, None]
    share[after == before] = 0
    between = np.array([a == b or _one_face(keys[a], keys[b]) for a, b in zip(before, after, strict=True)])
    points = smooth[before] * (1 - share) + smooth[after] * share
    points[~between & (share[:, 0, 0] > 0)] = np.nan
    return points


def _one_face(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether landmarks of two keys may be one face without a cut between; False where one is missing."""
    size = max(np.ptp(a, axis=0).max(), np.ptp(b, axis=0).max())
    return bool(np.abs(a - b).max() < 0.6 * size)


def _warped(crop: _Crop, points: np.ndarray, moved: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """The face, float32 of `FACE_SIZE`, by the similarity that fits `points` best, shifted by `moved`."""
    import cv2

    matrix = _similarity((points - crop.origin) * crop.scale, FACE_POINTS)
    matrix[:, 2] -= moved
    return cv2.warpAffine(
        np.asarray(crop.grey, np.float32), matrix, FACE_SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation, scale and shift that bring [N, 2] `source` nearest to `target`, as a 2×3 matrix."""
    a = (source - source.mean(0)) @ (1, 1j)
    b = (target - target.mean(0)) @ (1, 1j)
    turn = np.vdot(a, b) / max(float(np.vdot(a, a).real), 1e-9)
    linear = np.array(((turn.real, -turn.imag), (turn.imag, turn.real)))
    return np.column_stack((linear, target.mean(0) - linear @ source.mean(0)))


def _registration(reference: np.ndarray, face: np.ndarray) -> tuple[float, float]:
    """How far eyes and nose of `face` are from `reference`, in pixels; 0 if no match is found."""
    import cv2

    still = np.ascontiguousarray(face[STILL])
    window = cv2.createHanningWindow(still.shape[::-1], cv2.CV_32F)
    (x, y), response = cv2.phaseCorrelate(reference.astype(np.float32), still, window)
    return (x, y) if response > 0.1 and max(abs(x), abs(y)) <= MAX_REGISTRATION else (0.0, 0.0)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-9))


def _shape(face: np.ndarray | None) -> np.ndarray:
    """The lowest frequencies of mouth and chin, divided by the brightness of what does not talk."""
    if face is None:
        return np.full(SHAPE[0] * SHAPE[1], np.nan, np.float32)
    mouth = face[MOUTH] / max(float(face[STILL].mean()), 8.0)
    rows, columns = (_cosines(length, count) for length, count in zip(mouth.shape, SHAPE, strict=True))
    return (rows @ mouth @ columns.T).astype(np.float32).ravel()


@cache
def _cosines(length: int, count: int) -> np.ndarray:
    """The `count` lowest orthonormal cosines over `length` pixels, [count, length]; scaled by 1/sqrt(length)."""
    waves = np.cos(np.pi * np.outer(np.arange(count), np.arange(length) + 0.5) / length)
    return waves / np.linalg.norm(waves, axis=1, keepdims=True) / np.sqrt(length)
