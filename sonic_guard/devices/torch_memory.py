"""Torch's memory on the card in use. Never imports torch or initialises CUDA itself."""

import logging
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

log = logging.getLogger(__name__)


class Share(NamedTuple):
    """Memory of torch on the card that it uses."""

    name: str
    uuid: str
    """The card's UUID without NVML's prefix "GPU-"; empty if torch does not provide it."""
    allocated_bytes: int
    """Of tensors."""
    reserved_bytes: int
    """Held by the allocator, its cache included."""
    device: Callable[[], tuple[int, int] | None]
    """Returns the bytes in use by all programs and the total bytes of the card; None if that needed a new context."""


def loaded_torch() -> Any:
    """The torch module, if this process has imported all of it."""
    torch = sys.modules.get("torch")
    # While another thread is importing it, the later attributes are missing.
    return torch if hasattr(torch, "mps") and hasattr(torch, "backends") else None


def has_gpu_support(torch: Any) -> bool:
    """Whether this build of torch can use any GPU."""
    return torch.backends.cuda.is_built() or torch.backends.mps.is_available()


def read_share(index: int) -> Share | None:
    """Memory of torch on GPU `index`, in CUDA's numbering; None while torch does not use a GPU.

    Raises `RuntimeError` if the card no longer answers.
    """
    torch = loaded_torch()
    if torch is None:
        return None
    if torch.cuda.is_initialized():
        return _cuda_share(torch, index)
    if torch.backends.mps.is_available():
        return _mps_share(torch)
    return None


def _cuda_share(torch: Any, index: int) -> Share:
    properties = torch.cuda.get_device_properties(index)
    stats = torch.cuda.memory_stats(index)

    def device() -> tuple[int, int] | None:
        # torch may use another card only; the query would create a context on this one.
        if not torch._C._cuda_hasPrimaryContext(index):
            return None
        free, total = torch.cuda.mem_get_info(index)
        return total - free, total

    return Share(
        properties.name,
        "" if torch.version.hip else str(getattr(properties, "uuid", "")),
        stats.get("allocated_bytes.all.current", 0),
        stats.get("reserved_bytes.all.current", 0),
        device,
    )


def _mps_share(torch: Any) -> Share:
    allocated, held = torch.mps.current_allocated_memory(), torch.mps.driver_allocated_memory()
    # The GPU uses the machine's memory, and Metal counts this process only.
    return Share("Apple GPU", "", allocated, held, lambda: (held, torch.mps.recommended_max_memory()))
