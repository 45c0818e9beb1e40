"""How much memory a run may use: on this machine's card, on a named one, or on a number of GiB."""

import logging
import math
import os
import platform
import re
import sys
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import BudgetError, brief
from .card_catalogue import GIB, MAX_NAME, find_card, less_reserve
from .nvml import read_card

log = logging.getLogger(__name__)

RESERVE = 0.10
"""Part of the memory that stays free unless the user says otherwise: the article's 90 % rule."""
MIN_GIB = 0.5
"""Less than a CUDA context."""
MAX_GIB = 1024
"""More than any machine has; a larger number is a slip, or a model number such as 4090."""

Source = Literal["torch", "nvml", "catalogue", "number", "ram"]

_AMD_WITHOUT_BF16 = ("gfx8", "gfx900", "gfx902", "gfx906", "gfx909", "gfx90c", "gfx10")
"""AMD architectures up to RDNA 2, CDNA (gfx908, gfx90a) excepted."""


@dataclass(frozen=True)
class Budget:
    """The memory of a card and how much of it a run may use.

    Raises `BudgetError` for sizes no card has and a reserve outside 0 ≤ reserve < 0.9.
    """

    card: str
    """Name for people: "RTX 3060 12GB", "NVIDIA GeForce RTX 4090", "8 GiB"."""
    total_bytes: int
    """Memory of the card that a program can get at all."""
    free_bytes: int
    """Free now. For a card of the catalogue or a number: all of it."""
    reclaimable_bytes: int = 0
    """In use now, but the host (ComfyUI) gives it back when asked: its own loaded models."""
    reserve: float = RESERVE
    """Part of the available memory to leave alone: fragmentation, the desktop, what no model predicts."""
    source: Source = "number"
    """Where the figures come from: torch or nvml (the live card), catalogue, number, or ram (no GPU)."""
    device: str = "cuda"
    """What torch calls the kind of device: cuda (ROCm too), mps or cpu."""
    bf16: bool = True
    """Whether ComfyUI runs its VAE in bf16 there. NVIDIA before RTX 30 and CPUs cannot: it takes fp32."""

    def __post_init__(self) -> None:
        if self.total_bytes <= 0:
            raise BudgetError(f"memory: {self.card} with {self.total_bytes} bytes is not a usable card.")
        if self.free_bytes < 0 or self.reclaimable_bytes < 0:
            raise BudgetError(f"memory: {self.card} cannot have less than nothing free.")
        less_reserve(self.total_bytes, self.reserve)

    @property
    def available_bytes(self) -> int:
        """What there is for a run once the host has given back what it can."""
        return min(self.total_bytes, self.free_bytes + self.reclaimable_bytes)

    @property
    def usable_bytes(self) -> int:
        """What a run may use: the available memory less the reserve."""
        return less_reserve(self.available_bytes, self.reserve)


def budget_for(target: str | float, *, reserve: float = RESERVE, reclaimable_bytes: int = 0) -> Budget:
    """The budget of "auto" (this machine), of a card's name, or of a number of GiB (8, "8", "8 GiB", "8GB").

    `reclaimable_bytes` counts for "auto" only; another machine starts empty. A bare number above 1024 is
    looked up as a card ("4090"). A number of GiB is taken for a card with bf16.

    Raises `BudgetError` for an unknown or ambiguous card and for amounts no card has.
    """
    if isinstance(target, str) and target.strip().lower() == "auto":
        return live_budget(reserve=reserve, reclaimable_bytes=reclaimable_bytes)
    gib = _gib(target)
    if gib is not None:
        size = int(gib * GIB)
        return Budget(f"{gib:g} GiB", size, size, reserve=reserve, source="number")
    card = find_card(str(target))
    return Budget(
        card.title,
        card.total_bytes,
        card.total_bytes,
        reserve=reserve,
        source="catalogue",
        device="mps" if card.vendor == "Apple" else "cuda",
        bf16=card.bf16,
    )


def live_budget(device_index: int | None = None, *, reserve: float = RESERVE, reclaimable_bytes: int = 0) -> Budget:
    """The budget of this machine's GPU `device_index`, as CUDA counts them; without a GPU, of its RAM.

    None is the first GPU, the one the wrapper takes ("cuda:0", else MPS, else the CPU). torch knows best
    what is free, but takes seconds to import: until something else has loaded it, NVML is asked first.
    Without torch, several cards are counted in NVML's order, which can differ from CUDA's.

    Raises `BudgetError` for a GPU that is not there or does not answer.
    """
    if device_index is not None and device_index < 0:
        raise BudgetError(f"device: {device_index} is not a GPU. Count from 0.")
    ways = (_torch_budget, _nvml_budget) if "torch" in sys.modules else (_nvml_budget, _torch_budget)
    for read in ways:
        budget = read(device_index or 0)
        if budget is not None:
            return replace(budget, reserve=reserve, reclaimable_bytes=reclaimable_bytes)
    if device_index is not None:
        raise BudgetError(
            f"device: there is no GPU {device_index} that this program can use. Use 'auto', or name a card."
        )
    import psutil  # here, as in the others: `measure` plans on machines that lack it

    memory = psutil.virtual_memory()
    budget = Budget("CPU (no GPU found)", memory.total, memory.available, source="ram", device="cpu", bf16=False)
    return replace(budget, reserve=reserve, reclaimable_bytes=reclaimable_bytes)


