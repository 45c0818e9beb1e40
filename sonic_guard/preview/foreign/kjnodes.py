"""ComfyUI-KJNodes, by kijai: ``image_nodes.py`` and ``nodes.py``.

Its Set and Get nodes exist in the page only, which resolves them.
"""

import math
from collections.abc import Mapping

from ..context import Context, Outcome
from ..kind import Kind
from ..node_inputs import UNKNOWN, Inputs, NotKnownError, Picture
from .builders import PICTURE, SOUND, Size, at_run, computed, either, measures, passes, redrawn, resized, sounding
from .file_loaders import loaded_picture
from .picture_rules import divisible, fitted, joined, padded, stretched
from .sound_rules import joined as joined_sounds


def resize(
    size: Size, width: int, height: int, keep_proportion: bool, divisible_by: int, get_image_size: Size | None
) -> tuple[int, int]:
    """ImageResizeKJ."""
    if get_image_size:
        return get_image_size.width, get_image_size.height
    if keep_proportion:
        return divisible(*_proportional(size, width, height, both_zero=(0, 0)), divisible_by)
    return divisible(*stretched(size, width, height), divisible_by)


def resize_v2(
    size: Size, width: int, height: int, keep_proportion: str, divisible_by: int, upscale_method: str
) -> tuple[int, int]:
    """ImageResizeKJv2: `divisible_by` makes the scaled picture smaller, and one with a border larger."""
    if keep_proportion == "total_pixels":
        pixels, ratio = width * height, size.width / size.height
        inner = int(math.sqrt(pixels * ratio)), int(math.sqrt(pixels / ratio))
    elif keep_proportion == "resize" or keep_proportion.startswith(_WITH_BORDER):
        inner = _proportional(size, width, height)
    else:
        inner = stretched(size, width, height)
    across, down = width - inner[0], height - inner[1]
    inner = divisible(*inner, divisible_by)
    if upscale_method == "nvidia_rtx_vsr":
        inner = max(8, round(inner[0] / 8) * 8), max(8, round(inner[1] / 8) * 8)
    if not keep_proportion.startswith(_WITH_BORDER) or (across <= 0 and down <= 0):
        return inner
    outer, step = (inner[0] + across, inner[1] + down), max(1, divisible_by)
    return math.ceil(outer[0] / step) * step, math.ceil(outer[1] / step) * step


_WITH_BORDER = ("pad", "pillarbox")


def pad(
    size: Size, left: int, right: int, top: int, bottom: int, extra_padding: int,
    target_width: int, target_height: int,
) -> tuple[int, int]:  # fmt: skip
    """ImagePadKJ: up to a target, if both of its sides are given."""
    if target_width >= 0 and target_height >= 0:
        return target_width, target_height
    return padded(size, left + extra_padding, top + extra_padding, right + extra_padding, bottom + extra_padding)


def pad_to_target(size: Size, target_width: int, target_height: int) -> tuple[int, int]:
    """ImagePadForOutpaintTargetSize: a larger picture is scaled down first."""
    scale = min(target_width / size.width, target_height / size.height)
    width, height = (int(size.width * scale), int(size.height * scale)) if scale < 1 else (size.width, size.height)
    return max(target_width, width), max(target_height, height)


def load_and_resize(inputs: Inputs, context: Context) -> Outcome:
    """LoadAndResizeImage: a file, and its width and height."""
    after = loaded_picture(inputs, "image", context)
    if inputs.known("resize", False):
        width, height = inputs.known("width", 512), inputs.known("height", 512)
        proportional = inputs.known("keep_proportion", False)
        size = fitted(after, width, height) if proportional else stretched(after, width, height)
        after = after.sized(*divisible(*size, inputs.known("divisible_by", 2)))
    return Outcome((after, UNKNOWN, after.width, after.height))


def concatenated(inputs: Inputs, context: Context) -> Outcome:
    """ImageConcatMulti: one after the other; a picture that is missing is a black one like the first."""
    first = whole = inputs.needed("image_1", Picture)
    direction, match = inputs.known("direction", "right"), inputs.known("match_image_size", False)
    for number in range(2, min(inputs.known("inputcount", 2), MOST_PICTURES) + 1):
        name = f"image_{number}"
        other = inputs.needed(name, Picture) if inputs.has(name) else first
        whole = Picture(*joined(whole, other, direction, match, first))
    return Outcome((whole,))


