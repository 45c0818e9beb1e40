"""A picture that is repeated for every frame as an expanded (stride-0) view, so that it is stored once."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor


def repeat_as_view(picture: Tensor) -> Tensor:
    """`picture` as a tensor whose `repeat` returns an expanded view instead of a copy.

    The wrapper repeats the latents of its picture for every frame of the clip. All other operations work as usual and
    return plain tensors. A tensor of a subclass is returned unchanged.
    """
    return picture.as_subclass(_ExpandedView) if type(picture) is Tensor else picture


class _ExpandedView(Tensor):
    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Iterable[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            if func is Tensor.repeat and (view := _expanded(*args)) is not None:
                return view
            out = func(*args, **(kwargs or {}))
        # The operations that the wrapper applies to the picture before it repeats it.
        return out.as_subclass(cls) if func in (torch.zeros_like, torch.cat, Tensor.unsqueeze) else out


def _expanded(picture: Tensor, *times: Any) -> Tensor | None:
    """The repetition as a view; None if it cannot be one."""
    times = times[0] if len(times) == 1 and not isinstance(times[0], int) else times
    if len(times) != picture.dim() or any(size > 1 < count for size, count in zip(picture.shape, times, strict=True)):
        return None
    sizes = [size * count for size, count in zip(picture.shape, times, strict=True)]
    return picture.as_subclass(Tensor).expand(sizes)
