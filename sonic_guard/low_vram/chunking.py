"""Helpers for work in chunks, and for replacing a module's `forward` temporarily."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Undo = Callable[[], None]


def groups(total: int, size: int) -> list[slice]:
    """Slices of `size` rows that cover `total` rows; the last one may be shorter."""
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def fitting(chunk_size: int, activations: int, total: int) -> int:
    """How many of `total` rows, of `activations` numbers each, fit into a chunk of `chunk_size`: at least one."""
    return max(1, min(total, chunk_size // activations))


def fill(out: Tensor, size: int, make: Callable[[slice], Tensor]) -> Tensor:
    """Compute `out` [total, …] in groups of `size` rows with `make`, and return it.

    `out` is allocated before the first group, so that all groups of one size need the same memory.
    """
    for rows in groups(out.shape[0], size):
        out[rows] = make(rows)
    return out


def replace(module: nn.Module, forward: Callable[..., Any]) -> Undo:
    """Replace the `forward` of the instance `module`; the returned function restores the previous one."""
    before = module.__dict__.get("forward")
    module.__dict__["forward"] = forward

    def undo() -> None:
        if before is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = before

    return undo


class OwnedTensor:
    """A tensor that is passed from one block to a later one together with its ownership.

    The UNet, which calls the blocks, keeps a reference to whatever it passes on until the next block returns. After
    `take` this object holds no tensor, so that the block can free it earlier.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor: Tensor | None = tensor

    def take(self) -> Tensor:
        """The tensor, which this object gives up. May be called once."""
        tensor, self._tensor = self._tensor, None
        assert tensor is not None, "a tensor was taken twice"  # noqa: S101
        return tensor


def take(passed: OwnedTensor | Tensor) -> Tensor:
    """The tensor in an `OwnedTensor`, which gives it up; a plain tensor unchanged."""
    return passed.take() if isinstance(passed, OwnedTensor) else passed
