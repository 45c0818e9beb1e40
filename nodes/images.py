"""ComfyUI's IMAGE, on its way in and out of the nodes."""

from collections.abc import Iterable
from typing import Any

import torch
from PIL import Image


def as_batch(image: Any) -> Any:
    """`image` as floats [B, H, W, 3], the one shape Sonic takes; a view: alpha is dropped, grey repeated."""
    batch = image if image.ndim == 4 else image[None]
    return batch[..., :3] if batch.shape[-1] >= 3 else batch.expand(-1, -1, -1, 3)


def from_rgb(rgb: Any) -> torch.Tensor:
    """A uint8 picture [H, W, 3] as an IMAGE of one."""
    return torch.from_numpy(rgb).float().div(255)[None]


def from_rgbs(pictures: Iterable[Any]) -> torch.Tensor:
    """Pictures of one size, each uint8 [H, W, 3], as an IMAGE."""
    return torch.cat([from_rgb(picture) for picture in pictures])


def as_pil(frame: torch.Tensor) -> Image.Image:
    """A frame [H, W, 3] in 0 … 1 as the host's previews take it."""
    return Image.fromarray(frame.clamp(0, 1).mul(255).round().byte().cpu().numpy())
