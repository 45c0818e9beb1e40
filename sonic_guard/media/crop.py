"""The crop of a picture around a face, in a chosen aspect ratio, and a preview drawing of it."""

import math
from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import FaceError, JobError, PictureError
from ..job import SIZE_STEP, frame_size
from .face import Box, Face
from .picture import Rgb, size_of

PREVIEW_SIDE = 1024
"""Long side of a preview in pixels, so that lines and text have the same size for every picture."""
FONT_SIZE, DASH = 22, 14
BLACK, WHITE, GREEN, AMBER = (16, 16, 16), (235, 235, 235), (80, 220, 120), (255, 190, 60)


class Aspect(StrEnum):
    """Aspect ratio of the crop, width : height."""

    NONE = "none"
    """No crop: the whole picture."""
    ORIGINAL = "original"
    """The picture's own shape."""
    SQUARE = "1:1"
    TALL = "9:16"
    WIDE = "16:9"

    def ratio(self, size: tuple[int, int]) -> Fraction:
        """Width / height for a picture of `size` (w, h)."""
        if self in (Aspect.NONE, Aspect.ORIGINAL):
            return Fraction(*size)
        width, height = self.split(":")
        return Fraction(int(width), int(height))


def crop_box(
    size: tuple[int, int],
    face_box: Box,
    expand_ratio: float,
    aspect: Aspect,
    min_resolution: int | None = None,
    least_side: int = 1,
) -> Box:
    """The crop of a picture of `size` (width, height) in pixels that is given to Sonic.

    The face box grows on each side by `expand_ratio` times that side's length. The crop is the smallest box of the
    aspect ratio (to half a pixel) that contains the result, with the face centred as far as the picture's edges
    allow. If the picture is too small, the margin is reduced first, then the aspect ratio is changed as little as
    the whole face needs. The face is never cut.

    If the picture is large enough, the crop's shorter side has at least `least_side` pixels, so that a small face in
    a small picture is not enlarged too much.
    With `min_resolution` the aspect ratio is that of Sonic's frames, whose sides are multiples of 64 (9:16 at 512
    becomes 512×896), so that Sonic does not distort the picture.

    Raises `FaceError` if the face box is not inside the picture or `expand_ratio` is outside 0 … 10;
    `JobError` if `min_resolution` is too small for any frame.
    """
    if min_resolution is not None and min_resolution < SIZE_STEP:
        raise JobError(f"min_resolution: {min_resolution} is too small for a frame; use 128 or more.")
    whole = Box(0, 0, *size)
    if not whole.holds(face_box) or face_box.width < 1 or face_box.height < 1:
        raise FaceError(f"face box {face_box} is not inside the picture, which has {size[0]}×{size[1]} pixels.")
    if not 0 <= expand_ratio <= 10:
        raise FaceError(f"expand_ratio: {expand_ratio:g} is outside 0 … 10. The usual values are 0.15 and 0.20.")
    if aspect is Aspect.NONE:
        return whole
    ratio = aspect.ratio(size)
    if min_resolution is not None:
        frame = frame_size(ratio.numerator, ratio.denominator, min_resolution)
        ratio = Fraction(frame.width, frame.height)
    width, height = _crop_size(size, face_box, expand_ratio, ratio, least_side)
    left = _centred(width, face_box.x1, face_box.x2, size[0])
    top = _centred(height, face_box.y1, face_box.y2, size[1])
    return Box(left, top, left + width, top + height)


def crop(image: Any, box: Box) -> Any:
    """The part `box` of an array or tensor [H, W, C] or [B, H, W, C]; a view, not a copy.

    Raises `PictureError` if the box is not inside the picture.
    """
    size = size_of(image)
    if not Box(0, 0, *size).holds(box) or box.width < 1 or box.height < 1:
        raise PictureError(f"crop: {box} is not inside the picture, which has {size[0]}×{size[1]} pixels.")
    return image[..., box.y1 : box.y2, box.x1 : box.x2, :]


