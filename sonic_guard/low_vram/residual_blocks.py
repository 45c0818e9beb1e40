"""Sonic's residual layers and the blocks of its UNet in chunks.

The spatial part of a residual layer treats frames independently. The temporal part treats positions independently,
except for its two group norms, whose statistics span all frames and positions: these are computed first, and then the
layer is applied to one horizontal band of the picture after the other.

Shapes: B guidance (CFG) branches, F latent frames, C channels, h × w positions.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from . import chunking
from .chunking import OwnedTensor, fill, fitting, take


def resample(chunk_size: int, layer: Any, forward: Callable[[Tensor], Tensor], scale: float, hidden: Tensor) -> Tensor:
    """A layer that scales pictures [B·F, C, h, w] by `scale`, in groups of frames."""
    rows, _, height, width = hidden.shape
    out = hidden.new_empty((rows, layer.out_channels, int(height * scale), int(width * scale)))
    return fill(out, fitting(chunk_size, hidden[0].numel(), rows), lambda group: forward(hidden[group]))


def residual(
    chunk_size: int, layer: Any, hidden_states: Tensor, temb: Tensor | None = None, image_only_indicator: Any = None
) -> Tensor:
    """A spatio-temporal residual layer: [B·F, C, h, w] → [B·F, C', h, w]."""
    return _layer(chunk_size, layer, [hidden_states], temb, image_only_indicator)


def down_block(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Tensor, tuple[OwnedTensor, ...]]:
    """A block of the UNet's first half that passes on the ownership of its skip connections."""
    sample, skips = forward(*args, **kwargs)
    return sample, tuple(map(OwnedTensor, skips))


def up_block(
    chunk_size: int,
    block: Any,
    last: bool,
    hidden_states: OwnedTensor | Tensor,
    res_hidden_states_tuple: tuple[OwnedTensor | Tensor, ...],
    temb: Tensor | None = None,
    image_only_indicator: Any = None,
    **context: Any,
) -> OwnedTensor | Tensor:
    """A block of the UNet's second half: every residual layer takes its input and a skip connection.

    The two are concatenated a few frames at a time and freed before the layer's temporal part. `context` goes to the
    attention layers. The result is an `OwnedTensor` except in the `last` block.
    """
    hidden = take(hidden_states)
    attentions = getattr(block, "attentions", None) or [None] * len(block.resnets)
    for layer, attention, skip in zip(block.resnets, attentions, reversed(res_hidden_states_tuple), strict=True):
        inputs = [hidden, take(skip)]
        del hidden
        hidden = _layer(chunk_size, layer, inputs, temb, image_only_indicator)
        if attention is not None:
            hidden = attention(hidden, image_only_indicator=image_only_indicator, return_dict=False, **context)[0]
    for upsampler in block.upsamplers or ():
        hidden = upsampler(hidden)
    return hidden if last else OwnedTensor(hidden)


def _layer(chunk_size: int, layer: Any, inputs: list[Tensor], temb: Tensor | None, indicator: Tensor) -> Tensor:
    """A residual layer on `inputs`, concatenated by channels; empties the list to free them early."""
    hidden = _spatial(chunk_size, layer.spatial_res_block, inputs, temb, indicator.shape[1])
    branches, frames = indicator.shape
    videos = hidden.unflatten(0, (branches, frames)).transpose(1, 2)  # [B, C, F, h, w]
    times = None if temb is None else temb.unflatten(0, (branches, frames))
    for branch in range(branches):
        one = slice(branch, branch + 1)
        _over_time(chunk_size, layer, videos[one], None if times is None else times[one], indicator[one])
    return hidden


def _spatial(chunk_size: int, spatial: Any, inputs: list[Tensor], temb: Tensor | None, frames: int) -> Tensor:
    rows, _, height, width = inputs[0].shape

    def some(group: slice) -> Tensor:
        here = torch.cat([tensor[group] for tensor in inputs], 1) if len(inputs) > 1 else inputs[0][group]
        return spatial(here, None if temb is None else temb[group])

    out = inputs[0].new_empty((rows, spatial.out_channels, height, width))
    fill(out, fitting(chunk_size, out[0].numel(), frames), some)
    inputs.clear()
    return out


def _over_time(chunk_size: int, layer: Any, video: Tensor, temb: Tensor | None, indicator: Tensor) -> None:
    """The temporal part and the blend; overwrites `video` [1, C, F, h, w]."""
    block = layer.temporal_res_block
    _, channels, frames, height, width = video.shape
    bands = chunking.groups(height, fitting(chunk_size, frames * channels * width, height))
    shift = None
    if block.time_emb_proj is not None:
        shift = block.time_emb_proj(block.nonlinearity(temb)).transpose(1, 2)[..., None, None]
    inner = torch.empty_like(video)
    norm = _norm(chunk_size, block.norm1, video)
    for band in bands:
        part = block.conv1(block.nonlinearity(norm(video[..., band, :])))
        inner[..., band, :] = part if shift is None else part + shift
        del part
    norm = _norm(chunk_size, block.norm2, inner)
    for band in bands:
        spatial = video[..., band, :]
        part = spatial + block.conv2(block.dropout(block.nonlinearity(norm(inner[..., band, :]))))
        spatial.copy_(layer.time_mixer(x_spatial=spatial, x_temporal=part, image_only_indicator=indicator))
        del part


def _norm(chunk_size: int, norm: Any, video: Tensor) -> Callable[[Tensor], Tensor]:
    """`norm`, a group norm over all of `video` [1, C, F, h, w], as a function that applies it to a part of it."""
    wide = torch.promote_types(video.dtype, torch.float32)
    _, channels, frames, height, width = video.shape
    together = channels // norm.num_groups
    sums = []
    for group in chunking.groups(frames, fitting(chunk_size, channels * height * width, frames)):
        rows = video[0, :, group].transpose(0, 1).reshape(-1, norm.num_groups, together * height * width)
        sums.append(torch.var_mean(rows.to(wide), dim=-1, correction=0))
        del rows
    variances, means = (torch.cat(column) for column in zip(*sums, strict=True))  # a row a frame
    variance = variances.mean(0) + means.var(0, correction=0)
    # With given statistics per channel, a batch norm is the same arithmetic in one kernel.
    mean, variance = means.mean(0).repeat_interleave(together), variance.repeat_interleave(together)
    weight, bias = norm.weight.to(wide), norm.bias.to(wide)

    def apply(part: Tensor) -> Tensor:
        if part.device.type == "mps":  # it does not support statistics in another number format
            part = part.to(wide)
        out = functional.batch_norm(part, mean, variance, weight, bias, training=False, eps=norm.eps)
        return out.to(video.dtype)

    return apply
