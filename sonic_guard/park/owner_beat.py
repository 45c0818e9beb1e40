"""Shows, once a second and from its own thread, that a farm's client lives; learns whether the farm is cancelled."""

import threading
import time
from types import TracebackType

from ..errors import FarmError
from .journal import LEASE_S, Journal

BEAT_S = 1.0


class OwnerBeat:
    """A context around the work of a farm's owner."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: FarmError | None = None
        self._last = time.monotonic()
        self.is_cancelled = False

    def __enter__(self) -> "OwnerBeat":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    def check(self) -> None:
        """Raise `FarmError` if another client has taken the farm over, or if no beat has been possible for long."""
        if self._error is not None and time.monotonic() - self._last > LEASE_S / 2:
            raise self._error

    def _run(self) -> None:
        while not self._end.wait(BEAT_S):
            try:
                self.is_cancelled = self._journal.beat()
                self._error, self._last = None, time.monotonic()
            except FarmError as error:
                self._error = error
