"""Counters of torch's peak memory, which a `RunWatch` reads and resets when a stage begins."""

from typing import Any, NamedTuple, Protocol

from ..devices.torch_memory import loaded_torch


class Peak(NamedTuple):
    """Peak memory in bytes. None: there is no counter for it."""

    allocated_bytes: int | None = None
    """Of tensors."""
    reserved_bytes: int | None = None
    """Held by the allocator, its cache included."""

    def over(self, other: "Peak") -> "Peak":
        """The larger of each pair of figures; None if both are None."""
        return Peak(*map(_larger, self, other))

    def beyond(self, other: "Peak") -> "Peak":
        """The figures that are larger than those of `other`; None for the others."""
        return Peak(*(None if most == theirs else most for most, theirs in zip(self.over(other), other, strict=True)))


def _larger(one: int | None, other: int | None) -> int | None:
    return max((size for size in (one, other) if size is not None), default=None)


class Peaks(Protocol):
    """A counter of peaks."""

    def read(self) -> Peak:
        """The peak since the last `reset`."""
        ...

    def reset(self) -> None:
        """Set the peak to the current memory."""
        ...


class NoPeaks:
    """For devices without counters: the CPU."""

    def read(self) -> Peak:
        """Always empty."""
        return Peak()

    def reset(self) -> None:
        """Does nothing."""


class CudaPeaks:
    """Torch's counters of one CUDA or ROCm card.

    Torch has one set of them for the whole process: after `reset`, other readers of ``max_memory_allocated`` see only
    the peak since then. So they are reset only when a stage begins, and `highest` keeps the peak since this object was
    created.
    """

    def __init__(self, torch: Any, index: int) -> None:
        self._cuda, self._index = torch.cuda, index
        self.highest = self.read()

    def read(self) -> Peak:
        """The peak since the last `reset`; zeros before torch has used the card."""
        stats = self._cuda.memory_stats(self._index)
        return Peak(stats.get("allocated_bytes.all.peak", 0), stats.get("reserved_bytes.all.peak", 0))

    def reset(self) -> None:
        """Set the peak to the current memory."""
        if self._cuda.is_initialized():
            self.highest = self.highest.over(self.read())
            self._cuda.reset_peak_memory_stats(self._index)


class SampledPeaks:
    """The highest sample, for Apple's GPUs, for which torch has no peak counters."""

    def __init__(self, torch: Any) -> None:
        self._mps = torch.mps
        self._highest = Peak()

    def read(self) -> Peak:
        """The highest sample since the last `reset`, including one taken now."""
        self._highest = self._now().over(self._highest)
        return self._highest

    def reset(self) -> None:
        """Set the peak to the current memory."""
        self._highest = self._now()

    def _now(self) -> Peak:
        return Peak(self._mps.current_allocated_memory(), self._mps.driver_allocated_memory())


def open_peaks(device_index: int = 0) -> Peaks:
    """The counters of the device the wrapper runs on: CUDA's card `device_index`, else Apple's GPU, else none."""
    torch = loaded_torch()
    if torch is None:
        return NoPeaks()
    if torch.cuda.is_available():
        return CudaPeaks(torch, device_index)
    if torch.backends.mps.is_available():
        return SampledPeaks(torch)
    return NoPeaks()
