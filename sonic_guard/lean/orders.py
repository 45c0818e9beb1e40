"""Other orders of the UNet's arithmetic: the same numbers, fewer bytes at a time.

Every function here puts another `forward` on instances of the wrapper's own modules and returns a
function that takes it off again. No class is patched and no code of the wrapper is repeated except the
glue between its layers.

Shapes: B guidance branches, F latent frames, T = h·w positions, C channels.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..job import Lever

FF_CHUNKS = 8
"""Pieces a feed-forward layer's rows are cut into."""
GROUP_FRAMES = 2
"""Frames that go through a spatial layer together."""
GROUP_POSITIONS = 1024
"""Positions that go through a temporal attention layer together."""

Undo = Callable[[], None]


def groups(total: int, size: int) -> list[slice]:
    """Cut `total` rows into slices of `size`, the last one shorter where it must be."""
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def pull(unet: nn.Module, levers: Iterable[Lever]) -> Undo:
    """Run `unet` in the order that `levers` ask for; levers that do not concern the UNet are ignored.

    Returns a function that restores the stock order. Blocks go inside chunks inside branches, in
    whatever order the levers are named.
    """
    levers = frozenset(levers)
    undo: list[Undo] = []
    if Lever.FF in levers:
        undo += [_replace(module, partial(_chunked, module.forward)) for module in _named(unet, "FeedForward")]
    if Lever.BLOCK in levers:
        for module in _named(unet, "TransformerSpatioTemporalModel"):
            undo.append(_replace(module, partial(_transformer_by_blocks, module)))
        for module in _named(unet, "SpatioTemporalResBlock"):
            spatial = module.spatial_res_block
            undo.append(_replace(spatial, partial(_by_frames, spatial.forward)))
        for module in (*_named(unet, "Upsample2D"), *_named(unet, "Downsample2D")):
            undo.append(_replace(module, partial(_by_frames, module.forward)))
    if Lever.BRANCH in levers:
        undo.append(_replace(unet, partial(_branch_by_branch, unet.forward)))

    def restore() -> None:
        for step in reversed(undo):
            step()

    return restore


def _named(root: nn.Module, class_name: str) -> Iterator[Any]:
    # By name: the classes live in the user's diffusers and in the wrapper, wherever that is installed.
    return (module for module in root.modules() if type(module).__name__ == class_name)


def _replace(module: nn.Module, forward: Callable[..., Any]) -> Undo:
    before = module.__dict__.get("forward")
    module.__dict__["forward"] = forward

    def undo() -> None:
        if before is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = before

    return undo


def _filled(total: int, size: int, make: Callable[[slice], Tensor]) -> Tensor:
    """The rows that `make` gives for each group of `size`, together: [total, …]."""
    first, *rest = groups(total, size)
    part = make(first)
    out = part.new_empty((total, *part.shape[1:]))
    out[first] = part
    for rows in rest:
        del part  # before the next is made, or two would be held at once
        part = make(rows)
        out[rows] = part
    return out


def _branch_by_branch(
    forward: Callable[..., Any],
    sample: Tensor,
    timestep: Any,
    encoder_hidden_states: tuple[Tensor, list[Tensor]],
    added_time_ids: Tensor,
    **kwargs: Any,
) -> tuple[Tensor]:
    """The UNet on [B, F, 8, h, w] as B calls on [1, F, 8, h, w]: the branches never see each other."""
    clip, prompts = encoder_hidden_states
    branches, frames = sample.shape[:2]
    kwargs["return_dict"] = False

    def one(branch: slice) -> Tensor:
        rows = slice(branch.start * frames, branch.stop * frames)
        context = (clip[rows], [prompt[rows] for prompt in prompts])
        return forward(
            sample[branch],
            timestep,
            encoder_hidden_states=context,
            added_time_ids=added_time_ids[branch],
            **kwargs,
        )[0]

    return (_filled(branches, 1, one),)


