"""Work cut into pieces, and another `forward` put on a module for a while."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Undo = Callable[[], None]


def groups(total: int, size: int) -> list[slice]:
    """Cut `total` rows into slices of `size`, the last one shorter where it must be."""
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def fitting(chunk_size: int, activations: int, total: int) -> int:
    """How many of `total` rows of `activations` each make up a piece: at least one."""
    return max(1, min(total, chunk_size // activations))


def fill(out: Tensor, size: int, make: Callable[[slice], Tensor]) -> Tensor:
    """Write what `make` gives for each group of `size` rows into `out` [total, …], and return it.

    `out` is there from the first group on, so that every group of a size needs the same.
    """
    for rows in groups(out.shape[0], size):
        out[rows] = make(rows)
    return out


def replace(module: nn.Module, forward: Callable[..., Any]) -> Undo:
    """Let `module` run `forward`; the function returned puts back what it ran before."""
    before = module.__dict__.get("forward")
    module.__dict__["forward"] = forward

    def undo() -> None:
        if before is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = before

    return undo


class Handed:
    """A tensor on its way from one block to a later one, which takes it for good.

    The blocks' caller keeps what passes through its hands until the next block has returned; of this it
    keeps an empty shell.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor: Tensor | None = tensor

    def take(self) -> Tensor:
        """The tensor; only once."""
        tensor, self._tensor = self._tensor, None
        assert tensor is not None, "a tensor was taken twice"  # noqa: S101
        return tensor


def taken(handed: Handed | Tensor) -> Tensor:
    """What was handed over, or a tensor as it is."""
    return handed.take() if isinstance(handed, Handed) else handed
