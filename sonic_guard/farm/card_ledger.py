"""Where the ledger of a card is, and how the ledger knows the card's memory."""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from ..devices.card_catalogue import GIB, less_reserve
from ..devices.memory_reader import MemoryReader, MemorySnapshot
from ..errors import LeaseError
from .leases import CardMemory
from .ledger import Entry, Ledger, State

VARIABLE = "SONIC_GUARD_LEASES"
"""Environment variable with the folder of all ledgers: one that containers on a machine share, for example."""
HOST = "host-memory"
"""Name of the ledger of the machine's memory, for runs on the CPU."""
CONTEXT_BYTES = GIB // 2
"""What a process takes of a card beyond torch's allocator: its CUDA context with kernels, about."""


def ledgers_folder() -> Path:
    """The folder of all ledgers of this user on this machine. Raises `LeaseError` for one that is another user's."""
    if location := os.environ.get(VARIABLE):
        return Path(location)
    if not hasattr(os, "getuid"):
        return Path(tempfile.gettempdir()) / "sonic-guard-leases"  # on Windows, of the user alone
    folder = Path(tempfile.gettempdir()) / f"sonic-guard-leases-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or folder.is_symlink():
        raise LeaseError(f"{folder.name}: this folder is another user's. Set {VARIABLE} to a folder of your own.")
    return folder


class LiveMemory:
    """What Sonic uses, as `CardMemory` needs it: the card, or where there is none the machine's memory."""

    def __init__(self, reader: MemoryReader) -> None:
        self._reader, self._lock = reader, threading.Lock()
        self.card = self._snapshot().in_use
        """None: Sonic runs on the CPU."""

    def ledger(self) -> Ledger:
        """Its ledger. Raises `LeaseError`."""
        name = HOST if self.card is None else self.card.uuid or f"{self.card.index}-{self.card.name}"
        return Ledger(ledgers_folder() / re.sub(r"[^A-Za-z0-9._-]+", "-", name))

    def memory(self, reserve: float) -> CardMemory:
        """Its memory, of which the share `reserve` is left alone. Takes a snapshot at each query, from any thread."""
        if self.card is None:
            return CardMemory(
                lambda: less_reserve(self._snapshot().host_total_bytes, reserve),
                lambda: self._snapshot().host_used_bytes,
                lambda: psutil.Process().memory_info().rss,
            )
        total = self.card.total_bytes or 0
        return CardMemory(lambda: less_reserve(total, reserve), self._used_bytes, self._own_bytes)

    def _snapshot(self) -> MemorySnapshot:
        with self._lock:
            return self._reader.read()

    def _used_bytes(self) -> int:
        return self._snapshot().device_bytes or 0

    def _own_bytes(self) -> int:
        reserved = self._snapshot().reserved_bytes
        return 0 if reserved is None else reserved + (CONTEXT_BYTES if "torch" in sys.modules else 0)


class Leases(NamedTuple):
    """The leases of one card, for a table."""

    card: str
    entries: list[Entry]
    """Of all processes, those that run first."""


def all_leases() -> Iterator[Leases]:
    """The leases of every card that has a ledger. Raises `LeaseError`."""
    order = [State.RUNNING, State.WAITING, State.HERE]
    folder = ledgers_folder()
    for path in sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else ():
        entries = Ledger(path).look()
        if entries:
            yield Leases(path.name, sorted(entries, key=lambda entry: (order.index(entry.state), entry.number)))
