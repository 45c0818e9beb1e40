"""A pool of host memory for thousands of small tensors.

Allocated one by one, while larger tensors are freed, they fragment the heap of the C allocator: the prompts of a long
sound take three times their size. The pool places them in slabs so large that the allocator maps each directly from
the system, and unmaps it when the last of its tensors is freed.
"""

import math

import torch
from torch import Tensor

HOST = torch.device("cpu")
SLAB_BYTES = 1 << 26
"""Size of a slab. glibc's and Windows' allocators map requests above 32 MiB and 1 MiB directly."""
SMALL_BYTES = 1 << 12
"""Tensors below this size are not pooled."""


class HostTensorPool:
    """Copies tensors to host memory, tensors of one shape and type into shared slabs."""

    def __init__(self) -> None:
        self._free: dict[tuple[torch.Size, torch.dtype], list[Tensor]] = {}
        self._taken = 0

    def put(self, tensor: Tensor, dtype: torch.dtype | None = None, *, more: int | None = None) -> Tensor:
        """A copy of `tensor` in host memory, converted to `dtype` if given; `tensor` itself if it already is that.

        `more` is the largest number of tensors that may follow, if known.
        """
        kind = dtype or tensor.dtype
        if (tensor.device.type, tensor.dtype) == (HOST.type, kind):
            return tensor
        size = math.prod(tensor.shape) * kind.itemsize
        if size < SMALL_BYTES:
            return tensor.to(HOST, kind)
        free = self._free.setdefault((tensor.shape, kind), [])
        if not free:
            # Doubling: with few tensors, little of a slab stays unused.
            rows = min(-(-SLAB_BYTES // size), self._taken + 1)
            rows = rows if more is None else min(rows, more + 1)
            free.extend(torch.empty((rows, *tensor.shape), dtype=kind, device=HOST).unbind())
        self._taken += 1
        return free.pop().copy_(tensor)
