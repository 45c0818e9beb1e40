"""Measures the memory of a real card while a function runs, with PyTorch's and the driver's counters."""

import gc
import time
from collections.abc import Callable

import torch

from .measured_table import MeasuredPeaks


def read_peaks(device: torch.device, work: Callable[[], object]) -> MeasuredPeaks:
    """Run `work` and measure its time and peak memory, including what was live before."""
    free_cache(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = now(device)
    work()
    seconds = now(device) - start
    if device.type != "cuda":
        return MeasuredPeaks(seconds)
    return MeasuredPeaks(
        seconds,
        allocated_bytes=torch.cuda.max_memory_allocated(device),
        reserved_bytes=torch.cuda.max_memory_reserved(device),
        outside_bytes=used_bytes(device) - torch.cuda.memory_reserved(device),
    )


def now(device: torch.device) -> float:
    """Seconds by the performance counter, once the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def used_bytes(device: torch.device) -> int:
    """Bytes in use on the card by all programs. The first call in a process creates the CUDA context."""
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def limit_memory(device: torch.device, card_bytes: int | None) -> None:
    """Limit torch's allocator as on an otherwise empty card with `card_bytes`; None removes the limit.

    The memory in use outside of torch's allocator, such as the context, is subtracted.
    """
    if device.type != "cuda":
        return
    outside = used_bytes(device) - torch.cuda.memory_reserved(device)
    limit_allocator(device, None if card_bytes is None else max(0, card_bytes - outside))


def limit_allocator(device: torch.device, size: int | None) -> None:
    """Limit what torch's allocator may hold on the card to `size` bytes; None removes the limit.

    The native allocator counts what it has reserved, cudaMallocAsync only live tensors: see `ballast` for the latter.
    """
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(1.0 if size is None else min(1.0, size / total), device)


def free_cache(device: torch.device) -> None:
    """Collect garbage and return the allocator's unused blocks to the card."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
