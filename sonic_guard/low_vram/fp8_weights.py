"""Stores the UNet's large weights in 8 bits; each layer converts them to the network's number format when it runs.

Not exact: the format has 4 significant bits.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .chunking import Undo, replace

FORMAT = torch.float8_e4m3fn
MIN_STORED_NUMBERS = 1 << 14
"""Fewest numbers in a weight that is stored in 8 bits."""


def store(unet: Any) -> Undo:
    """Store the large weights in `unet`'s blocks in 8 bits, with one scale per output channel.

    The original weights are kept on their device, so `unet` should be in host memory. The returned function restores
    them.
    """
    with ExitStack() as undo:
        for _, layer in large_layers(unet):
            undo.callback(_store(layer))
        return undo.pop_all().close


def large_layers(unet: Any) -> Iterator[tuple[str, Any]]:
    """Name and module of the layers whose weights `store` replaces."""
    for name, layer in unet.named_modules():
        in_block = name.startswith(("down_blocks.", "mid_block.", "up_blocks."))
        if in_block and type(layer) in (nn.Linear, nn.Conv2d, nn.Conv3d) and layer.weight.numel() >= MIN_STORED_NUMBERS:
            yield name, layer


def _store(layer: Any) -> Undo:
    weight = layer.weight
    # In fp32: rounding in half precision could move a channel's largest weight out of the format's range.
    largest = weight.abs().amax(dim=tuple(range(1, weight.dim())), keepdim=True).float()
    scale = largest.clamp(min=1e-12) / torch.finfo(FORMAT).max
    layer.weight = nn.Parameter((weight / scale).to(FORMAT), requires_grad=False)
    layer.register_buffer("weight_scale", scale, persistent=False)
    undo_forward = replace(layer, partial(_forward, layer, weight.dtype))

    def undo() -> None:
        undo_forward()
        del layer.weight_scale
        layer.weight = weight

    return undo


def _forward(layer: Any, dtype: torch.dtype, hidden: Tensor) -> Tensor:
    weight = layer.weight.to(dtype).mul_(layer.weight_scale)
    if type(layer) is nn.Linear:
        return functional.linear(hidden, weight, layer.bias)
    return layer._conv_forward(hidden, weight, layer.bias)
