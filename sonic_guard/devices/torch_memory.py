"""What torch holds on the card in use, asked only once something else has set torch going there."""

import logging
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

log = logging.getLogger(__name__)


class Share(NamedTuple):
    """What torch holds on the card it uses."""

    name: str
    uuid: str
    """The card's, without NVML's "GPU-"; empty where torch does not tell."""
    allocated_bytes: int
    """Tensors."""
    reserved_bytes: int
    """What the allocator holds, its cache included."""
    device: Callable[[], tuple[int, int] | None]
    """Asks for the bytes in use by every program and the bytes of the whole card; None where that costs a context."""


def loaded_torch() -> Any:
    """The torch module, if this process has imported all of it."""
    torch = sys.modules.get("torch")
    # While another thread is still importing it, its later parts are missing.
    return torch if hasattr(torch, "mps") and hasattr(torch, "backends") else None


def has_gpu_support(torch: Any) -> bool:
    """Whether this build of torch can use any GPU."""
    return torch.backends.cuda.is_built() or torch.backends.mps.is_available()


def read_share(index: int) -> Share | None:
    """What torch holds on GPU `index`, as CUDA counts; None while torch has nothing to do with a GPU.

    Raises `RuntimeError` where the card no longer answers torch.
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
        # torch may be at work on another card only; asking would make a context on this one.
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
    # The GPU's memory is the machine's, and Metal counts this process only.
    return Share("Apple GPU", "", allocated, held, lambda: (held, torch.mps.recommended_max_memory()))
