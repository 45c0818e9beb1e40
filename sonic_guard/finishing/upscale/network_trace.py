"""What a network needs and sees, found by running it on tensors that have shapes and no data.

Every operation passes through a dispatch mode, which counts the bytes of live tensors and follows how far each result
depends on its surroundings. Nothing is computed, so a trace takes a moment whatever the size.

Imports torch: import this module lazily.
"""

import logging
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ...quiet_logs import quiet

_ALIGNMENT = 512
"""Bytes to a multiple of which torch's CUDA allocator rounds."""
_KEPT = frozenset(
    ("aten::clone", "aten::cat", "aten::_to_copy", "aten::contiguous", "aten::pixel_shuffle", "aten::pixel_unshuffle",
     "aten::channel_shuffle", "aten::_unsafe_view", "aten::_reshape_alias", "aten::reshape", "aten::constant_pad_nd",
     "aten::replication_pad2d", "aten::reflection_pad2d", "aten::copy_", "aten::empty_like", "aten::zeros_like",
     "aten::prelu", "aten::_prelu_kernel", "aten::pad", "aten::chunk", "aten::detach", "aten::dropout",
     "aten::upsample_nearest2d")
)  # fmt: skip
"""Operators that are not pointwise and mix no positions: each result depends on one place of what goes in."""
_RESIZED = {"aten::upsample_bilinear2d": 1, "aten::upsample_bicubic2d": 2}
"""Operators that interpolate, and how many pixels of what goes in they see to each side."""
_POOLED = frozenset(("aten::max_pool2d", "aten::max_pool2d_with_indices", "aten::avg_pool2d"))
_CONVOLUTIONS = frozenset(("aten::convolution", "aten::conv2d", "aten::_convolution", "aten::convolution_overrideable"))
_BATCHED = frozenset(("aten::bmm", "aten::baddbmm", "aten::scaled_dot_product_attention"))
_ANYWHERE = float("inf")


@dataclass(frozen=True)
class Trace:
    """One run of a network on a picture of a certain size."""

    pixels: int
    """Of the picture."""
    peak_elements: int
    """Most numbers in live tensors at a time, those of the picture and of the result included, without weights."""
    largest_elements: int
    """Numbers in the largest tensor."""
    largest_batch: int
    """Of a matrix product or an attention; 0 without."""
    reach: int | None
    """How many pixels of the picture to each side a pixel of the result depends on; None where there is no bound, or
    none that is known."""
    coarsest: int
    """Pixels of the picture in one of the coarsest tensor."""
    operations: int
    """Of convolutions, matrix products and attention."""


def trace(call: Callable[[Tensor], Tensor], channels: int, width: int, height: int, dtype: torch.dtype) -> Trace:
    """Run `call` on a picture without data, [1, channels, height, width] of `dtype`.

    Raises whatever the network raises that cannot run so, such as one that looks at values.
    """
    # Torch logs what cannot be traced, for nobody: the caller is told by the exception.
    silence = quiet(logging.CRITICAL + 1, FakeTensorMode.__module__)
    with torch.no_grad(), silence, FakeTensorMode(allow_non_fake_inputs=True), _Tracker(width) as tracker:
        picture = torch.empty((1, channels, height, width), dtype=dtype)
        tracker.begin(picture)
        reach = tracker.reach_of(call(picture))
    known = reach if reach is not None and tracker.coarsest == int(tracker.coarsest) else _ANYWHERE
    return Trace(
        width * height, tracker.peak, tracker.largest, tracker.largest_batch,
        ceil(known) if known < _ANYWHERE else None, int(tracker.coarsest), tracker.operations,
    )  # fmt: skip


class _Tracker(TorchDispatchMode):
    """Counts live numbers, and knows of each tensor how far it sees."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width
        self._live = self.peak = self.largest = self.largest_batch = self.operations = 0
        self.coarsest = 1.0
        self._seen: set[int] = set()
        self._reach: dict[int, float] = {}
        """By storage: what is written through a view is seen through all others."""

    def begin(self, picture: Tensor) -> None:
        """What depends on `picture` is followed from here on; the rest are weights."""
        self._reach[id(picture.untyped_storage())] = 0.0

    def reach_of(self, tensor: Tensor) -> float | None:
        """How far a tensor sees, in pixels of the picture; None if it does not depend on the picture."""
        return self._reach.get(id(tensor.untyped_storage()))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func.namespace == "aten" and "upsample" not in func._schema.name:  # of those, the parts say less
            with self:  # in inference mode, operators that consist of others arrive whole
                parts = func.decompose(*args, **given)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **given)
        inputs = [leaf for leaf in tree_leaves((args, given)) if isinstance(leaf, Tensor)]
        reach = self._reach_after(func, inputs, args)
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._count(leaf)
                if reach is not None:
                    self._reach[id(leaf.untyped_storage())] = max(reach, self.reach_of(leaf) or 0.0)
        if count := flop_registry.get(func._overloadpacket):
            self.operations += count(*args, **given, out_val=out)
        if func._schema.name in _BATCHED:
            self.largest_batch = max(self.largest_batch, inputs[0].shape[:-2].numel())
        return out

    def _reach_after(self, func: Any, inputs: list[Tensor], args: Any) -> float | None:
        known = [reach for reach in map(self.reach_of, inputs) if reach is not None]
        if not known:
            return None
        before, name, source = max(known), func._schema.name, inputs[0]
        if torch.Tag.pointwise in func.tags or func.is_view or name in _KEPT:
            return before
        if self.reach_of(source) is None or len(known) > 1 or source.ndim != 4:
            return _ANYWHERE  # weights that depend on the picture, or another order of dimensions
        if name in _CONVOLUTIONS:
            steps = (size - 1 for size in inputs[1].shape[-2:])
            return before + max(steps) * self._dilation(func, args) / 2 * self._pixel(source)
        if name in _POOLED:
            kernel = args[1] if isinstance(args[1], list | tuple) else [args[1]]
            return before + max(kernel) / 2 * self._pixel(source)
        if name in _RESIZED:
            return before + _RESIZED[name] * self._pixel(source)
        return _ANYWHERE

    def _dilation(self, func: Any, args: Any) -> int:
        names = [each.name for each in func._schema.arguments]
        at = names.index("dilation")
        value = args[at] if at < len(args) else 1
        return max(value) if isinstance(value, list | tuple) else value

    def _pixel(self, tensor: Tensor) -> float:
        """Pixels of the picture in one of the tensor's."""
        pixel = self._width / tensor.shape[-1]
        self.coarsest = max(self.coarsest, pixel)
        return pixel

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._seen:
            return
        step = _ALIGNMENT // tensor.element_size()
        elements = -(-storage.nbytes() // _ALIGNMENT) * step
        self._seen.add(key)
        weakref.finalize(storage, self._forget, key, elements)
        self._live += elements
        self.peak = max(self.peak, self._live)
        self.largest = max(self.largest, elements)

    def _forget(self, key: int, elements: int) -> None:
        self._seen.discard(key)
        self._reach.pop(key, None)
        self._live -= elements
