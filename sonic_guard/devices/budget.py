"""The memory budget of a run: of this machine's card, of a card from the catalogue, or of a number of GiB."""

import logging
import math
import os
import platform
import re
import sys
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import BudgetError, brief
from .card_catalogue import GIB, MAX_CARD_NAME, Speed, card_of_device, find_card, less_reserve
from .host_memory import host_memory
from .nvml import read_card

log = logging.getLogger(__name__)

RESERVE = 0.10
"""Default share of the memory that is not used: the article's 90 % rule."""
NO_GPU = "CPU (no GPU found)"
"""Stands for the card where there is none, in histories, too; `messages` has it in other languages."""
MIN_GIB = 0.5
"""Smallest accepted amount; about the size of a CUDA context."""
MAX_GIB = 1024
"""Largest accepted amount; a larger number is a mistake, or a model number such as 4090."""

Source = Literal["torch", "nvml", "catalogue", "number", "ram"]

_AMOUNT = re.compile(
    r"\s*(?:total vram\s+)?([-+]?[\d.]+(?:e[-+]?\d+)?|[-+]?inf|nan)\s*(gib|gb|g|mib|mb)?(?:, total ram [\d.]+ ?mb)?\s*",
    re.IGNORECASE,
)
"""A number of GiB or MiB, and the line in which ComfyUI's log has it."""
_AMD_WITHOUT_BF16 = ("gfx8", "gfx900", "gfx902", "gfx906", "gfx909", "gfx90c", "gfx10")
"""AMD architectures up to RDNA 2, CDNA (gfx908, gfx90a) excepted."""


@dataclass(frozen=True)
class Budget:
    """The memory of a card and how much of it a run may use.

    Raises `BudgetError` for negative or zero sizes and for a reserve outside 0 ≤ reserve < 0.9.
    """

    card: str
    """Display name: "RTX 3060 12GB", "NVIDIA GeForce RTX 4090", "8 GiB"."""
    total_bytes: int
    """Memory of the card that programs can allocate."""
    free_bytes: int
    """Free now. For a card of the catalogue or a number: all of it."""
    reclaimable_bytes: int = 0
    """In use now, but freed by the host (ComfyUI) on demand: its loaded models."""
    reserve: float = RESERVE
    """Share of the available memory that is not used, for fragmentation, the desktop, and errors of the prediction."""
    source: Source = "number"
    """Origin of the figures: torch or nvml (the live card), catalogue, number, or ram (no GPU)."""
    device: str = "cuda"
    """torch's device type: cuda (also for ROCm), mps or cpu."""
    bf16: bool = True
    """Whether ComfyUI runs its VAE in 16 bits. NVIDIA cards before RTX 30 and CPUs have no bf16 and use fp32."""
    speed: Speed | None = None
    """Published figures of the card; None where they are not known: for a number, a CPU, a card of no catalogue."""

    def __post_init__(self) -> None:
        if self.total_bytes <= 0:
            raise BudgetError(f"memory: {self.card} with {self.total_bytes} bytes is not a usable card.")
        if self.free_bytes < 0 or self.reclaimable_bytes < 0:
            raise BudgetError(f"memory: {self.card} cannot have less than nothing free.")
        less_reserve(self.total_bytes, self.reserve)

    @property
    def available_bytes(self) -> int:
        """Bytes available to a run after the host has freed what it can."""
        return min(self.total_bytes, self.free_bytes + self.reclaimable_bytes)

    @property
    def usable_bytes(self) -> int:
        """Bytes that a run may use: the available memory minus the reserve."""
        return less_reserve(self.available_bytes, self.reserve)


def budget_for(target: str | float, *, reserve: float = RESERVE, reclaimable_bytes: int = 0) -> Budget:
    """The budget of "auto" (this machine), of a card's name, or of a number of GiB (8, "8", "8 GiB", "24564 MB").

    `reclaimable_bytes` is used for "auto" only: another machine is assumed to be empty. A bare number above 1024 is
    looked up as a card ("4090"). MB are MiB, as drivers and ComfyUI's log mean them. For a number a card with bf16 is
    assumed.

    Raises `BudgetError` for an unknown or ambiguous card, for one on which Sonic cannot run, and for amounts outside
    `MIN_GIB` … `MAX_GIB`.
    """
    if isinstance(target, str) and target.strip().lower() == "auto":
        return live_budget(reserve=reserve, reclaimable_bytes=reclaimable_bytes)
    gib = _gib(target)
    if gib is not None:
        size = int(gib * GIB)
        return Budget(f"{round(gib, 2):g} GiB", size, size, reserve=reserve, source="number")
    card = find_card(str(target))
    return Budget(
        card.title,
        card.total_bytes,
        card.total_bytes,
        reserve=reserve,
        source="catalogue",
        device="mps" if card.vendor == "Apple" else "cuda",
        bf16=card.bf16,
        speed=card.speed,
    )