def host_memory_bytes(target: str | float) -> int | None:
    """Host memory a run on `target` can use, swap included: known for "auto" (this machine) only."""
    if target != "auto":
        return None
    import psutil

    return psutil.virtual_memory().total + psutil.swap_memory().total


def cuda_free_bytes(device_free: int, reserved: int, active: int) -> int:
    """Free for torch on CUDA or ROCm: what the device has, and what torch holds but does not use.

    The rule of ComfyUI's ``get_free_memory``.
    """
    return device_free + max(0, reserved - active)


def mps_free_bytes(limit: int, driver: int, allocated: int, ram_available: int) -> int:
    """Free for torch on MPS, where the GPU's memory is the machine's.

    Args:
        limit: Metal's recommended working set in bytes.
        driver: Bytes Metal holds for this process, torch's cache included.
        allocated: Bytes of it that tensors occupy.
        ram_available: Bytes the system can give to programs without swapping.
    """
    return max(0, min(limit - allocated, ram_available + driver - allocated))


def visible_device(setting: str | None, index: int) -> int | str | None:
    """NVML's index or UUID of the GPU that CUDA counts as `index`, or None where there is no such GPU.

    Args:
        setting: The environment's CUDA_VISIBLE_DEVICES; None where it is not set.
        index: CUDA's number of the GPU, 0 or more.
    """
    if setting is None:
        return index
    visible: list[int | str] = []
    for entry in map(str.strip, setting.split(",")):
        if entry.isdecimal():
            visible.append(int(entry))
        elif entry.startswith(("GPU-", "MIG-")):
            visible.append(entry)
        else:  # CUDA ignores this entry and all after it
            break
    return visible[index] if index < len(visible) else None


def amd_has_bf16(architecture: str) -> bool:
    """Whether an AMD architecture ("gfx1100", "gfx90a:sramecc+") has bf16, by ComfyUI's rule: after RDNA 2."""
    return not architecture.startswith(_AMD_WITHOUT_BF16)


def _gib(target: str | float) -> float | None:
    """The amount of GiB that `target` is, or None where it may be a card's name."""
    if isinstance(target, bool) or not isinstance(target, (str, int, float)):
        raise BudgetError(f"memory: expected a card's name or a number of GiB, got {brief(target)}.")
    amount, unit = target, None
    if isinstance(target, str):
        match = len(target) <= MAX_NAME and re.fullmatch(
            r"([-+]?[\d.]+(?:e[-+]?\d+)?|[-+]?inf|nan)\s*(gib|gb|g)?", target.strip().lower()
        )
        if not match:
            return None
        amount, unit = match.groups()
    try:
        gib = float(amount)
    except (ValueError, OverflowError):
        gib = math.nan
    if MIN_GIB <= gib <= MAX_GIB:
        return gib
    if isinstance(target, str) and unit is None and gib > MAX_GIB:
        return None
    raise BudgetError(
        f"memory: {brief(target)} is not a usable amount. Give GiB from {MIN_GIB} to {MAX_GIB}, such as 12."
    )


def _torch_budget(index: int) -> Budget | None:
    """What torch says; None without torch or without a GPU it can use."""
    try:
        import torch
    except ImportError as error:
        log.debug("torch is not there: %s", error)
        return None
    try:
        if torch.cuda.is_available():
            return _cuda_budget(torch, index)
        if torch.backends.mps.is_available():
            return _mps_budget(torch)
    except RuntimeError as error:
        raise BudgetError(f"device: GPU {index} does not answer: {error}") from error
    return None


def _cuda_budget(torch: Any, index: int) -> Budget:
    count = torch.cuda.device_count()
    if index >= count:
        raise BudgetError(f"device: there is no GPU {index}; torch sees {count}. Count from 0.")
    free, total = torch.cuda.mem_get_info(index)
    stats = torch.cuda.memory_stats(index)
    reserved = stats.get("reserved_bytes.all.current", 0)
    active = stats.get("active_bytes.all.current", 0)
    card = torch.cuda.get_device_properties(index)
    bf16 = amd_has_bf16(card.gcnArchName) if torch.version.hip else card.major >= 8
    return Budget(card.name, total, cuda_free_bytes(free, reserved, active), source="torch", bf16=bf16)


def _mps_budget(torch: Any) -> Budget:
    import psutil

    limit = torch.mps.recommended_max_memory()
    driver, allocated = torch.mps.driver_allocated_memory(), torch.mps.current_allocated_memory()
    free = mps_free_bytes(limit, driver, allocated, psutil.virtual_memory().available)
    macos = int(platform.mac_ver()[0].split(".")[0])
    return Budget("Apple GPU", limit, free, source="torch", device="mps", bf16=macos >= 14)


def _nvml_budget(index: int) -> Budget | None:
    """What NVML says; None where it is not there (AMD, Apple, no driver) or the card is hidden from CUDA."""
    device = visible_device(os.environ.get("CUDA_VISIBLE_DEVICES"), index)
    card = None if device is None else read_card(device)
    if card is None:
        return None
    return Budget(card.name, card.total_bytes, card.free_bytes, source="nvml", bf16=card.capability >= 8)
