"""NVIDIA's management library (NVML), read only here; reading it creates no context on a card."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

RENEW_S = 10.0
"""Seconds after which the driver is opened anew while a card does not answer. Opening it may take a second."""


@dataclass(frozen=True)
class Card:
    """One card at one moment."""

    index: int
    """As NVML counts: by position on the bus, which may differ from CUDA's count."""
    name: str
    uuid: str = ""
    """As NVML writes it ("GPU-…", "MIG-…"); empty where it is not NVML that knows the card."""
    used_bytes: int | None = None
    """In use by every program. None: the driver has no figure (the GPU shares the CPU's memory) or no answer."""
    total_bytes: int | None = None
    trouble: str = ""
    """The driver's error instead of figures."""


class Nvml:
    """NVIDIA's management library, opened by the first query and kept open until `close`.

    A card that stops answering (the driver was reset, the card fell off the bus) is logged once, and reported in
    its `Card` at every snapshot; the other cards are not affected. Not thread-safe.
    """

    def __init__(self, part: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        """`part` is the UUID of a part of a card (MIG) to look at too: NVML counts none of them as a card."""
        self._part = part
        self._clock = clock
        self._cards: list[tuple[Any, Card]] = []
        self._opened_s: float | None = None
        self._there = False
        self._logged: set[tuple[str, str]] = set()

    def read(self) -> tuple[Card, ...]:
        """Every card, in NVML's order; none where there is no NVIDIA driver."""
        if self._opened_s is None:
            self._open()
        cards = tuple(_ask(handle, card) for handle, card in self._cards)
        lost = [card for card in cards if card.trouble]
        for card in lost:
            self._log_once(card.name, card.trouble)
        if lost and self._opened_s is not None and self._clock() - self._opened_s >= RENEW_S:
            self.close()
        return cards

    def close(self) -> None:
        """Let go of the driver. The next `read` opens it again."""
        self._cards, self._opened_s = [], None
        if not self._there:
            return
        import pynvml

        self._there = False
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError as error:
            log.debug("NVML does not shut down: %s", error)

    def _open(self) -> None:
        import pynvml

        self._opened_s = self._clock()
        try:
            pynvml.nvmlInit()
            self._there = True
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            log.debug("no NVML: %s", error)
            return
        for index in range(count):
            self._add(index, f"GPU {index}", pynvml.nvmlDeviceGetHandleByIndex, index)
        if self._part:
            self._add(count, self._part, pynvml.nvmlDeviceGetHandleByUUID, self._part)

    def _add(self, index: int, known_as: str, find: Callable[[Any], Any], key: int | str) -> None:
        import pynvml

        try:
            handle = find(key)
            name, uuid = str(pynvml.nvmlDeviceGetName(handle)), str(pynvml.nvmlDeviceGetUUID(handle))
        except pynvml.NVMLError as error:
            self._log_once(known_as, str(error))
        else:
            self._cards.append((handle, Card(index, name, uuid)))

    def _log_once(self, name: str, trouble: str) -> None:
        if (name, trouble) not in self._logged:
            self._logged.add((name, trouble))
            log.warning("%s does not answer: %s", name, trouble)


def _ask(handle: Any, card: Card) -> Card:
    import pynvml

    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError_NotSupported:  # pyright: ignore[reportAttributeAccessIssue] - made at import
        return card
    except pynvml.NVMLError as error:
        return replace(card, trouble=str(error))
    # Not `memory.used`: a newer form of it leaves the driver's own share out, which no program can get either.
    return replace(card, used_bytes=int(memory.total) - int(memory.free), total_bytes=int(memory.total))


class CardMemory(NamedTuple):
    """One card, read once."""

    name: str
    total_bytes: int
    free_bytes: int
    """Not in use by any program."""
    capability: int
    """Major number of its compute capability: 8 is Ampere, the first with bf16."""


def read_card(device: int | str) -> CardMemory | None:
    """The card with NVML's index or UUID `device`; None without pynvml, a driver, such a card or a figure for it."""
    with _opened() as nvml:
        if nvml is None:
            return None
        try:
            find = nvml.nvmlDeviceGetHandleByUUID if isinstance(device, str) else nvml.nvmlDeviceGetHandleByIndex
            handle = find(device)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            major, _ = nvml.nvmlDeviceGetCudaComputeCapability(handle)
            return CardMemory(nvml.nvmlDeviceGetName(handle), int(memory.total), int(memory.free), int(major))
        except nvml.NVMLError as error:
            # Such as a card that shares the CPU's memory, for which NVML has no size.
            log.warning("NVML has no memory size for GPU %s: %s", device, error)
            return None


@cache
def driver_version() -> str:
    """Version of NVIDIA's driver, such as "580.159.04"; empty where there is none."""
    with _opened() as nvml:
        return "" if nvml is None else str(nvml.nvmlSystemGetDriverVersion())


@contextmanager
def _opened() -> Iterator[Any]:
    """The module pynvml between NVML's start and end; None without the module or a driver."""
    try:
        import pynvml
    except ImportError as error:
        log.debug("no pynvml: %s", error)
        yield None
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        log.debug("no NVML: %s", error)
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()
