"""Host memory for thousands of small tensors.

Each by itself, made while larger ones go, they would leave holes that C's allocator can neither use nor give back:
three times the memory for the prompts of a long sound. On a shelf they lie in pieces so large that the system gives
each for itself, and takes it back when the last of its tensors goes.
"""

import math

import torch
from torch import Tensor

SLAB_BYTES = 1 << 26
"""Of one piece. The allocators of C and Windows serve requests beyond 32 MiB and 1 MiB past their heaps."""
SMALL_BYTES = 1 << 12
"""Below it a tensor is not worth a place of its own."""


class HostTensorPool:
    """Where copies of tensors are put in host memory."""

    def __init__(self) -> None:
        self._free: dict[tuple[torch.Size, torch.dtype], list[Tensor]] = {}
        self._taken = 0

    def put(self, tensor: Tensor, dtype: torch.dtype | None = None, *, more: int | None = None) -> Tensor:
        """A copy of `tensor` in host memory, converted to `dtype` if given; itself where it is just that already.

        `more` says how many may follow at the most, where that is known.
        """
        kind = dtype or tensor.dtype
        if (tensor.device.type, tensor.dtype) == ("cpu", kind):
            return tensor
        size = math.prod(tensor.shape) * kind.itemsize
        if size < SMALL_BYTES:
            return tensor.to("cpu", kind)
        free = self._free.setdefault((tensor.shape, kind), [])
        if not free:
            # As many again as there are: of a few tensors little is left over.
            rows = min(-(-SLAB_BYTES // size), self._taken + 1)
            rows = rows if more is None else min(rows, more + 1)
            free.extend(torch.empty((rows, *tensor.shape), dtype=kind, device="cpu").unbind())
        self._taken += 1
        return free.pop().copy_(tensor)
