"""WAS Node Suite, by WASasquatch: ``WAS_Node_Suite.py``."""

from collections.abc import Mapping

from ..context import Context, Outcome
from ..kind import Kind
from ..node_inputs import Inputs
from .builders import Size, computed, either, made, measures, redrawn, resized
from .file_loaders import file_at_path, picture_loader


def resize(size: Size, mode: str, rescale_factor: float, resize_width: int, resize_height: int) -> tuple[int, int]:
    """Image Resize: by a factor, rounded down, or to a size, rounded up to multiples of 8."""
    if mode == "rescale":
        return int(size.width * rescale_factor), int(size.height * rescale_factor)
    return resize_width + -resize_width % 8, resize_height + -resize_height % 8


def constant(number: float, number_type: str) -> tuple[float, float, int]:
    """Constant Number: as NUMBER, FLOAT and INT."""
    if number_type == "bool":
        number = float(number > 0.5)
    return (number if number_type == "float" else int(number)), float(number), int(number)


def number(inputs: Inputs, context: Context) -> Outcome:
    """Constant Number; with a text for the number, that is read instead."""
    return Outcome(()) if inputs.has("number_as_text") else _CONSTANT.evaluate(inputs, context)


_CONSTANT = computed(constant, number=0.0, number_type="integer")

WAS_SUITE: Mapping[str, Kind] = {
    "Image Load": picture_loader("image_path", find=file_at_path),
    "Image Resize": resized(
        resize, mode="rescale", rescale_factor=2.0, resize_width=1024, resize_height=1536
    ),
    "Image Blank": made(lambda width, height: (width // 8 * 8, height // 8 * 8), width=512, height=512),
    "Image Padding": resized(
        lambda size, left_padding, right_padding, top_padding, bottom_padding: (
            size.width + left_padding + right_padding, size.height + top_padding + bottom_padding
        ),
        gives="image mask", left_padding=512, right_padding=512, top_padding=512, bottom_padding=512,
    ),
    "Image Flip": redrawn(image="images"),
    "Image Input Switch": either("boolean", "image_a", "image_b", default=True),
    "Image Size to Number": measures(gives="width height width height width height"),
    "Constant Number": Kind(("number", "number_type", "number_as_text"), number),
    "Number to Int": computed(lambda number: (int(number),), number=0.0),
    "Number to Float": computed(lambda number: (number,), number=0.0),
}  # fmt: skip
