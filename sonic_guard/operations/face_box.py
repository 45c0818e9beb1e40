"""Face Box: find the face in a picture, choose the margin around it and the crop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..media.crop import Aspect, crop_box
from ..media.face import Box, Face, expand_ratio_for, face_ratio, find_faces, manual_face, parse_box, pick_face
from ..media.picture import Rgb, size_of
from ..planning.planner import GOOD_RESOLUTION
from .input_values import one_of


class Portrait(NamedTuple):
    """What is known of a picture. Its pixels are read only where the faces in it are needed."""

    size: tuple[int, int]
    """Width and height in pixels."""
    find_faces: Callable[[], Sequence[Face]]
    """Returns the faces in it, largest first."""


def portrait_of(rgb: Rgb) -> Portrait:
    """The portrait of a picture, uint8 [H, W, 3]."""
    return Portrait(size_of(rgb), lambda: find_faces(rgb))


@dataclass(frozen=True)
class FaceBoxRequest:
    """Which face of a picture to animate, and the shape of the crop around it."""

    picture: Portrait
    aspect: str = Aspect.ORIGINAL
    """Shape of the crop."""
    face_index: int = 0
    """Number of the face: 0 is the largest."""
    face_box: str | None = ""
    """x1, y1, x2, y2 in pixels instead of a search; empty or None: search."""
    expand_ratio: float | None = None
    """Margin around the face; None follows the article's rule."""
    name: str = "image"
    """What messages call the picture."""

    def __post_init__(self) -> None:
        one_of("aspect", self.aspect, Aspect)


@dataclass(frozen=True)
class FaceSelection:
    """The face to animate, and the part of the picture to use."""

    faces: tuple[Face, ...]
    """All faces found, largest first; empty with a manual box."""
    face: Face
    """The one to animate."""
    ratio: float
    """Side of its box as a part of the picture's side, the larger of the two."""
    expand_ratio: float
    """Margin around it: the one requested, or the article's 0.15 above a ratio of 0.7 and 0.20 below."""
    crop: Box
    """The part of the picture Sonic gets."""

    def outputs(self, image: Any, preview: Any) -> tuple[Any, ...]:
        """The node's outputs for this picture in their order, given the crop and the picture with its boxes drawn."""
        return image, self.expand_ratio, self.ratio, ", ".join(map(str, self.face.box)), preview


def select_face(request: FaceBoxRequest) -> FaceSelection:
    """The face and the crop that `request` asks for.

    The crop's shorter side has at least `GOOD_RESOLUTION` pixels where the picture has them.
    Raises `FaceError` where there is no such face.
    """
    picture, manual_box, aspect = request.picture, parse_box(request.face_box), Aspect(request.aspect)
    faces = () if manual_box else tuple(picture.find_faces())
    face = manual_face(manual_box, picture.size) if manual_box else pick_face(faces, request.face_index, request.name)
    ratio = face_ratio(face.box, picture.size)
    margin = expand_ratio_for(ratio) if request.expand_ratio is None else request.expand_ratio
    if aspect is Aspect.NONE:
        crop = Box(0, 0, *picture.size)
    else:
        crop = crop_box(picture.size, face.box, margin, aspect, least_side=GOOD_RESOLUTION)
    return FaceSelection(faces, face, ratio, margin, crop)