def draw_preview(rgb: Rgb, faces: Sequence[Face], chosen: Face, kept: Box) -> Rgb:
    """A drawing of the detected faces and the crop: uint8 RGB, its long side `PREVIEW_SIDE`.

    Faces have thin outlines and the numbers that `pick_face` takes; the chosen one is thick and green. `kept`, the
    crop, has a dashed amber outline, and everything outside it is dimmed.
    """
    scale = PREVIEW_SIDE / max(size_of(rgb))
    frame = _scaled(kept, scale)
    image = _dimmed(_fitted(rgb, scale), frame)
    _dash(image, frame, AMBER)
    for number, face in enumerate(faces):
        if face != chosen:
            ImageDraw.Draw(image).rectangle(_scaled(face.box, scale), outline=WHITE, width=2)
            _label(image, _scaled(face.box, scale), f"{number}  {face.score:.2f}", WHITE)
    name = f"{faces.index(chosen)}  {chosen.score:.2f}" if chosen in faces else "by hand"
    ImageDraw.Draw(image).rectangle(_scaled(chosen.box, scale), outline=GREEN, width=5)
    _label(image, frame, name, GREEN)
    _label(image, frame, f"{kept.width} x {kept.height}", AMBER, below=True)
    return np.array(image)


def _crop_size(
    size: tuple[int, int], face: Box, expand_ratio: float, ratio: Fraction, least_side: int
) -> tuple[int, int]:
    """Width and height of the smallest box of `ratio` around the face and as much of its margin as fits."""
    across, down = round(expand_ratio * face.width), round(expand_ratio * face.height)
    wanted_width = min(face.x2 + across, size[0]) - max(face.x1 - across, 0)
    wanted_height = min(face.y2 + down, size[1]) - max(face.y1 - down, 0)
    width = math.ceil(max(wanted_width, wanted_height * ratio, least_side, least_side * ratio))
    width = max(face.width, min(width, size[0], math.floor(size[1] * ratio)))
    height = max(face.height, min(size[1], round(width / ratio)))
    return width, height


def _centred(length: int, face_start: int, face_end: int, limit: int) -> int:
    """Start of an interval of `length` centred on the face, moved so that it lies inside 0 … `limit`."""
    return max(0, min((face_start + face_end - length) // 2, limit - length))


def _scaled(box: Box, scale: float) -> Box:
    """The box in preview pixels; x2 and y2 are the last pixels inside, as Pillow draws."""
    x1, y1 = int(box.x1 * scale), int(box.y1 * scale)
    return Box(x1, y1, max(x1, round(box.x2 * scale) - 1), max(y1, round(box.y2 * scale) - 1))


def _fitted(rgb: Rgb, scale: float) -> Image.Image:
    """The picture at `scale`; a very narrow one is padded so that the labels fit."""
    step = max(1, int(0.5 / scale))  # subsampled first: Pillow would copy a huge picture as a whole
    width, height = (max(1, round(length * scale)) for length in size_of(rgb))
    picture = Image.fromarray(np.ascontiguousarray(rgb[::step, ::step]))
    image = Image.new("RGB", (max(width, PREVIEW_SIDE // 5), max(height, PREVIEW_SIDE // 5)), BLACK)
    image.paste(picture.resize((width, height), Image.Resampling.LANCZOS))
    return image


def _dimmed(image: Image.Image, frame: Box) -> Image.Image:
    """The picture, darkened outside the frame."""
    inside = Image.new("L", image.size, 0)
    inside.paste(255, (frame.x1, frame.y1, frame.x2 + 1, frame.y2 + 1))
    return Image.composite(image, image.point([value * 2 // 5 for value in range(256)] * 3), inside)


def _dash(image: Image.Image, frame: Box, colour: tuple[int, int, int]) -> None:
    draw = ImageDraw.Draw(image)
    draw.rectangle(frame, outline=BLACK, width=3)
    for x in range(frame.x1, frame.x2 + 1, 2 * DASH):
        for y in (frame.y1, frame.y2 - 2):
            draw.rectangle((x, y, min(x + DASH, frame.x2), y + 2), fill=colour)
    for y in range(frame.y1, frame.y2 + 1, 2 * DASH):
        for x in (frame.x1, frame.x2 - 2):
            draw.rectangle((x, y, x + 2, min(y + DASH, frame.y2)), fill=colour)


def _label(image: Image.Image, box: Box, text: str, colour: tuple[int, int, int], *, below: bool = False) -> None:
    """Dark text on a rectangle of `colour`, above or below a box, moved so that it stays inside the image."""
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(FONT_SIZE)
    width, height = int(draw.textlength(text, font)) + 14, FONT_SIZE + 8
    x = max(0, min(box.x1, image.width - width))
    y = max(0, min(box.y2 + 1 if below else box.y1 - height, image.height - height))
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    draw.text((x + width // 2, y + height // 2), text, fill=BLACK, font=font, anchor="mm")
