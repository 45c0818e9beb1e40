"""The ledger of one card's memory: a folder that all processes share, in which each process has a file.

An entry lasts as long as the operating system's lock on its file, which its process holds. So it ends with the process,
however that dies, also in another container and when the machine restarts, and nobody has to clean up after it. All
decisions are made under one more lock, so that two processes never reserve the same bytes.
"""

import json
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..atomic_files import errors_about
from ..errors import LeaseError, OutputError

log = logging.getLogger(__name__)

LOCK_TIMEOUT_S = 10.0
"""Longest wait for the lock of the decisions, which is held for milliseconds."""
_ENTRY_BYTES = 1 << 12
"""Length of the file of an entry."""
_ENTRY, _LOCK = ".json", ".lock"
_DECISIONS = "decisions.lock"


class State(StrEnum):
    """What an entry of the ledger is."""

    HERE = "here"
    """Its process may ask for a lease, and has none."""
    WAITING = "waiting"
    RUNNING = "running"


@dataclass(frozen=True)
class Entry:
    """What the ledger says of a process, which runs one thing at a time."""

    id: str
    state: State = State.HERE
    number: int = 0
    """Ascending in the order in which the runs came."""
    size_bytes: int = 0
    """Asked for, or reserved: what the process holds at the run's peak, with all that it holds besides."""
    used_bytes: int = 0
    """In use by its process at the last look."""
    passed: int = 0
    """Later runs that were admitted before it."""
    pid: int = 0
    """In the process's own container."""
    label: str = ""
    """For users."""
    since_s: float = 0.0
    """Seconds since 1970 at which it came."""
    heard_s: float = 0.0
    """Seconds since 1970 at which a process that waits has looked last."""


class Ledger:
    """The entries of one card. Raises `LeaseError` where the folder cannot be used."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is created if it is missing, readable by its owner alone."""
        self.folder = folder
        self._decisions = FileLock(folder / _DECISIONS, thread_local=False)
        self._thread = threading.RLock()  # the other lock would let in every thread of the process that holds it
        self._own: dict[str, OwnEntry] = {}
        with _lease_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def deciding(self) -> Iterator[list[Entry]]:
        """The live entries, which no other process or thread changes inside the block, ordered by their numbers."""
        with (
            _lease_errors(self.folder),
            self._thread,
            self._decisions.acquire(timeout=LOCK_TIMEOUT_S, poll_interval=0.005),
        ):
            yield sorted(self._live(), key=lambda entry: entry.number)

    def look(self) -> list[Entry]:
        """The live entries at this moment."""
        with self.deciding() as entries:
            return entries

    def open(self, entry: Entry) -> "OwnEntry":
        """Add `entry`, which lasts until it is closed or the process ends. Only inside `deciding`."""
        own = OwnEntry(self.folder, entry)
        self._own[entry.id] = own
        return own

    def write(self, entry: Entry) -> None:
        """Replace what an entry says. Only inside `deciding`."""
        _write(self.folder / f"{entry.id}{_ENTRY}", entry)

    def _live(self) -> Iterator[Entry]:
        for name in os.listdir(self.folder):
            key, suffix = os.path.splitext(name)
            if suffix != _LOCK or name == _DECISIONS:
                continue
            own = self._own.get(key)
            if own is not None and own.is_open:
                yield own.entry
                continue
            lock_file, entry = self.folder / name, self.folder / f"{key}{_ENTRY}"
            if _is_held(lock_file):
                if (read := _read(entry)) is not None:
                    yield read
            else:
                entry.unlink(missing_ok=True)
                lock_file.unlink(missing_ok=True)


class OwnEntry:
    """The entry of this process."""

    def __init__(self, folder: Path, entry: Entry) -> None:
        self.entry = entry
        self._path = folder / f"{entry.id}{_ENTRY}"
        self._lock = FileLock(folder / f"{entry.id}{_LOCK}", thread_local=False)  # any thread may close it
        self._lock.acquire(timeout=0)
        _write(self._path, entry)

    @property
    def is_open(self) -> bool:
        """Whether this process still has it."""
        return self._lock.is_locked

    def update(self, **changes: Any) -> None:
        """Change what it says. Only inside `deciding`, or others may read half of it."""
        self.entry = replace(self.entry, **changes)
        _write(self._path, self.entry)

    def renew(self) -> None:
        """Read what others have written into it."""
        self.entry = _read(self._path) or self.entry

    def close(self) -> None:
        """End it. May be called twice."""
        with suppress(OSError):  # the next process to look removes what is left
            self._path.unlink(missing_ok=True)
            Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()


def new_id() -> str:
    """A name for an entry that no other has."""
    return secrets.token_hex(8)


def _is_held(lock_file: Path) -> bool:
    probe = FileLock(lock_file)
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return True
    probe.release()
    return False


def _write(path: Path, entry: Entry) -> None:
    # In place, always of one length and not synced, which takes microseconds: it is read under the lock of the
    # decisions only, and no entry outlives its process.
    text = json.dumps(entry.__dict__, ensure_ascii=True).encode().ljust(_ENTRY_BYTES)
    with path.open("r+b" if path.exists() else "w+b", buffering=0) as file:
        file.write(text)


def _read(path: Path) -> Entry | None:
    try:
        with path.open("rb") as file:
            raw = json.loads(file.read(_ENTRY_BYTES))
        return Entry(**{**raw, "state": State(raw["state"])})
    except FileNotFoundError:  # it has its lock already and is being written
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s cannot be read: %s", path, error)
        return None


@contextmanager
def _lease_errors(folder: Path) -> Iterator[None]:
    """Errors of the system inside the block as `LeaseError`s; those of `errors_about` advise what to do."""
    try:
        with errors_about(folder):
            yield
    except Timeout as error:
        raise LeaseError(
            f"{folder.name}: another process has held the ledger of leases for {LOCK_TIMEOUT_S:.0f} s. It hangs: end "
            "it."
        ) from error
    except OutputError as error:
        raise LeaseError(f"the ledger of leases cannot be used: {error}", path=folder) from error
