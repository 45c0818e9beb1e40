"""A thread that reads the machine's memory while a client watches or a run is in progress, and sleeps otherwise."""

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
"""Seconds after which a watcher is dropped unless it renews its lease."""
MIN_RATE_HZ, MAX_RATE_HZ = 0.2, 10.0
RUN_RATE_HZ = 2.0
"""Rate during a run without watchers, for the run's own record of the device's memory."""
THREAD_NAME = "sonic-guard-monitor"
MAX_WATCHERS = 100
"""Most clients at a time. Any client may request a lease, so a new one never replaces one that is still connected."""


@dataclass
class _Lease:
    rate_hz: float
    until_s: float


class _Action(Enum):
    """What the thread does next."""

    READ = auto()
    REST = auto()
    END = auto()


class Monitor:
    """Takes memory snapshots with `read` and passes them to `push` with the watching clients, in a daemon thread.

    It reads at the highest rate that a watcher requests. During a run, the device bytes of every snapshot are also
    passed to its `RunWatch`. Without watchers and runs the thread calls `rest` (to close what `read` keeps open) and
    waits. The thread starts with the first watcher or run.

    Exceptions of `read`, `push` and `rest` are logged once per type, and the thread continues. All methods may be
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
        """`push` is called with the clients that watch, and not at all if there are none.

        `is_there` tells whether a client is still connected. `clock` is in seconds.
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
        self._logged: set[str] = set()

    def watch(self, client: str, rate_hz: float) -> float:
        """Begin or renew the lease of `client`, with `rate_hz` snapshots per second (0.2 to 10); 0 or less ends it.

        Returns the seconds after which the lease expires unless it is renewed; 0 if `MAX_WATCHERS` other clients have
        one. Clients that are no longer connected are dropped for one that is.
        """
        with self._changed:
            if not rate_hz > 0:
                self._leases.pop(client, None)
                return 0.0
            if client not in self._leases:
                if len(self._leases) >= MAX_WATCHERS and not self._has_slot_for(client):
                    return 0.0
                self._hurry = True
            rate_hz = min(max(rate_hz, MIN_RATE_HZ), MAX_RATE_HZ)
            self._leases[client] = _Lease(rate_hz, self._clock() + LEASE_S)
            self._wake()
        return LEASE_S

    def run_begins(self, run: RunWatch) -> None:
        """Pass snapshots to `run` from now on."""
        with self._changed:
            self._runs.append(run)
            self._hurry = True
            self._wake()

    def run_ends(self, run: RunWatch) -> None:
        """Stop passing snapshots to `run`. Does nothing if they were not passed."""
        with self._changed:
            if run in self._runs:
                self._runs.remove(run)

    @contextmanager
    def during(self, run: RunWatch) -> Iterator[None]:
        """Pass snapshots to `run` inside the block."""
        self.run_begins(run)
        try:
            yield
        finally:
            self.run_ends(run)

    def close(self) -> None:
        """End the thread. Watchers and runs are ignored from then on."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def _has_slot_for(self, client: str) -> bool:
        """Drop expired and disconnected clients; whether there is a lease left for `client`."""
        self._leases = self._valid_leases()
        gone = [name for name in self._leases if not self._is_there(name)] if self._is_there(client) else []
        for name in gone:
            del self._leases[name]
        return len(self._leases) < MAX_WATCHERS

    def _valid_leases(self) -> dict[str, _Lease]:
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
        while (action := self._wait()) is not _Action.END:
            if action is _Action.REST:
                self._guarded("closing the memory reader", self._rest)
            elif snapshot := self._guarded("reading the memory", self._read):
                with self._changed:
                    runs, clients = tuple(self._runs), tuple(self._leases)
                for run in runs:
                    run.sample_device(snapshot.device_bytes)
                if clients:
                    self._guarded("sending the memory", self._push, snapshot, clients)
        self._guarded("closing the memory reader", self._rest)

    def _wait(self) -> "_Action":
        """Sleep until there is something to do."""
        with self._changed:
            while not self._closed:
                now_s = self._clock()
                self._leases = self._valid_leases()
                if not self._leases and not self._runs:
                    if not self._resting:
                        self._resting = True
                        return _Action.REST
                    self._changed.wait()
                    continue
                rate_hz = max((lease.rate_hz for lease in self._leases.values()), default=RUN_RATE_HZ)
                wait_s = self._read_s + 1 / (MAX_RATE_HZ if self._hurry else rate_hz) - now_s
                if wait_s <= 0:
                    self._read_s, self._hurry, self._resting = now_s, False, False
                    return _Action.READ
                self._changed.wait(wait_s)
            return _Action.END

    def _guarded(self, what: str, work: Callable[..., T], *args: object) -> T | None:
        try:
            return work(*args)
        except Exception as error:
            kind = f"{what}: {type(error).__name__}"
            if kind not in self._logged:
                self._logged.add(kind)
                log.warning("%s failed; not logged again: %r", what, error)
            return None
