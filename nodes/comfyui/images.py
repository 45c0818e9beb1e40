"""ComfyUI's IMAGE, in and out of the nodes."""

from collections.abc import Iterable
from typing import Any

import torch
from PIL import Image

from ...sonic_guard.errors import PictureError
from ...sonic_guard.media import picture
from ...sonic_guard.operations.face_box import Portrait, portrait_of


def as_tensor(image: Any) -> torch.Tensor:
    """`image`, if it is a tensor of a picture's shape with its values in memory; ComfyUI does not check that.

    Raises `PictureError` for anything else. The values themselves are checked by `picture.from_batch`.
    """
    if not isinstance(image, torch.Tensor):
        raise PictureError(f"image: expected an IMAGE, got {type(image).__name__}. Connect an IMAGE output.")
    shape = "×".join(map(str, image.shape))
    if image.ndim not in (3, 4) or image.numel() == 0:
        raise PictureError(
            f"image: its shape is {shape or 'that of a number'}, but an IMAGE is batch × height × width "
            "× channels, none of them 0. Check the node that makes it."
        )
    if image.is_meta or image.layout is not torch.strided:
        raise PictureError("image: it is a tensor without its pixels in memory. Check the node that makes it.")
    return image


def first_portrait(image: Any) -> Portrait:
    """The first picture of an IMAGE as an operation takes it. Raises `PictureError` for what is no picture."""
    return portrait_of(picture.from_batch(as_tensor(image))[0])


def as_batch(image: Any) -> Any:
    """`image` as floats [B, H, W, 3], the shape that Sonic takes; a view: alpha is dropped, grey repeated."""
    batch = image if image.ndim == 4 else image[None]
    return batch[..., :3] if batch.shape[-1] >= 3 else batch.expand(-1, -1, -1, 3)


def from_rgb(rgb: Any) -> torch.Tensor:
    """A uint8 picture [H, W, 3] as an IMAGE of one."""
    return torch.from_numpy(rgb).float().div(255)[None]


def from_rgbs(pictures: Iterable[Any]) -> torch.Tensor:
    """Pictures of one size, each uint8 [H, W, 3], as an IMAGE."""
    return torch.cat([from_rgb(picture) for picture in pictures])


def as_rgb(frame: torch.Tensor) -> Any:
    """A frame [H, W, 3] in 0 … 1 as uint8."""
    return frame.clamp(0, 1).mul(255).round().byte().contiguous().cpu().numpy()


def as_pil(frame: torch.Tensor) -> Image.Image:
    """A frame [H, W, 3] in 0 … 1 as ComfyUI's previews take it."""
    return Image.fromarray(as_rgb(frame))
