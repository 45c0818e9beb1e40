"""Runs the decoder of ComfyUI's video VAE with fewer copies of a frame at a time: the same bits.

A residual layer of it holds up to seven tensors of its size at once: its input, the input and output of its temporal
part, and what it computes to blend the two. Here the temporal part frees each result when the next one is there, and
the blend overwrites its operands.

Shapes: n frames of one clip, C channels, h × w positions.
"""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .chunking import Undo, replace

log = logging.getLogger(__name__)

_CLASS = "VideoResBlock"
_TRIED_SIDE = 8
"""Pixels per side of what both ways are compared on, once a layer."""


def enable(vae: Any) -> Undo:
    """Have the decoder of `vae`, a VAE of ComfyUI, run so; one of another kind is left as it is.

    Returns a function that restores the stock order.
    """
    decoder = getattr(getattr(vae, "first_stage_model", None), "decoder", None)
    with ExitStack() as undo:
        if isinstance(decoder, nn.Module):
            for module in decoder.modules():
                if spatial := _spatial_part(module):
                    undo.callback(replace(module, _Layer(module, module.forward, spatial)))
        return undo.pop_all().close


def _spatial_part(module: Any) -> Callable[..., Tensor] | None:
    """The forward of the class that ComfyUI's video layer extends; None for other modules, and unknown variants."""
    # By name, because ComfyUI is not always there; its layers are of a class made from that one.
    video: Any = next((each for each in type(module).__mro__ if each.__name__ == _CLASS), None)
    stack = getattr(module, "time_stack", None)
    if video is None or stack is None or stack.updown or not stack.skip_t_emb or stack.use_scale_shift_norm:
        return None
    above: Any = super(video, module)
    return above.forward if isinstance(stack.skip_connection, nn.Identity) else None


@cache
def _tell() -> None:
    """Once is enough."""
    log.warning("low VRAM: this ComfyUI's VAE is not known here; it decodes in its own way, with more memory.")


class _Layer:
    """The forward of one residual layer."""

    def __init__(self, layer: Any, stock: Callable[..., Tensor], spatial: Callable[..., Tensor]) -> None:
        self._layer, self._stock, self._spatial = layer, stock, spatial
        self._is_same: bool | None = None
        """Whether this layer computes what is known here; None before it was tried."""

    def __call__(self, hidden: Tensor, temb: Any, skip_video: Any = False, timesteps: Any = None) -> Tensor:
        """[n, C, h, w] → [n, C', h, w]. ComfyUI gives no `temb`, and neither of the others with one clip."""
        if skip_video or timesteps or temb is not None:
            return self._stock(hidden, temb, skip_video, timesteps)
        if self._is_same is None:
            self._is_same = self._agrees(hidden[:, :, :_TRIED_SIDE, :_TRIED_SIDE])
        return self._lean(hidden) if self._is_same else self._stock(hidden, None)

    def _agrees(self, hidden: Tensor) -> bool:
        """Whether both ways give the same here: a later ComfyUI may compute something else."""
        wanted, found = self._stock(hidden, None), self._lean(hidden)
        same = (wanted.shape, wanted.dtype) == (found.shape, found.dtype)
        if same and not found.is_meta:  # shape tracing has no numbers
            same = torch.allclose(found, wanted, rtol=1e-2, atol=1e-2, equal_nan=True)
        if not same:
            _tell()
        return same

    def _lean(self, hidden: Tensor) -> Tensor:
        spatial = self._spatial(hidden, None).unflatten(0, (1, -1)).transpose(1, 2)  # [1, C, n, h, w]
        out = self._temporal(spatial)
        alpha = self._layer.get_alpha(bs=1).to(out.device)
        if torch.result_type(out, alpha) is not out.dtype:
            return (alpha * out + (1.0 - alpha) * spatial).transpose(1, 2).flatten(0, 1)
        out.mul_(alpha).add_(spatial.mul_(1.0 - alpha))
        return out.transpose(1, 2).flatten(0, 1)

    def _temporal(self, spatial: Tensor) -> Tensor:
        """The temporal part of `spatial`, which is not changed."""
        hidden, before = spatial, None
        for module in (*self._layer.time_stack.in_layers, *self._layer.time_stack.out_layers):
            if type(module) is nn.SiLU and isinstance(before, nn.GroupNorm):
                hidden = functional.silu(hidden, inplace=True)
            else:
                hidden = module(hidden)
            before = module
        return spatial + hidden
