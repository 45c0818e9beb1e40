"""A lease of a card's memory for the time of a run: waits for its turn, and ends with its process at the latest."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..errors import LeaseError, SonicGuardError
from .admission import Capacity, Waiting, admit
from .ledger import Entry, Ledger, State, new_id

log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 0.2
"""Seconds between two looks of a run that waits."""
MAX_LABEL = 200
"""Most characters of a label."""
HEARTBEAT_S = 1.0
"""Seconds between two notes of what a run really holds, and that a run that waits still does."""
SILENT_S = 10.0
"""Seconds after which a run that waits and does not look, such as that of a stopped process, holds up nobody. It keeps
its place for when it looks again. One that has begun keeps its memory, for that is in use."""


@dataclass(frozen=True)
class LeaseRequest:
    """A run that asks for memory."""

    size_bytes: int
    """What its process will hold at its peak."""
    label: str = ""
    timeout_s: float | None = None
    """Longest wait; None: without end."""
    alone_at_once: bool = True
    """Whether it begins at once where no other process uses the ledger, however full the card is."""


class Place(NamedTuple):
    """Where a run that waits stands: an event for `notify`."""

    number: int
    """Place in the order in which they came."""
    running: int
    """Runs that hold a lease."""
    free_bytes: int
    """Not leased and not in use by other programs."""
    foreign_bytes: int
    """In use by programs that have no lease."""


class CardMemory(NamedTuple):
    """How the ledger knows the card; each may be called from any thread."""

    usable_bytes: Callable[[], int]
    """Of the card, without its reserve."""
    used_bytes: Callable[[], int]
    """In use by all programs now."""
    own_bytes: Callable[[], int]
    """In use by this process now."""


class CardLeases:
    """The leases of one card, as a process sees them that runs one thing at a time."""

    def __init__(self, ledger: Ledger, memory: CardMemory, runs: int = 2, silent_s: float = SILENT_S) -> None:
        self._ledger, self._memory, self._silent_s = ledger, memory, silent_s
        self.runs = runs
        """Most runs of all processes at a time."""
        with ledger.deciding():
            self._own = ledger.open(Entry(new_id(), pid=os.getpid(), since_s=time.time()))
        self._over = threading.Event()
        self._beating: threading.Thread | None = None

    def promised_bytes(self) -> int:
        """Bytes that runs of other processes have leased and not taken yet. Raises `LeaseError`."""
        return sum(
            max(0, entry.size_bytes - entry.used_bytes)
            for entry in self._ledger.look()
            if entry.state is State.RUNNING and entry.id != self._own.entry.id
        )

    def close(self) -> None:
        """Note that this process asks for no more leases."""
        self._over.set()
        self._own.close()

    @contextmanager
    def lease(
        self,
        request: LeaseRequest,
        *,
        notify: Callable[[Place], None] = lambda place: None,
        check: Callable[[], None] = lambda: None,
        interval_s: float = LOOK_INTERVAL_S,
    ) -> Iterator[None]:
        """Wait until the run of `request` is admitted, and hold its bytes inside the block.

        `notify` receives its place in line when that changes; an exception from `check`, called every `interval_s`
        seconds, ends the wait. Raises `LeaseError` for a run that is larger than a card that is shared, and after the
        time limit.
        """
        began_s, shown = time.monotonic(), None
        try:
            while (place := self._try(request)) is not None:
                check()
                if place[:2] != shown:
                    notify(place)
                    shown = place[:2]
                if request.timeout_s is not None and time.monotonic() - began_s >= request.timeout_s:
                    raise LeaseError(
                        f"lease: {place.running} other runs and {place.foreign_bytes / 2**30:.1f} GiB of other "
                        f"programs have left no room for {request.timeout_s:.0f} s. Run again later, or close them."
                    )
                time.sleep(interval_s)
            yield
        finally:
            self._give_back()

    def _give_back(self) -> None:
        nothing = {"state": State.HERE, "number": 0, "size_bytes": 0, "passed": 0, "label": ""}
        try:
            with self._ledger.deciding():
                self._own.update(**nothing)
        except LeaseError as error:
            log.warning("%s", error)
            self._own.update(**nothing)  # or others would wait for ever

    def _try(self, request: LeaseRequest) -> Place | None:
        """None once the run is admitted; until then, its place in line."""
        with self._ledger.deciding() as entries:
            others = [entry for entry in entries if entry.id != self._own.entry.id]
            if request.alone_at_once and not others:
                self._begin(request)
                return None
            self._refuse_too_large(request)
            self._stand_in_line(request, others)
            entries = sorted([*others, self._own.entry], key=lambda entry: entry.number)
            capacity = capacity_of(entries, self._memory.usable_bytes(), self._memory.used_bytes(), self.runs)
            running = [entry.size_bytes for entry in others if entry.state is State.RUNNING]
            heard_s = time.time() - self._silent_s
            line = [entry for entry in entries if entry.state is State.WAITING and entry.heard_s >= heard_s]
            admission = admit(capacity, running, [_waiting(entry) for entry in line])
            number = self._own.entry.number
            if number not in admission.admitted:
                ahead = sum(entry.number <= number for entry in line)
                free = max(0, capacity.free_bytes - sum(running))
                return Place(ahead, len(running), free, capacity.foreign_bytes)
            # Only this run begins now: those before it begin when they look, and have been counted as if they had.
            for entry in line:
                if entry.number < number and entry.number not in admission.admitted:
                    self._ledger.write(replace(entry, passed=entry.passed + 1))
            self._begin(request)
            return None

    def _stand_in_line(self, request: LeaseRequest, others: list[Entry]) -> None:
        own, used, now_s = self._own.entry, self._memory.own_bytes(), time.time()
        if own.state is not State.WAITING:
            number = max((entry.number for entry in others), default=0) + 1
            self._own.update(
                state=State.WAITING, number=number, size_bytes=request.size_bytes, used_bytes=used,
                label=request.label[:MAX_LABEL], since_s=now_s, heard_s=now_s,
            )  # fmt: skip
            return
        # What others have noted in it since, such as that they passed, is in its file alone.
        self._own.renew()
        if used != own.used_bytes or not 0 <= now_s - own.heard_s < HEARTBEAT_S:
            self._own.update(used_bytes=used, heard_s=now_s)

    def _begin(self, request: LeaseRequest) -> None:
        self._own.update(
            state=State.RUNNING, size_bytes=request.size_bytes, label=request.label[:MAX_LABEL],
            used_bytes=self._memory.own_bytes(), since_s=time.time(),
        )  # fmt: skip
        if self._beating is None:
            self._beating = threading.Thread(target=self._beat, name="sonic-guard-lease", daemon=True)
            self._beating.start()

    def _beat(self) -> None:
        """Note what the run really holds, so that others know how much of the card's use is no lease's."""
        while not self._over.wait(HEARTBEAT_S):
            if self._own.entry.state is not State.RUNNING:
                continue
            try:
                used = self._memory.own_bytes()
                with self._ledger.deciding():
                    own = self._own.entry
                    if own.state is State.RUNNING and used != own.used_bytes:
                        self._own.update(used_bytes=used)
            except (SonicGuardError, OSError, RuntimeError) as error:  # a full disk, a card that has failed
                log.debug("the lease's use cannot be noted: %s", error)

    def _refuse_too_large(self, request: LeaseRequest) -> None:
        usable = self._memory.usable_bytes()
        if request.size_bytes > usable:
            raise LeaseError(
                f"lease: the run needs {request.size_bytes / 2**30:.1f} GiB of {usable / 2**30:.1f} GiB. "
                "Choose a smaller size."
            )


def capacity_of(entries: list[Entry], usable_bytes: int, used_bytes: int, runs: int) -> Capacity:
    """What runs may share, given the ledger and the card's use: what is used beyond the leases is foreign."""
    leased_use = sum(min(entry.used_bytes, entry.size_bytes) for entry in entries if entry.state is State.RUNNING)
    return Capacity(usable_bytes, max(0, used_bytes - leased_use), runs)


def _waiting(entry: Entry) -> Waiting:
    """A run that waits needs what it will hold beyond what its process holds already, which counts as foreign."""
    return Waiting(entry.number, max(0, entry.size_bytes - entry.used_bytes), entry.passed)
