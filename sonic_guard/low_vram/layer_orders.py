"""Runs the UNet's layers in chunks: the same numbers with less memory at a time.

`enable` replaces `forward` on instances of the wrapper's own modules and returns a function that restores it. No class
is patched, and no code of the wrapper is repeated except the calls between its layers.

Shapes: B guidance (CFG) branches, F latent frames, T = h·w positions, C channels.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..job import MIN_CHUNK_SIZE
from ..optimizations import REORDERING, Optimization
from . import chunking, shared_prompts
from .chunking import Undo, fill, fitting, replace
from .residual_blocks import down_block, resample, residual, up_block

FF_CHUNKS = 8
"""Number of chunks of a feed-forward layer's rows."""


def enable(
    unet: Any,
    optimizations: Iterable[Optimization],
    *,
    chunk_size: int = MIN_CHUNK_SIZE,
    device: torch.device | None = None,
) -> Undo:
    """Make `unet` run with those of `optimizations` that concern its layers; others are ignored.

    `chunk_size` is the number of activations that a layer takes at a time with layer chunking. With
    `Optimization.TENSOR_OFFLOAD` the UNet accepts its inputs on any device, runs on `device`, and returns its result
    on the device of the input. Returns a function that restores the stock order.
    """
    optimizations = frozenset(optimizations)
    with ExitStack() as undo:
        if not REORDERING.isdisjoint(optimizations):  # without them, every bit stays
            undo.callback(shared_prompts.enable(_named(unet, "TransformerSpatioTemporalModel")))
        if Optimization.FEED_FORWARD_CHUNKING in optimizations:
            for module in _named(unet, "FeedForward"):
                undo.callback(replace(module, partial(_chunked, module.forward)))
        if Optimization.LAYER_CHUNKING in optimizations:
            for step in _by_blocks(unet, chunk_size):
                undo.callback(step)
        if optimizations & {Optimization.SEQUENTIAL_CFG, Optimization.TENSOR_OFFLOAD}:
            size = 1 if Optimization.SEQUENTIAL_CFG in optimizations else None
            to = device if Optimization.TENSOR_OFFLOAD in optimizations else None
            undo.callback(replace(unet, partial(_at_border, unet.forward, size, to)))
        return undo.pop_all().close


def _by_blocks(unet: Any, chunk_size: int) -> Iterator[Undo]:
    for module in _named(unet, "TransformerSpatioTemporalModel"):
        yield replace(module, partial(_transformer, chunk_size, module))
    for module in _named(unet, "SpatioTemporalResBlock"):
        yield replace(module, partial(residual, chunk_size, module))
    for module in _named(unet, "Upsample2D"):
        yield replace(module, partial(resample, chunk_size, module, module.forward, 2.0))
    for module in _named(unet, "Downsample2D"):
        yield replace(module, partial(resample, chunk_size, module, module.forward, 0.5))
    for block in unet.down_blocks:
        yield replace(block, partial(down_block, block.forward))
    for block in unet.up_blocks:
        yield replace(block, partial(up_block, chunk_size, block, block is unet.up_blocks[-1]))


def _named(root: nn.Module, class_name: str) -> Iterator[Any]:
    # By name: the classes are those of the installed diffusers and of the wrapper, wherever that is installed.
    return (module for module in root.modules() if type(module).__name__ == class_name)


def _at_border(
    forward: Callable[..., Any],
    size: int | None,
    device: torch.device | None,
    sample: Tensor,
    timestep: Any,
    encoder_hidden_states: tuple[Tensor, list[Tensor]],
    added_time_ids: Tensor,
    spatial_condition: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor]:
    """The UNet on [B, F, 8, h, w], called with `size` branches at a time, or with all: they are independent.

    With a `device`, each call's inputs are moved there, and its result is moved back to the device of `sample`.
    """
    clip, prompts = encoder_hidden_states
    branches, frames = sample.shape[:2]
    kwargs = {**_on(device, kwargs), "return_dict": False}

    def some(branch: slice) -> Tensor:
        rows = slice(branch.start * frames, branch.stop * frames)
        whole = (sample[branch], timestep, (clip[rows], [prompt[rows] for prompt in prompts]), added_time_ids[branch])
        latents, time, context, ids = _on(device, whole)
        pose = None if spatial_condition is None else _on(device, spatial_condition[branch])
        out = forward(
            latents, time, encoder_hidden_states=context, added_time_ids=ids, spatial_condition=pose, **kwargs
        )[0]
        return out.to(sample.device)

    step = size or branches
    return (torch.cat([some(slice(first, first + step)) for first in range(0, branches, step)]),)


