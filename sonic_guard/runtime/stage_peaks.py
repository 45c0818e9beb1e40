"""Counters of the most memory torch has held, which a run's watch reads and sets back at the borders of stages."""

from typing import Any, NamedTuple, Protocol

from ..devices.torch_memory import loaded_torch


class Peak(NamedTuple):
    """The most memory at any one time. None: there is no counter for it."""

    allocated_bytes: int | None = None
    """Tensors."""
    reserved_bytes: int | None = None
    """What the allocator holds, its cache included."""

    def over(self, other: "Peak") -> "Peak":
        """The larger of each two figures; None where both are."""
        return Peak(*map(_larger, self, other))

    def beyond(self, other: "Peak") -> "Peak":
        """The figures that are larger than in `other`; None in the place of those that are not."""
        return Peak(*(None if most == theirs else most for most, theirs in zip(self.over(other), other, strict=True)))


def _larger(one: int | None, other: int | None) -> int | None:
    return max((size for size in (one, other) if size is not None), default=None)


class Peaks(Protocol):
    """A counter of peaks."""

    def read(self) -> Peak:
        """The highest since the last `reset`."""
        ...

    def reset(self) -> None:
        """Count anew from what is held now."""
        ...


class NoPeaks:
    """Stands where torch counts nothing: on the CPU."""

    def read(self) -> Peak:
        """Nothing known."""
        return Peak()

    def reset(self) -> None:
        """Nothing to set back."""


class CudaPeaks:
    """Torch's counters of one CUDA or ROCm card.

    Torch has one set of them for the whole process: after `reset`, whoever else reads ``max_memory_allocated``
    sees the peak since then only. So they are set back as seldom as will do, at the borders of stages, and `highest`
    keeps what they would show had nobody touched them since this object was made.
    """

    def __init__(self, torch: Any, index: int) -> None:
        self._cuda, self._index = torch.cuda, index
        self.highest = self.read()

    def read(self) -> Peak:
        """The highest since the last `reset`; zeros before torch has used the card."""
        stats = self._cuda.memory_stats(self._index)
        return Peak(stats.get("allocated_bytes.all.peak", 0), stats.get("reserved_bytes.all.peak", 0))

    def reset(self) -> None:
        """Count anew."""
        if self._cuda.is_initialized():
            self.highest = self.highest.over(self.read())
            self._cuda.reset_peak_memory_stats(self._index)


class SampledPeaks:
    """The highest of the moments at which it was read: Apple's GPUs, for which torch keeps no peaks."""

    def __init__(self, torch: Any) -> None:
        self._mps = torch.mps
        self._highest = Peak()

    def read(self) -> Peak:
        """The highest reading since the last `reset`, this one included."""
        self._highest = self._now().over(self._highest)
        return self._highest

    def reset(self) -> None:
        """Start from what is held now."""
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
