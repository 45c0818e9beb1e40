"""Memory snapshots of the machine: every card, torch's share of the one in use, and host memory."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from .budget import visible_device
from .host_memory import host_memory
from .nvml import Card, Nvml
from .torch_memory import Share, has_gpu_support, loaded_torch, read_share

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class MemorySnapshot:
    """The machine's memory at one moment."""

    in_use: Card | None
    """The card that the Sonic wrapper uses; None on the CPU."""
    cards: tuple[Card, ...]
    """Every card of this machine, including the one in use."""
    allocated_bytes: int | None
    """Bytes of torch's tensors on the card in use; None until torch has initialised it."""
    reserved_bytes: int | None
    """Bytes held by torch's allocator there, its cache included."""
    host_used_bytes: int
    host_total_bytes: int
    source: str
    """Origin of the GPU's figures: nvml+torch, nvml, torch or none."""

    @property
    def device_bytes(self) -> int | None:
        """Memory in use by all programs on the card in use; None if unknown."""
        return self.in_use.used_bytes if self.in_use else None

    def to_event(self) -> dict[str, Any]:
        """The snapshot as the event ``sonic_guard.live``, without its run."""
        card = self.in_use or Card(0, "")
        return {
            "gpu": self.in_use is not None,
            "source": self.source,
            "card": card.name,
            "index": card.index,
            "device_used": card.used_bytes,
            "device_total": card.total_bytes,
            "trouble": card.trouble,
            "allocated": self.allocated_bytes,
            "reserved": self.reserved_bytes,
            "host_used": self.host_used_bytes,
            "host_total": self.host_total_bytes,
            "cards": [
                {"index": one.index, "name": one.name, "used": one.used_bytes, "total": one.total_bytes}
                for one in self.cards
            ],
        }


class MemoryReader:
    """Takes memory snapshots. Keeps NVML open between them, because opening it is slow. Not thread-safe.

    A snapshot never imports torch and never creates a CUDA context, which would take some 300 MB of the card.
    """

    def __init__(self, device_index: int = 0) -> None:
        """`device_index` is the card in use in CUDA's numbering; the wrapper uses the first."""
        self._index = device_index
        self._visible = visible_device(os.environ.get("CUDA_VISIBLE_DEVICES"), device_index)
        part = self._visible if isinstance(self._visible, str) and self._visible.startswith("MIG-") else ""
        self._nvml = Nvml(part)
        self._torch_error = ""

    def read(self) -> MemorySnapshot:
        """A snapshot of the memory now."""
        cards = self._nvml.read()
        share = self._guarded(partial(read_share, self._index))
        in_use = self._pick(cards, share)
        by_nvml = in_use is not None and in_use.used_bytes is not None
        if share and in_use and not by_nvml:
            used, total = self._guarded(share.device) or (None, None)
            filled = replace(in_use, used_bytes=used, total_bytes=total)
            cards = (*(card for card in cards if card is not in_use), filled)
            in_use = filled
        memory = host_memory()
        return MemorySnapshot(
            in_use,
            cards,
            share.allocated_bytes if share else None,
            share.reserved_bytes if share else None,
            host_used_bytes=memory.total_bytes - memory.available_bytes,
            host_total_bytes=memory.total_bytes,
            source="+".join(["nvml"] * by_nvml + ["torch"] * (share is not None)) or "none",
        )

    def close(self) -> None:
        """Close NVML until the next snapshot."""
        self._nvml.close()

    def _guarded(self, query: Callable[[], T]) -> T | None:
        """The result of a query to torch; None if it fails. After a failed kernel CUDA fails until the process ends."""
        try:
            return query()
        except RuntimeError as error:
            if str(error) != self._torch_error:
                log.warning("torch cannot read GPU %s: %s", self._index, error)
                self._torch_error = str(error)
            return None

    def _pick(self, cards: tuple[Card, ...], share: Share | None) -> Card | None:
        """The card in use: one of NVML's if possible, otherwise described by torch; None without a GPU."""
        if share and share.uuid:
            found = [card for card in cards if card.uuid.endswith(share.uuid)]
            return found[0] if found else Card(self._index, share.name)
        torch = loaded_torch()
        if torch and (torch.version.hip or not has_gpu_support(torch)):
            cards = ()  # this build of torch does not use NVIDIA cards
        device = self._visible
        for card in cards:
            if card.index == device or (isinstance(device, str) and card.uuid.startswith(device)):
                return card
        return Card(self._index, share.name) if share else None