def live_budget(device_index: int | None = None, *, reserve: float = RESERVE, reclaimable_bytes: int = 0) -> Budget:
    """The budget of this machine's GPU `device_index`, in CUDA's numbering; without a GPU, of its RAM.

    None is the first GPU, which the wrapper uses ("cuda:0", else MPS, else the CPU). torch has the most accurate
    figures, but takes seconds to import: only if it is not loaded yet, NVML is used first. Without torch, several cards
    are numbered in NVML's order, which can differ from CUDA's.

    Raises `BudgetError` for a GPU that does not exist or does not answer.
    """
    if device_index is not None and device_index < 0:
        raise BudgetError(f"device: {device_index} is not a GPU. Count from 0.")
    # A torch that is loaded and sees no GPU cannot use one that NVML sees: it is built for the CPU, or told to use it.
    ways = (_torch_budget,) if "torch" in sys.modules else (_nvml_budget, _torch_budget)
    for read in ways:
        budget = read(device_index or 0)
        if budget is not None:
            return replace(budget, reserve=reserve, reclaimable_bytes=reclaimable_bytes)
    if device_index is not None:
        raise BudgetError(
            f"device: there is no GPU {device_index} that this program can use. Use 'auto', or name a card."
        )
    memory = host_memory()
    budget = Budget(NO_GPU, memory.total_bytes, memory.available_bytes, source="ram", device="cpu", bf16=False)
    return replace(budget, reserve=reserve, reclaimable_bytes=reclaimable_bytes)


def host_memory_bytes(target: str | float) -> int | None:
    """Host memory in bytes that a run on `target` can use, swap included; None except for "auto" (this machine)."""
    if target != "auto":
        return None
    memory = host_memory()
    return memory.total_bytes + memory.swap_bytes


def cuda_free_bytes(device_free: int, reserved: int, active: int) -> int:
    """Bytes free for torch on CUDA or ROCm: the device's free memory, and the unused part of torch's cache.

    Source: ComfyUI's ``model_management.get_free_memory``.
    """
    return device_free + max(0, reserved - active)


def mps_free_bytes(limit: int, driver: int, allocated: int, ram_available: int) -> int:
    """Bytes free for torch on MPS, where the GPU uses the machine's memory.

    Args:
        limit: Metal's recommended working set in bytes.
        driver: bytes that Metal holds for this process, torch's cache included.
        allocated: bytes of it that tensors occupy.
        ram_available: bytes that the system can give to programs without swapping.
    """
    return max(0, min(limit - allocated, ram_available + driver - allocated))


def visible_device(setting: str | None, index: int) -> int | str | None:
    """NVML's index or UUID of the GPU with number `index` in CUDA; None if there is no such GPU.

    Args:
        setting: the environment variable CUDA_VISIBLE_DEVICES; None if it is not set.
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
    """Whether an AMD architecture ("gfx1100", "gfx90a:sramecc+") has bf16.

    Source: ComfyUI's ``model_management.should_use_bf16`` since 0.3.65, which excludes RDNA 2 and older; before, its
    ``vae_dtype`` excluded RDNA 3 and CDNA as well. In ComfyUI, its own answer replaces this one.
    """
    return not architecture.startswith(_AMD_WITHOUT_BF16)


def _gib(target: str | float) -> float | None:
    """The number of GiB in `target`; None if it may be a card's name."""
    if isinstance(target, bool) or not isinstance(target, (str, int, float)):
        raise BudgetError(f"memory: expected a card's name or a number of GiB, got {brief(target)}.")
    amount, unit = target, ""
    if isinstance(target, str):
        match = len(target) <= MAX_CARD_NAME and _AMOUNT.fullmatch(target)
        if not match:
            return None
        amount, unit = match[1], (match[2] or "").lower()
    try:
        gib = float(amount) / (1024 if unit.startswith("m") else 1)
    except (ValueError, OverflowError):
        gib = math.nan
    if MIN_GIB <= gib <= MAX_GIB:
        return gib
    if isinstance(target, str) and not unit and gib > MAX_GIB:
        return None
    raise BudgetError(
        f"memory: {brief(target)} is not a usable amount. Give GiB from {MIN_GIB} to {MAX_GIB}, such as 12."
    )


def _torch_budget(index: int) -> Budget | None:
    """The budget from torch; None without torch or without a GPU that it can use."""
    try:
        import torch
    except ImportError as error:
        log.debug("torch is not installed: %s", error)
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
    free = cuda_free_bytes(free, reserved, active)
    return Budget(card.name, total, free, source="torch", bf16=bf16, speed=_speed(card.name, total))


def _mps_budget(torch: Any) -> Budget:
    limit = torch.mps.recommended_max_memory()
    driver, allocated = torch.mps.driver_allocated_memory(), torch.mps.current_allocated_memory()
    memory = host_memory()
    free = mps_free_bytes(limit, driver, allocated, memory.available_bytes)
    macos = int(platform.mac_ver()[0].split(".")[0])
    read_chip = getattr(torch.backends.mps, "get_name", None)  # torch 2.9 and newer
    speed = _speed(read_chip(), memory.total_bytes) if read_chip else None
    return Budget("Apple GPU", limit, free, source="torch", device="mps", bf16=macos >= 14, speed=speed)


def _nvml_budget(index: int) -> Budget | None:
    """NVML's figures; None where it is not there (AMD, Apple, no driver) or the card is hidden from CUDA."""
    device = visible_device(os.environ.get("CUDA_VISIBLE_DEVICES"), index)
    card = None if device is None else read_card(device)
    if card is None:
        return None
    return Budget(
        card.name,
        card.total_bytes,
        card.free_bytes,
        source="nvml",
        bf16=card.capability >= 8,
        speed=_speed(card.name, card.total_bytes),
    )


def _speed(name: str, total_bytes: int) -> Speed | None:
    card = card_of_device(name, total_bytes)
    return card and card.speed
