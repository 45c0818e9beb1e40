"""Counts the bytes that torch code would allocate on a GPU, without a GPU.

Under `FakeTensorMode` tensors have shapes and devices but no data. `AllocationTracker` intercepts every operation,
counts each new storage on the fake GPU, rounded up to the allocator's 512 bytes, and subtracts it when it is freed.
Of the memory that kernels take while they run, that of convolutions can be counted (`convolution_workspace`); the
shipped constants are without it. cuBLAS's workspace is a term of its own: see `memory.overhead`.
"""

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("meta")
"""The fake GPU. Not "cuda": a torch built for the CPU cannot index or write tensors with that device."""
ALLOCATION_BYTES = 512
"""PyTorch's CUDA allocator rounds every request up to a multiple of this."""


class AllocationTracker(TorchDispatchMode):
    """Live and peak bytes on `DEVICE`, the peaks also by code location; live and peak bytes in host memory.

    A location is a name set with `location`. Every operation is recorded under the innermost one, as location and
    operation: "unet.conv_in|aten.convolution.default". Outside of any, the location is the line in a file below `root`
    that calls the operation.
    """

    def __init__(self, root: Path, *, workspaces: bool = False) -> None:
        """`workspaces`: count also what convolutions take while they run."""
        super().__init__()
        self._root, self._workspaces = str(root), workspaces
        self.live_bytes = self.host_live_bytes = 0
        self.peak_bytes = self.host_peak_bytes = 0
        self.peaks: dict[str, int] = {}
        self._location = ""
        self._seen: dict[int, weakref.finalize[Any, Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf, func)
        if self._workspaces and func is torch.ops.aten.convolution.default:
            self._work(convolution_workspace(args[0], args[1], out))
        return out

    def begin(self) -> None:
        """Reset the peaks to the live bytes, and clear the locations."""
        self.peak_bytes, self.host_peak_bytes = self.live_bytes, self.host_live_bytes
        self.peaks.clear()

    def _see(self, tensor: torch.Tensor, func: Any) -> None:
        on_gpu = tensor.device.type == DEVICE.type
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._seen:
            return
        size = -(-storage.nbytes() // ALLOCATION_BYTES) * ALLOCATION_BYTES
        self._seen[key] = weakref.finalize(storage, self._forget, key, size, on_gpu)
        self._count(size, on_gpu)
        if on_gpu:
            self.note(f"{self._location or self._line()}|{func}")

    def _work(self, size: int) -> None:
        """Record `size` bytes on the GPU that a kernel takes while it runs."""
        if size:
            self._count(size, True)
            self.note(f"{self._location or self._line()}|workspace")
            self._count(-size, True)

    def _forget(self, key: int, size: int, on_gpu: bool) -> None:
        del self._seen[key]
        self._count(-size, on_gpu)

    def _count(self, size: int, on_gpu: bool) -> None:
        if on_gpu:
            self.live_bytes += size
            self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        else:
            self.host_live_bytes += size
            self.host_peak_bytes = max(self.host_peak_bytes, self.host_live_bytes)

    def note(self, location: str) -> None:
        """Record the live bytes under the location `location`."""
        self.peaks[location] = max(self.peaks.get(location, 0), self.live_bytes)

    def _line(self) -> str:
        frame = sys._getframe(1)
        while frame is not None and not frame.f_code.co_filename.startswith(self._root):
            frame = frame.f_back
        return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else ""

    @contextmanager
    def location(self, name: str) -> Iterator[None]:
        """Record the operations inside the block under the location `name`."""
        outer, self._location = self._location, name
        try:
            yield
        finally:
            self._location = outer

    def name_modules(self, root: torch.nn.Module, prefix: str) -> None:
        """Make every submodule of `root` a location, named after its path with `prefix`."""
        for path, module in root.named_modules():
            stack: list[Any] = []
            name = f"{prefix}.{path}" if path else prefix

            def enter(_module: Any, _args: Any, name: str = name, stack: list[Any] = stack) -> None:
                context = self.location(name)
                context.__enter__()
                stack.append(context)

            def leave(_module: Any, _args: Any, _out: Any, stack: list[Any] = stack) -> None:
                stack.pop().__exit__(None, None, None)

            module.register_forward_pre_hook(enter)
            module.register_forward_hook(leave)


def convolution_workspace(data: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> int:
    """Bytes that cuDNN takes while it computes `out`: its copies of all three, with the channels last.

    The kernels for 16 bits want that layout, and the networks here have the channels first. Measured on an H200 (see
    ``docs/measured.md``): the peaks that a convolution sets are higher by exactly this. In fp32 nothing was measured,
    and nothing is counted.
    """
    if data.device.type != DEVICE.type or data.element_size() != 2:
        return 0
    tensors = (data, weight, out)
    return sum(-(-each.numel() * 2 // ALLOCATION_BYTES) * ALLOCATION_BYTES for each in tensors)


@contextmanager
def fake_gpu(root: Path, *, workspaces: bool = False) -> Iterator[AllocationTracker]:
    """Run a block on the fake GPU; yields the tracker, with its arguments. `root` is the folder of the traced code."""
    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        AllocationTracker(root, workspaces=workspaces) as tracker,
        _plain_attention(),
        _plain_apply(),
        _equal_if_the_same(),
    ):
        yield tracker


@contextmanager
def _plain_apply() -> Iterator[None]:
    """Make `module.to(…)` work on fake parameters.

    Torch moves the parameters of a fake module by swapping tensors, which fails for tensors with weak references. The
    tracker has weak references to all of them.
    """

    def apply(self: torch.nn.Module, fn: Any, recurse: bool = True) -> torch.nn.Module:
        if recurse:
            for child in self.children():
                apply(child, fn)
        for table in (self._parameters, self._buffers):
            for key, old in table.items():
                if old is not None:
                    new = fn(old.detach())
                    is_parameter = isinstance(old, torch.nn.Parameter)
                    table[key] = torch.nn.Parameter(new, requires_grad=False) if is_parameter else new
        return self

    original = torch.nn.Module._apply
    torch.nn.Module._apply = apply
    try:
        yield
    finally:
        torch.nn.Module._apply = original


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Count attention as its output plus one fp32 log-sum-exp per query.

    This is what flash and memory-efficient kernels allocate. The kernel that torch would choose is unknown without the
    card.
    """

    def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        log_sum_exp = query.new_empty(query.shape[:-1], dtype=torch.float32)
        # The kernels write [batch, positions, heads, channels], so the transpose that follows is free.
        batch, heads, positions, _channels = query.shape
        out = query.new_empty((batch, positions, heads, value.shape[-1])).transpose(1, 2)
        del log_sum_exp
        return out

    functional = torch.nn.functional
    original = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = original


@contextmanager
def _equal_if_the_same() -> Iterator[None]:
    """Make `torch.equal` true for the same memory only: fake tensors have no numbers to compare."""

    def equal(one: torch.Tensor, other: torch.Tensor) -> bool:
        return one.untyped_storage()._cdata == other.untyped_storage()._cdata and _place(one) == _place(other)

    original = torch.equal
    torch.equal = equal
    try:
        yield
    finally:
        torch.equal = original


def _place(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Which numbers of its memory a tensor has."""
    return tensor.storage_offset(), *tensor.shape, *tensor.stride()
