"""Rules that nodes of several packs share: the size of a picture that is scaled, cropped, padded or joined."""

import math

from .builders import Size

MAX_RESOLUTION = 16_384
"""The longest side that ComfyUI's own nodes offer; some nodes take it for "no limit"."""


def stretched(size: Size, width: int, height: int) -> tuple[int, int]:
    """Exactly the given size; a side of 0 stays as it is."""
    return width or size.width, height or size.height


def in_proportion(size: Size, width: int, height: int) -> tuple[int, int]:
    """Exactly the given size; a side of 0 follows from the other, and both stay as they are if both are 0."""
    if width == height == 0:
        return size.width, size.height
    if width == 0:
        return max(1, round(size.width * height / size.height)), height
    if height == 0:
        return width, max(1, round(size.height * width / size.width))
    return width, height


def longer_side(size: Size, side: int) -> tuple[int, int]:
    """The longer side as given, the other in proportion."""
    if size.height > size.width:
        return round(size.width / size.height * side), side
    if size.width > size.height:
        return side, round(size.height / size.width * side)
    return side, side


def shorter_side(size: Size, side: int) -> tuple[int, int]:
    """The shorter side as given, the other in proportion."""
    if size.height < size.width:
        return round(size.width / size.height * side), side
    if size.width < size.height:
        return side, round(size.height / size.width * side)
    return side, side


def total_pixels(size: Size, megapixels: float, step: int = 1) -> tuple[int, int]:
    """A number of pixels, in units of 1024², in proportion; the sides are multiples of `step`."""
    factor = math.sqrt(max(0.0, megapixels) * 1024 * 1024 / (size.width * size.height))
    return round(size.width * factor / step) * step, round(size.height * factor / step) * step


def fitted(size: Size, width: int, height: int) -> tuple[int, int]:
    """As large as fits into the given size, in proportion."""
    ratio = min(width / size.width, height / size.height)
    return round(size.width * ratio), round(size.height * ratio)


def cut(size: Size, width: int, height: int, x: int, y: int) -> tuple[int, int]:
    """A crop from (x, y), which lies within the picture, as far as the picture goes."""
    left, top = min(max(0, x), size.width - 1), min(max(0, y), size.height - 1)
    return min(width, size.width - left), min(height, size.height - top)


def padded(size: Size, left: int, top: int, right: int, bottom: int) -> tuple[int, int]:
    """A border on each side."""
    return size.width + left + right, size.height + top + bottom


def divisible(width: int, height: int, by: int) -> tuple[int, int]:
    """The next smaller sides that are multiples of `by`; as they are for 0 and 1."""
    return (width - width % by, height - height % by) if by > 1 else (width, height)


def joined(size: Size, other: Size | None, direction: str, match: bool, like: Size | None = None) -> tuple[int, int]:
    """Two pictures side by side, or one below the other ("down", "up").

    With `match` the second is scaled first, so that their common sides are of the same length: that of the first
    picture, or of `like`. Without it the smaller gets a border.
    """
    if other is None:
        return size.width, size.height
    like, width, height = like or size, other.width, other.height
    if direction in ("left", "right"):
        if match:
            width, height = int(like.height * (width / height)), like.height
        return size.width + width, max(size.height, height)
    if match:
        width, height = like.width, int(like.width / (width / height))
    return max(size.width, width), size.height + height
