"""ComfyUI's IMAGE, on its way in and out of the nodes."""

from typing import Any

import torch


def as_batch(image: Any) -> Any:
    """`image` as floats [B, H, W, 3], the one shape Sonic takes; a view: alpha is dropped, grey repeated."""
    batch = image if image.ndim == 4 else image[None]
    return batch[..., :3] if batch.shape[-1] >= 3 else batch.expand(-1, -1, -1, 3)


def from_rgb(rgb: Any) -> torch.Tensor:
    """A uint8 picture [H, W, 3] as an IMAGE of one."""
    return torch.from_numpy(rgb).float().div(255)[None]
