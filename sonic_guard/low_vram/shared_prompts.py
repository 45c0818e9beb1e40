"""Projects the prompts of Sonic's temporal layers once for each guidance branch, not once for each position.

A temporal layer sees one prompt for all positions of a branch, and the wrapper repeats it for every position before the
layer projects it to keys and values: 4 % of a pass's arithmetic. Here each prompt is projected once, and its keys and
values are repeated. The numbers are the same but for rounding: every row is the same sum of the same products.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from torch import Tensor, nn

from .chunking import Undo, replace


def enable(transformers: Iterator[Any]) -> Undo:
    """Share the projections in the temporal layers of `transformers`; the returned function ends it."""
    with ExitStack() as undo:
        for model in transformers:
            branches = _Branches()
            undo.callback(model.register_forward_pre_hook(branches.note, with_kwargs=True).remove)
            for block in model.temporal_transformer_blocks:
                for layer in _projections(block.attn2):
                    undo.callback(replace(layer, partial(_project, layer.forward, branches)))
        return undo.pop_all().close


class _Branches:
    """How many guidance branches a transformer computes, as its call says."""

    count = 1

    def note(self, _model: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        self.count = kwargs["image_only_indicator"].shape[0]


def _projections(attention: Any) -> Iterator[nn.Module]:
    """The layers that make keys and values from a prompt: of the picture's, and of the sounds' adapters."""
    processor = attention.processor
    yield from (attention.to_k, attention.to_v, *processor.to_k_ip, *processor.to_v_ip)


def _project(forward: Callable[[Tensor], Tensor], branches: _Branches, prompts: Tensor) -> Tensor:
    """The projection of prompts [B·positions, tokens, C], of which those of a branch are equal."""
    each = prompts.unflatten(0, (branches.count, -1))
    out = forward(each[:, 0])
    return out[:, None].expand(-1, each.shape[1], -1, -1).flatten(0, 1)
