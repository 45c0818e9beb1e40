"""A picture that is the same in every frame, and is kept once."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor


def repeat_as_view(picture: Tensor) -> Tensor:
    """`picture`, of which a repetition takes no memory of its own.

    The wrapper repeats the latents of its one picture for every frame of the clip. Whatever else is done
    to the result is done as ever, and gives plain tensors. A tensor of a special kind stays what it is.
    """
    return picture.as_subclass(_ExpandedView) if type(picture) is Tensor else picture


class _ExpandedView(Tensor):
    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Iterable[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            if func is Tensor.repeat and (once := _expanded(*args)) is not None:
                return once
            out = func(*args, **(kwargs or {}))
        # What the wrapper does to the picture before it repeats it.
        return out.as_subclass(cls) if func in (torch.zeros_like, torch.cat, Tensor.unsqueeze) else out


def _expanded(picture: Tensor, *times: Any) -> Tensor | None:
    """The repetition as a view; None where it is none."""
    times = times[0] if len(times) == 1 and not isinstance(times[0], int) else times
    if len(times) != picture.dim() or any(size > 1 < count for size, count in zip(picture.shape, times, strict=True)):
        return None
    sizes = [size * count for size, count in zip(picture.shape, times, strict=True)]
    return picture.as_subclass(Tensor).expand(sizes)
