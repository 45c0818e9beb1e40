"""ComfyUI's own nodes for pictures, of 0.3.64 to 0.33.0.

They are in ``nodes.py``, and in the files ``nodes_images.py``, ``nodes_post_processing.py``, ``nodes_mask.py``,
``nodes_compositing.py`` and ``nodes_dataset.py`` of ``comfy_extras``.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from ...errors import GraphError
from ..context import Context, Outcome
from ..kind import Kind
from ..node_inputs import Inputs, NotKnownError, Picture, Unknown
from .builders import PICTURE, Size, first_of, made, measures, passes, redrawn, resized
from .file_loaders import picture_loader
from .picture_rules import cut, in_proportion, joined, longer_side, padded, shorter_side, total_pixels

SIZE: Final[Mapping[str, Any]] = {"width": 512, "height": 512}


def scaled_by(size: Size, factor: float) -> tuple[int, int]:
    """Both sides by a factor."""
    return round(size.width * factor), round(size.height * factor)


def turned(size: Size, rotation: str) -> tuple[int, int]:
    """ImageRotate: "90 degrees" and "270 degrees" swap the sides."""
    return (size.height, size.width) if rotation.startswith(("90", "270")) else (size.width, size.height)


def stitched(
    size: Size, image2: Size | None, direction: str, match_image_size: bool, spacing_width: int
) -> tuple[int, int]:
    """ImageStitch: a gap between the pictures has an even width."""
    width, height = joined(size, image2, direction, match_image_size)
    gap = (spacing_width + spacing_width % 2) if image2 else 0
    return (width + gap, height) if direction in ("left", "right") else (width, height + gap)


def covering_multiple(size: Size, multiple: int) -> tuple[int, int]:
    """The largest multiples within the picture; as it is if there are none."""
    width, height = size.width // multiple * multiple, size.height // multiple * multiple
    return (width, height) if width and height else (size.width, size.height)


def resized_by_type(size: Size, resize_type: str, resize_type_match: Size | None, **values: Any) -> tuple[int, int]:
    """ResizeImageMaskNode: the chosen way has settings of its own."""
    value = {name.removeprefix("resize_type_"): each for name, each in values.items()}
    match resize_type:
        case "scale dimensions":
            return in_proportion(size, value["width"], value["height"])
        case "scale by multiplier":
            return scaled_by(size, value["multiplier"])
        case "scale longer dimension":
            return longer_side(size, value["longer_size"])
        case "scale shorter dimension":
            return shorter_side(size, value["shorter_size"])
        case "scale width":
            return in_proportion(size, value["width"], 0)
        case "scale height":
            return in_proportion(size, 0, value["height"])
        case "scale total pixels":
            return whole_total_pixels(size, value["megapixels"])
        case "scale to multiple":
            return covering_multiple(size, max(1, value["multiple"]))
        case "match size" if resize_type_match:
            return resize_type_match.width, resize_type_match.height
    raise NotKnownError(Unknown())  # a way of a later version


def whole_total_pixels(size: Size, megapixels: float) -> tuple[int, int]:
    """As ImageScaleToTotalPixels, of a whole number of pixels."""
    factor = math.sqrt(int(megapixels * 1024 * 1024) / (size.width * size.height))
    return round(size.width * factor), round(size.height * factor)


def edge(size: Size, side: int, *, shorter: bool) -> tuple[int, int]:
    """ResizeImagesByShorterEdge and -LongerEdge: the other side is rounded down."""
    by_width = size.width < size.height if shorter else size.width > size.height
    if by_width:
        return side, int(size.height * (side / size.width))
    return int(size.width * (side / size.height)), side


def centred(size: Size, width: int, height: int) -> tuple[int, int]:
    """A crop no larger than the picture."""
    return min(size.width, width), min(size.height, height)


def crop_region(inputs: Inputs, context: Context) -> Outcome:
    """ImageCropV2, whose crop is one value."""
    picture, region = inputs.needed("image", Picture), inputs.value("crop_region")
    if isinstance(region, Unknown):
        raise NotKnownError(region)
    if not isinstance(region, Mapping) or not all(isinstance(each, int) for each in region.values()):
        raise GraphError("crop_region: expected x, y, width and height.")
    x, y, width, height = (region.get(name, default) for name, default in _REGION.items())
    return Outcome((picture.sized(*cut(picture, max(1, width), max(1, height), x, y)),))


_REGION = {"x": 0, "y": 0, "width": 512, "height": 512}


IMAGES: Mapping[str, Kind] = {
    "LoadImage": picture_loader("image"),
    "LoadImageOutput": picture_loader("image"),
    "EmptyImage": made(lambda width, height: (width, height), **SIZE),
    "ImageScale": resized(in_proportion, **SIZE),
    "ImageScaleBy": resized(lambda size, scale_by: scaled_by(size, scale_by), scale_by=1.0),
    "ImageScaleToTotalPixels": resized(
        lambda size, megapixels, resolution_steps: total_pixels(size, megapixels, max(1, resolution_steps)),
        megapixels=1.0, resolution_steps=1,
    ),
    "ImageScaleToMaxDimension": resized(lambda size, largest_size: longer_side(size, largest_size), largest_size=512),
    "ResizeImageMaskNode": resized(
        resized_by_type, image="input",
        **{
            "resize_type": "scale dimensions", "resize_type.match": PICTURE, "resize_type.width": 512,
            "resize_type.height": 512, "resize_type.multiplier": 1.0, "resize_type.longer_size": 512,
            "resize_type.shorter_size": 512, "resize_type.megapixels": 1.0, "resize_type.multiple": 8,
        },
    ),
    "ResizeImagesByShorterEdge": resized(
        lambda size, shorter_edge: edge(size, shorter_edge, shorter=True), image="images", shorter_edge=512
    ),
    "ResizeImagesByLongerEdge": resized(
        lambda size, longer_edge: edge(size, longer_edge, shorter=False), image="images", longer_edge=1024
    ),
    "ResizeAndPadImage": resized(lambda _, target_width, target_height: (target_width, target_height),
                                 target_width=512, target_height=512),
    "ImageCrop": resized(cut, **SIZE, x=0, y=0),
    "ImageCropV2": Kind(("image", "crop_region"), crop_region),
    "CenterCropImages": resized(centred, image="images", **SIZE),
    "RandomCropImages": resized(centred, image="images", **SIZE),
    "ImageCropToMask": made(lambda width, height: (width, height), width=1024, height=1024),
    "ImagePadForOutpaint": resized(padded, gives="image mask", left=0, top=0, right=0, bottom=0),
    "ImageStitch": resized(
        stitched, image="image1", image2=PICTURE, direction="right", match_image_size=True, spacing_width=0
    ),
    "ImageRotate": resized(turned, keeps=False, rotation="none"),
    "GetImageSize": measures(gives="width height count"),
    # Of a batch Sonic takes the first picture, and the first picture decides on the size of the others.
    "ImageBatch": passes("image1"),
    "BatchImagesNode": first_of("images."),
    "RepeatImageBatch": passes("image"),
    "RebatchImages": passes("images"),
    "ImageFromBatch": redrawn(),
    "SaveImage": passes("images"),
    "SaveImageAdvanced": passes("images"),
    "PreviewImage": passes("images"),
    "ImageBlend": redrawn(image="image1"),
    "ImageCompositeMasked": redrawn(image="destination"),
    "ColorTransfer": redrawn(image="image_target"),
    "SplitImageWithAlpha": redrawn(gives="image mask"),
    # The factor is the model's. Frames have the picture's proportions, which no factor changes.
    "ImageUpscaleWithModel": redrawn(),
    **dict.fromkeys(
        ("ImageFlip", "ImageInvert", "ImageBlur", "ImageSharpen", "ImageQuantize", "ImageAddNoise", "Canny",
         "Morphology", "JoinImageWithAlpha"),
        redrawn(),
    ),
    **dict.fromkeys(("NormalizeImages", "AdjustBrightness", "AdjustContrast"), redrawn(image="images")),
}  # fmt: skip
