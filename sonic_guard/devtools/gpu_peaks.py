"""What PyTorch and the driver say about a real card's memory while a piece of work runs."""

import gc
import time
from collections.abc import Callable

import torch

from .measured_table import Reading


def gauge(device: torch.device, work: Callable[[], object]) -> Reading:
    """Run `work` and read what it took at its peak, with what was live before it included."""
    free_cache(device)
    if device.type != "cuda":
        start = time.perf_counter()
        work()
        return Reading(time.perf_counter() - start)
    torch.cuda.reset_peak_memory_stats(device)
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    seconds = time.perf_counter() - start
    return Reading(
        seconds,
        allocated_bytes=torch.cuda.max_memory_allocated(device),
        reserved_bytes=torch.cuda.max_memory_reserved(device),
        outside_bytes=used_bytes(device) - torch.cuda.memory_reserved(device),
    )


def used_bytes(device: torch.device) -> int:
    """Bytes in use on the card by everybody. The first call in a process makes the CUDA context."""
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def limit(device: torch.device, card_bytes: int | None) -> None:
    """Let this process do as if the card had `card_bytes` and nobody else were on it; None: all there is.

    What is in use outside of torch's allocator now, the context among it, is taken off.
    """
    if device.type != "cuda":
        return
    total = torch.cuda.get_device_properties(device).total_memory
    outside = used_bytes(device) - torch.cuda.memory_reserved(device)
    allowed = total if card_bytes is None else min(total, max(0, card_bytes - outside))
    torch.cuda.set_per_process_memory_fraction(allowed / total, device)


def free_cache(device: torch.device) -> None:
    """Let dead objects go and hand the allocator's empty blocks back to the card."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
