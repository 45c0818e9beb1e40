"""A cache of the calibration and pace of each card and relative, which are needed for every prediction."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from ..devices.environment import RunEnvironment
from ..errors import HistoryError
from ..job import Job
from ..planning.pace import Pace, learn_pace
from ..relatives import Relative
from .calibration import MAX_RUNS, Calibration, calibrate, denoise_times
from .run_record import Outcome, Run

log = logging.getLogger(__name__)

MAX_AGE_S = 60.0
"""Seconds after which the history is read again, because another process may have written to it, or reading failed."""
GLANCE_S = 0.25
"""Longest time that a live prediction waits for the history. Until it has been read, the model alone is used."""
WAIT_S = 10.0
"""Longest time that a node being executed, or a page that shows the history, waits for it."""
SAME_MEMORY = 0.05
"""Share by which the memory of two cards of one model may differ: what a driver keeps of it is not always the same."""
MAX_CARDS = 64
"""Most cards in the cache; clients may ask for any name."""


class History(Protocol):
    """A store of runs: `history_store.History`."""

    def runs(
        self,
        card: str | None = None,
        wrapper: str | None = None,
        limit: int | None = None,
        *,
        relative: Relative | None = None,
    ) -> list[Run]:
        """The newest runs of a card, a wrapper and a relative, newest first."""
        ...


@dataclass(frozen=True)
class CardHistory:
    """The calibration, pace and latest runs of one card; empty without runs."""

    calibration: Calibration = field(default_factory=Calibration)
    pace: Pace | None = None
    _last: Mapping[tuple[object, ...], Run] = field(default_factory=lambda: MappingProxyType({}))

    def last(self, job: Job) -> Run | None:
        """The newest run with the same settings that has ended."""
        return self._last.get(_settings(job))


def card_history(runs: Sequence[Run]) -> CardHistory:
    """What `runs`, newest first, tell: they must be of one card model, one relative and one version of the wrapper."""
    last = {_settings(run.job): run for run in reversed(runs) if run.outcome is not Outcome.RUNNING}
    return CardHistory(calibrate(runs), learn_pace(denoise_times(runs)), last)


@dataclass
class _Known:
    """The cached entry of a card, and the task that renews it."""

    requested_s: float
    card_history: CardHistory | None
    awaited: bool
    """Whether callers wait for the task: there is no entry yet, or a run has ended since."""
    query: Future[None] = field(init=False)
    outdated: bool = False


class HistoryCache:
    """The `CardHistory` of each card, read in a background thread. All methods may be called from any thread."""

    def __init__(
        self,
        history: Callable[[], History | None],
        wrapper: Callable[[Relative], str | None] = lambda _relative: None,
        clock: Callable[[], float] = time.monotonic,
        glance_s: float = GLANCE_S,
    ) -> None:
        """`history` returns the store, None without one; `wrapper` a pack's version whose runs count, None for all."""
        self._history, self._wrapper, self._clock, self._glance_s = history, wrapper, clock, glance_s
        self._known: dict[tuple[str, int, Relative], _Known] = {}
        self._failed_s: float | None = None
        self._lock = threading.Lock()
        self._reader = ThreadPoolExecutor(1, "sonic-guard-history")

    def of(
        self, card: str, wait_s: float | None = None, total_bytes: int = 0, relative: Relative = Relative.SONIC
    ) -> CardHistory:
        """The `CardHistory` of a card; an empty one, with a warning in the log, if the history cannot be read.

        Only runs of `relative` count: another network's figures say nothing about its own.

        Drivers give cards with different memory the same name ("NVIDIA GeForce RTX 3060" has 8 or 12 GB), and a history
        may be that of several machines: with `total_bytes`, only runs on cards with that memory count.

        Waits until it has been read for the first time, or again after a run, for at most `wait_s` seconds (default:
        `glance_s`) from the first such call. After that the previous or an empty one is returned. An entry older than
        `MAX_AGE_S` is returned at once, and renewed in the background.
        """
        with self._lock:
            now_s = self._clock()
            key = card, total_bytes, relative
            known = self._known.get(key)
            if known is None or (known.query.done() and (known.outdated or now_s >= known.requested_s + MAX_AGE_S)):
                if known is None and len(self._known) >= MAX_CARDS:
                    self._known.clear()
                known = _Known(now_s, known and known.card_history, awaited=known is None or known.outdated)
                self._known[key] = known
                known.query = self._reader.submit(self._load, key, known)
            left_s = known.requested_s + (self._glance_s if wait_s is None else wait_s) - now_s
        if known.awaited:
            wait([known.query], max(0.0, left_s))
        return known.card_history or CardHistory()

    def renew(self) -> None:
        """Mark all entries as outdated: a run has ended."""
        with self._lock:
            self._failed_s = None
            for known in self._known.values():
                known.outdated = True

    def forget(self) -> None:
        """Remove all entries: runs were deleted."""
        with self._lock:
            self._known.clear()
            self._failed_s = None

    def _load(self, key: tuple[str, int, Relative], known: _Known) -> None:
        if self._failed_s is not None and self._clock() < self._failed_s + MAX_AGE_S:
            return  # reading has just failed for another card, and would fail again
        try:
            known.card_history = self._read(*key)
            self._failed_s = None
        except Exception as error:
            unexpected = not isinstance(error, HistoryError)
            log.warning("Predictions come from the model alone: %s", error, exc_info=unexpected)
            self._failed_s = known.requested_s

    def _read(self, card: str, total_bytes: int, relative: Relative) -> CardHistory:
        history = self._history()
        if history is None:
            return CardHistory()
        # Twice: repeated runs count once.
        runs = history.runs(card, self._wrapper(relative), 2 * MAX_RUNS, relative=relative)
        return card_history([run for run in runs if _has_memory(run.environment, total_bytes)])


def _has_memory(environment: RunEnvironment, total_bytes: int) -> bool:
    """Whether a run's card may be one with so many bytes; also where either is not known."""
    known = environment.total_bytes
    return not known or not total_bytes or abs(known - total_bytes) <= SAME_MEMORY * total_bytes


def _settings(job: Job) -> tuple[object, ...]:
    """The settings that determine the memory and time of a run."""
    clip = job.relative, job.frame_size, job.latent_frames, job.window
    return clip, job.dtype, job.steps, job.interpolate, job.optimizations
