"""One thread that reads the machine's memory while somebody looks or a run is under way, and sleeps otherwise."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

from ..devices.memory_reader import MemorySnapshot
from .run_watch import RunWatch

log = logging.getLogger(__name__)

T = TypeVar("T")

LEASE_S = 15.0
"""Seconds a watcher is kept without another word from it."""
MIN_RATE_HZ, MAX_RATE_HZ = 0.2, 10.0
RUN_RATE_HZ = 2.0
"""Rate during a run that nobody watches: the run's own record of the device needs it."""
THREAD_NAME = "sonic-guard-monitor"
MAX_WATCHERS = 100
"""Pages that are pushed to at a time. Anybody may ask for a lease, so none takes the place of a page that is there."""


@dataclass
class _Lease:
    rate_hz: float
    until_s: float


class _Turn(Enum):
    """What the thread does next."""

    READ = auto()
    REST = auto()
    END = auto()


class Monitor:
    """Reads with `read` and hands each reading to `push`, with the clients that watch, in a daemon thread of its own.

    It reads at the highest rate any watcher asks for. During a run every reading's device bytes go to the run's
    watch too. While there is neither watcher nor run the thread waits for one, and `rest` has been called (to close
    what `read` keeps open). The thread begins with the first watcher or run.

    An exception of `read`, `push` or `rest` is logged once each kind, and the thread goes on. Every method may be
    called from any thread.
    """

    def __init__(
        self,
        read: Callable[[], MemorySnapshot],
        push: Callable[[MemorySnapshot, tuple[str, ...]], object],
        rest: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        is_there: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`push` is called with the clients to push to, not at all when there are none.

        `is_there` says whether a client can be pushed to.
        """
        self._read, self._push, self._rest, self._clock, self._is_there = read, push, rest, clock, is_there
        self._changed = threading.Condition()
        self._leases: dict[str, _Lease] = {}
        self._runs: list[RunWatch] = []
        self._thread: threading.Thread | None = None
        self._read_s = -math.inf
        self._hurry = False
        self._resting = True
        self._closed = False
        self._said: set[str] = set()

    def watch(self, client: str, rate_hz: float) -> float:
        """`client` watches, `rate_hz` times a second (0.2 to 10); 0 or less ends its lease.

        Returns the seconds after which the lease runs out if this is not called again; 0 where `MAX_WATCHERS` others
        have one. A client that is not there gives its place to one that is.
        """
        with self._changed:
            if not rate_hz > 0:
                self._leases.pop(client, None)
                return 0.0
            if client not in self._leases:
                if len(self._leases) >= MAX_WATCHERS and not self._free_memory(client):
                    return 0.0
                self._hurry = True
            rate_hz = min(max(rate_hz, MIN_RATE_HZ), MAX_RATE_HZ)
            self._leases[client] = _Lease(rate_hz, self._clock() + LEASE_S)
            self._wake()
        return LEASE_S

    def run_begins(self, run: RunWatch) -> None:
        """Readings go to `run` from now on."""
        with self._changed:
            self._runs.append(run)
            self._hurry = True
            self._wake()

    def run_ends(self, run: RunWatch) -> None:
        """Readings go to `run` no longer. Nothing happens if they did not."""
        with self._changed:
            if run in self._runs:
                self._runs.remove(run)

    @contextmanager
    def during(self, run: RunWatch) -> Iterator[None]:
        """Readings go to `run` inside the block."""
        self.run_begins(run)
        try:
            yield
        finally:
            self.run_ends(run)

    def close(self) -> None:
        """End the thread for good; watchers and runs are ignored from then on."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def _free_memory(self, client: str) -> bool:
        self._leases = self._lasting()
        gone = [name for name in self._leases if not self._is_there(name)] if self._is_there(client) else []
        for name in gone:
            del self._leases[name]
        return len(self._leases) < MAX_WATCHERS

    def _lasting(self) -> dict[str, _Lease]:
        now_s = self._clock()
        return {name: lease for name, lease in self._leases.items() if lease.until_s > now_s}

    def _wake(self) -> None:
        if self._closed:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=THREAD_NAME, daemon=True)
            self._thread.start()
        self._changed.notify()

    def _work(self) -> None:
        while (turn := self._wait()) is not _Turn.END:
            if turn is _Turn.REST:
                self._guarded("closing the gauge", self._rest)
            elif snapshot := self._guarded("reading the memory", self._read):
                with self._changed:
                    runs, clients = tuple(self._runs), tuple(self._leases)
                for run in runs:
                    run.device(snapshot.device_bytes)
                if clients:
                    self._guarded("telling the memory", self._push, snapshot, clients)
        self._guarded("closing the gauge", self._rest)

    def _wait(self) -> "_Turn":
        """Sleep until there is something to do."""
        with self._changed:
            while not self._closed:
                now_s = self._clock()
                self._leases = self._lasting()
                if not self._leases and not self._runs:
                    if not self._resting:
                        self._resting = True
                        return _Turn.REST
                    self._changed.wait()
                    continue
                rate_hz = max((lease.rate_hz for lease in self._leases.values()), default=RUN_RATE_HZ)
                wait_s = self._read_s + 1 / (MAX_RATE_HZ if self._hurry else rate_hz) - now_s
                if wait_s <= 0:
                    self._read_s, self._hurry, self._resting = now_s, False, False
                    return _Turn.READ
                self._changed.wait(wait_s)
            return _Turn.END

    def _guarded(self, what: str, work: Callable[..., T], *args: object) -> T | None:
        try:
            return work(*args)
        except Exception as error:
            kind = f"{what}: {type(error).__name__}"
            if kind not in self._said:
                self._said.add(kind)
                log.warning("%s failed, and is not said again: %r", what, error)
            return None
