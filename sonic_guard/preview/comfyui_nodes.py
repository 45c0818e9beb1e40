"""ComfyUI's own nodes that are commonly upstream of Sonic."""

import math
from collections.abc import Callable
from functools import wraps

from ..errors import FileNameError
from .context import Context, Outcome
from .node_inputs import UNKNOWN, Inputs, Picture, Voice


def load_image(inputs: Inputs, context: Context) -> Outcome:
    """LoadImage."""
    name = _file(inputs, "image")
    return Outcome(() if name is None else (Picture(*context.machine.files.size(name), name),))


def load_audio(inputs: Inputs, context: Context) -> Outcome:
    """LoadAudio. The file is read only if its length is needed."""
    name = _file(inputs, "audio")
    return Outcome(() if name is None else (Voice(name, by_load_audio=True),))


def _file(inputs: Inputs, name: str) -> str | None:
    """The name of a file; None where it is unknown."""
    value = inputs.get(name)
    if value is UNKNOWN:
        return None
    if not isinstance(value, str):
        raise FileNameError(f"{name}: expected the name of a file in the input folder.")
    return value


def primitive(inputs: Inputs, context: Context) -> Outcome:
    """PrimitiveInt, PrimitiveFloat, PrimitiveString, PrimitiveBoolean and the like."""
    return Outcome((inputs.get("value"),))


def reroute(inputs: Inputs, context: Context) -> Outcome:
    """Reroute."""
    return Outcome((inputs.get(""),))


def _changes(size: Callable[[Picture, Inputs], tuple[int, int]]) -> Callable[[Inputs, Context], Outcome]:
    """The evaluator of a node that changes the size of its `image`. Where that is unknown, so is the output."""

    @wraps(size)
    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        picture = inputs.of("image", Picture)
        if picture is None:
            return Outcome(())
        new = size(picture, inputs)
        return Outcome((picture if new == (picture.width, picture.height) else Picture(*new),))

    return evaluate


@_changes
def scale(picture: Picture, inputs: Inputs) -> tuple[int, int]:
    """ImageScale: a side of 0 follows from the other."""
    width, height = inputs.whole("width", 512), inputs.whole("height", 512)
    if width == height == 0:
        return picture.width, picture.height
    if width == 0:
        return max(1, round(picture.width * height / picture.height)), height
    if height == 0:
        return width, max(1, round(picture.height * width / picture.width))
    return width, height


@_changes
def scale_by(picture: Picture, inputs: Inputs) -> tuple[int, int]:
    """ImageScaleBy."""
    factor = inputs.number("scale_by", 1.0)
    return round(picture.width * factor), round(picture.height * factor)


@_changes
def scale_to_total(picture: Picture, inputs: Inputs) -> tuple[int, int]:
    """ImageScaleToTotalPixels; older versions have no steps."""
    total = max(0.0, inputs.number("megapixels", 1.0)) * 1024 * 1024
    step = max(1, inputs.whole("resolution_steps", 1)) if inputs.has("resolution_steps") else 1
    factor = math.sqrt(total / (picture.width * picture.height))
    return round(picture.width * factor / step) * step, round(picture.height * factor / step) * step


@_changes
def crop(picture: Picture, inputs: Inputs) -> tuple[int, int]:
    """ImageCrop."""
    left = min(max(0, inputs.whole("x", 0)), picture.width - 1)
    top = min(max(0, inputs.whole("y", 0)), picture.height - 1)
    return (
        min(inputs.whole("width", 512), picture.width - left),
        min(inputs.whole("height", 512), picture.height - top),
    )