MOST_PICTURES = 1000
"""Most inputs of ImageConcatMulti."""


def labelled(size: Size, height: int, direction: str) -> tuple[int, int]:
    """AddLabel: a strip above or below. A height of -1 follows from the text; beside the picture it is turned."""
    if direction == "overlay":
        return size.width, size.height
    if height < 0 or direction not in ("up", "down"):
        raise NotKnownError(UNKNOWN)
    return size.width, size.height + height


def _proportional(size: Size, width: int, height: int, both_zero: tuple[int, int] | None = None) -> tuple[int, int]:
    """As large as fits, in proportion; a side of 0 is no limit."""
    if width == height == 0:
        return both_zero or (size.width, size.height)
    if width == 0:
        return round(size.width * (height / size.height)), height
    if height == 0:
        return width, round(size.height * (width / size.width))
    return fitted(size, width, height)


KJNODES: Mapping[str, Kind] = {
    "ImageResizeKJ": resized(
        resize, gives="image width height", width=512, height=512, keep_proportion=False, divisible_by=2,
        get_image_size=PICTURE,
    ),
    "ImageResizeKJv2": resized(
        resize_v2, gives="image width height mask", width=512, height=512, keep_proportion="stretch", divisible_by=2,
        upscale_method="nearest-exact",
    ),
    "LoadAndResizeImage": Kind(
        ("image", "resize", "width", "height", "keep_proportion", "divisible_by"), load_and_resize
    ),
    "ImagePadKJ": resized(
        pad, gives="image mask", left=0, right=0, top=0, bottom=0, extra_padding=0, target_width=-1, target_height=-1
    ),
    "ImagePadForOutpaintMasked": resized(padded, gives="image mask", left=0, top=0, right=0, bottom=0),
    "ImagePadForOutpaintTargetSize": resized(pad_to_target, gives="image mask", target_width=0, target_height=0),
    "ImageConcanate": resized(
        lambda size, image2, direction, match_image_size: joined(size, image2, direction, match_image_size),
        image="image1", image2=PICTURE, direction="right", match_image_size=True,
    ),
    "ImageConcatMulti": Kind(
        lambda node: [name for name in node.inputs if name.startswith(("image_", "direction", "match", "inputcount"))],
        concatenated,
    ),
    "AddLabel": resized(labelled, keeps=False, height=48, direction="up"),
    "GetImageSizeAndCount": measures(gives="image width height count"),
    "ImagePass": passes("image"),
    "ImageBatchMulti": passes("image_1"),
    "GetImageRangeFromBatch": redrawn(image="images", gives="image mask"),
    "ReverseImageBatch": redrawn(image="images"),
    "ColorMatch": redrawn(image="image_target"),
    "ColorMatchV2": redrawn(image="image_target"),
    "ImageNoiseAugmentation": redrawn(),
    "ImageSharpenKJ": redrawn(),
    "RemapImageRange": redrawn(),
    "ImageUpscaleWithModelBatched": redrawn(image="images"),  # as ImageUpscaleWithModel
    **dict.fromkeys(
        ("ImageCropByMask", "ImageCropByMaskAndResize", "ImageCropByMaskBatch", "LoadImagesFromFolderKJ",
         "BatchCropFromMask", "BatchCropFromMaskAdvanced", "WebcamCaptureCV2", "Screencap_mss"),
        at_run(),
    ),
    "AudioConcatenate": sounding(joined_sounds, audio="audio1", audio2=SOUND),
    "INTConstant": passes("value"),
    "FloatConstant": computed(lambda value: (round(value, 6),), value=0.0),
    "BOOLConstant": passes("value"),
    "StringConstant": passes("string"),
    "LazySwitchKJ": either("switch", "on_true", "on_false"),
    "VRAM_Debug": passes("any_input", "image_pass", "model_pass"),
    "DummyOut": passes("any_input"),
    "Sleep": passes("input"),
    "TimerNodeKJ": passes("any_input"),
}  # fmt: skip