def _chunked(forward: Callable[..., Tensor], hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A feed-forward layer on [..., C] in `FF_CHUNKS` pieces; every row is its own."""
    rows = hidden.reshape(-1, hidden.shape[-1])
    size = -(-rows.shape[0] // FF_CHUNKS)
    out = _filled(rows.shape[0], size, lambda chunk: forward(rows[chunk], *args, **kwargs))
    return out.reshape(*hidden.shape[:-1], out.shape[-1])


def _by_frames(forward: Callable[..., Tensor], hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A layer on [B·F, C, h, w] that treats every frame alone, by groups of `GROUP_FRAMES`.

    Arguments that have a row a frame (the time embedding) are cut with it.
    """
    frames = hidden.shape[0]

    def some(rows: slice) -> Tensor:
        here = [arg[rows] if isinstance(arg, Tensor) and arg.shape[:1] == (frames,) else arg for arg in args]
        return forward(hidden[rows], *here, **kwargs)

    return _filled(frames, GROUP_FRAMES, some)


def _transformer_by_blocks(
    model: Any,
    hidden_states: Tensor,
    encoder_hidden_states: tuple[Tensor, list[Tensor]],
    cross_attention_kwargs: dict[str, Any] | None = None,
    image_only_indicator: Tensor | None = None,
    return_dict: bool = True,
) -> tuple[Tensor]:
    """Sonic's spatio-temporal transformer on [B·F, C, h, w], without ever holding all of a layer's work.

    The spatial half never mixes frames and the temporal half never mixes positions, so each runs by
    groups, and the blend is written over the spatial half's rows.
    """
    assert image_only_indicator is not None, "Sonic always passes image_only_indicator"  # noqa: S101
    rows, _, height, width = hidden_states.shape
    branches, frames = image_only_indicator.shape
    clip, prompts = encoder_hidden_states
    time_context = [tensor.reshape(branches, frames, *tensor.shape[1:]).mean(1) for tensor in (clip, *prompts)]
    frame_embedding = _frame_embedding(model, branches, frames, hidden_states)

    tokens = hidden_states.new_empty((rows, height * width, model.inner_dim))
    for group in groups(rows, GROUP_FRAMES):
        part = model.norm(hidden_states[group]).permute(0, 2, 3, 1).flatten(1, 2)
        tokens[group] = model.proj_in(part)
        del part

    for spatial, temporal in zip(model.transformer_blocks, model.temporal_transformer_blocks, strict=True):
        for group in groups(rows, GROUP_FRAMES):
            context = (clip[group], [prompt[group] for prompt in prompts])
            tokens[group] = spatial(
                tokens[group], encoder_hidden_states=context, cross_attention_kwargs=cross_attention_kwargs
            )
        for group in groups(height * width, GROUP_POSITIONS):
            still = tokens[:, group]
            context = [_for_positions(tensor, still.shape[1]) for tensor in time_context]
            moving = temporal(
                still + frame_embedding, num_frames=frames, encoder_hidden_states=(context[0], context[1:])
            )
            tokens[:, group] = model.time_mixer(
                x_spatial=still, x_temporal=moving, image_only_indicator=image_only_indicator
            )
            del moving, context

    out = torch.empty_like(hidden_states)
    for group in groups(rows, GROUP_FRAMES):
        part = model.proj_out(tokens[group]).unflatten(1, (height, width)).permute(0, 3, 1, 2)
        out[group] = part + hidden_states[group]
        del part
    return (out,)


def _frame_embedding(model: Any, branches: int, frames: int, like: Tensor) -> Tensor:
    """The temporal position of every row: [B·F, 1, C]."""
    numbers = torch.arange(frames, device=like.device).repeat(branches)
    return model.time_pos_embed(model.time_proj(numbers).to(like.dtype))[:, None]


def _for_positions(context: Tensor, positions: int) -> Tensor:
    """[B, L, C] seen by every position: [B·positions, L, C], without a copy for a single branch."""
    return context[:, None].expand(-1, positions, -1, -1).flatten(0, 1)