def _on(device: torch.device | None, value: Any) -> Any:
    """`value` with the tensors in it on `device`."""
    if device is None:
        return value
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _on(device, each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_on(device, each) for each in value)
    return value


def _chunked(forward: Callable[..., Tensor], hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A feed-forward layer on [..., C] in `FF_CHUNKS` chunks of rows, which are independent."""
    rows = hidden.reshape(-1, hidden.shape[-1])
    size = -(-rows.shape[0] // FF_CHUNKS)
    out = fill(torch.empty_like(rows), size, lambda chunk: forward(rows[chunk], *args, **kwargs))
    return out.reshape(hidden.shape)


def _transformer(
    chunk_size: int,
    model: Any,
    hidden_states: Tensor,
    encoder_hidden_states: tuple[Tensor, list[Tensor]],
    cross_attention_kwargs: dict[str, Any] | None = None,
    image_only_indicator: Tensor | None = None,
    return_dict: bool = True,
) -> tuple[Tensor]:
    """Sonic's spatio-temporal transformer on [B·F, C, h, w], with the intermediates of one group at a time.

    The spatial half does not mix frames and the temporal half does not mix positions, so each runs in groups. The
    temporal half's blend overwrites the spatial half's output. The result overwrites the input, which Sonic does not
    use afterwards.
    """
    assert image_only_indicator is not None, "Sonic always passes image_only_indicator"  # noqa: S101
    rows, _, height, width = hidden_states.shape
    branches, frames = image_only_indicator.shape
    positions, channels = height * width, model.inner_dim
    by_frame = chunking.groups(rows, fitting(chunk_size, positions * channels, frames))
    by_position = chunking.groups(positions, fitting(chunk_size, frames * channels, positions))
    clip, prompts = encoder_hidden_states
    time_context = [tensor.reshape(branches, frames, *tensor.shape[-2:]).mean(1) for tensor in (clip, *prompts)]
    frame_embedding = _frame_embedding(model, branches, frames, hidden_states)

    tokens = hidden_states.new_empty((rows, positions, channels))
    for group in by_frame:
        part = model.norm(hidden_states[group]).permute(0, 2, 3, 1).flatten(1, 2)
        tokens[group] = model.proj_in(part)
        del part

    for spatial, temporal in zip(model.transformer_blocks, model.temporal_transformer_blocks, strict=True):
        for group in by_frame:
            context = (clip[group], [prompt[group] for prompt in prompts])
            tokens[group] = spatial(
                tokens[group], encoder_hidden_states=context, cross_attention_kwargs=cross_attention_kwargs
            )
        for group in by_position:
            spatial_out = tokens[:, group]
            context = [_for_positions(tensor, spatial_out.shape[1]) for tensor in time_context]
            temporal_out = temporal(
                spatial_out + frame_embedding, num_frames=frames, encoder_hidden_states=(context[0], context[1:])
            )
            tokens[:, group] = model.time_mixer(
                x_spatial=spatial_out, x_temporal=temporal_out, image_only_indicator=image_only_indicator
            )
            del temporal_out, context

    for group in by_frame:
        hidden_states[group] += model.proj_out(tokens[group]).unflatten(1, (height, width)).permute(0, 3, 1, 2)
    return (hidden_states,)


def _frame_embedding(model: Any, branches: int, frames: int, like: Tensor) -> Tensor:
    """The embedding of every row's frame number: [B·F, 1, C]."""
    numbers = torch.arange(frames, device=like.device).repeat(branches)
    return model.time_pos_embed(model.time_proj(numbers).to(like.dtype))[:, None]


def _for_positions(context: Tensor, positions: int) -> Tensor:
    """[B, L, C] repeated for every position: [B·positions, L, C], without a copy for a single branch."""
    return context[:, None].expand(-1, positions, -1, -1).flatten(0, 1)
