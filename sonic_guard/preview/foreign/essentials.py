"""ComfyUI_essentials, by cubiq: ``image.py`` and ``misc.py``."""

from collections.abc import Mapping

from ..context import Context, Outcome
from ..kind import Kind
from ..node_inputs import NOTHING, Inputs
from .builders import Size, computed, either, measures, passes, redrawn, resized
from .picture_rules import MAX_RESOLUTION, fitted, stretched


def resize(size: Size, width: int, height: int, method: str, condition: str, multiple_of: int) -> tuple[int, int]:
    """ImageResize+: the size asked for, if the condition holds; then cut to multiples."""
    step = max(1, multiple_of)
    scaled, final = _scaled(size, width - width % step, height - height % step, method)
    after = final if _applies(condition, size, scaled) else (size.width, size.height)
    return after[0] - after[0] % step, after[1] - after[1] % step


def _scaled(size: Size, width: int, height: int, method: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """The size of the picture as it is scaled, and after it was padded or cropped."""
    if method not in ("keep proportion", "pad"):
        width, height = stretched(size, width, height)
        if not method.startswith("fill"):
            return (width, height), (width, height)
        ratio = max(width / size.width, height / size.height)
        scaled = round(size.width * ratio), round(size.height * ratio)
        return scaled, (min(width, scaled[0]), min(height, scaled[1]))
    if width == 0:
        width = MAX_RESOLUTION if size.height < height else size.width
    if height == 0:
        height = MAX_RESOLUTION if size.width < width else size.height
    scaled = fitted(size, width, height)
    return scaled, ((max(width, scaled[0]), max(height, scaled[1])) if method == "pad" else scaled)


def _applies(condition: str, size: Size, scaled: tuple[int, int]) -> bool:
    """Whether the picture is scaled at all; it is compared with the size before padding or cropping."""
    width, height = scaled
    if condition == "downscale if bigger":
        return size.height > height or size.width > width
    if condition == "upscale if smaller":
        return size.height < height or size.width < width
    if "bigger area" in condition:
        return size.height * size.width > height * width
    if "smaller area" in condition:
        return size.height * size.width < height * width
    return "always" in condition


def crop(size: Size, width: int, height: int, position: str, x_offset: int, y_offset: int) -> tuple[int, int]:
    """ImageCrop+: moved beyond an edge, the crop is smaller."""
    width, height = min(size.width, width), min(size.height, height)
    x = round((size.width - width) / 2) if "center" in position else 0
    y = round((size.height - height) / 2) if "center" in position else 0
    y = 0 if "top" in position else size.height - height if "bottom" in position else y
    x = 0 if "left" in position else size.width - width if "right" in position else x
    return _cut(x + x_offset, width, size.width), _cut(y + y_offset, height, size.height)


def _cut(start: int, length: int, whole: int) -> int:
    """What is left of a side from `start`, as Python slices it: an end before the first pixel counts from the last."""
    return len(range(*slice(max(0, start), min(start + length, whole)).indices(whole)))


def tile(size: Size, rows: int, cols: int, overlap: float, overlap_x: int, overlap_y: int) -> tuple[int, int]:
    """ImageTile+: parts that overlap by at most half of their size."""
    width, height = size.width // cols, size.height // rows
    across = min(width // 2, int(width * overlap) + overlap_x) if cols > 1 else 0
    down = min(height // 2, int(height * overlap) + overlap_y) if rows > 1 else 0
    return width + across, height + down


def condition(inputs: Inputs, context: Context) -> Outcome:
    """SimpleCondition+: without a value for false, it stops what it leads to."""
    given = _CONDITION.evaluate(inputs, context)
    return Outcome((NOTHING,)) if given.outputs == (None,) else given


_CONDITION = either("evaluate", "on_true", "on_false")


def slider(value: float, rounding: int, min: float, max: float) -> tuple[float, int]:  # noqa: A002  (the node's names)
    """SimpleMathSlider+: a place between two numbers."""
    number = min + value * (max - min)
    number = round(number, rounding) if rounding > 0 else number
    return number, int(number)


ESSENTIALS: Mapping[str, Kind] = {
    "ImageResize+": resized(
        resize, gives="image width height", width=512, height=512, method="stretch", condition="always", multiple_of=0
    ),
    "ImageCrop+": resized(
        crop, gives="image x y", width=256, height=256, position="top-left", x_offset=0, y_offset=0
    ),
    "ImageTile+": resized(
        tile, gives="image width height", rows=2, cols=2, overlap=0.0, overlap_x=0, overlap_y=0
    ),
    "GetImageSize+": measures(gives="width height count"),
    "ImageRemoveAlpha+": passes("image"),
    "ImageExpandBatch+": passes("image"),
    "ImageFromBatch+": redrawn(),
    "ImageBatchMultiple+": passes("image_1"),
    "ImageListToBatch+": passes("image"),
    "ImageBatchToList+": passes("image"),
    "ImageToDevice+": passes("image"),
    "ImageComposite+": redrawn(image="destination"),
    "ImageCompositeFromMaskBatch+": redrawn(image="image_from"),
    "ImageEnhanceDifference+": redrawn(image="image1"),
    "ImageRemoveBackground+": redrawn(gives="image mask"),
    "NoiseFromImage+": redrawn(),
    **dict.fromkeys(
        ("ImageFlip+", "ImageApplyLUT+", "ImageCASharpening+", "ImageDesaturate+", "ImagePosterize+",
         "ImageColorMatch+", "ImageColorMatchAdobe+", "ImageHistogramMatch+", "ImageSmartSharpen+"),
        redrawn(),
    ),
    "SimpleMathFloat+": computed(lambda value: (value,), value=0.0),
    "SimpleMathPercent+": computed(lambda value: (value,), value=0.0),
    "SimpleMathInt+": computed(lambda value: (int(value),), value=0.0),
    "SimpleMathBoolean+": computed(lambda value: (value, int(value)), value=False),
    "SimpleMathSlider+": computed(slider, value=0.5, rounding=0, min=0.0, max=1.0),
    "SimpleCondition+": Kind(_CONDITION.needs, condition),
}  # fmt: skip
