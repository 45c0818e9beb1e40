"""What earlier runs on a card teach, kept at hand: it is asked for at every move of a slider."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from ..errors import HistoryError
from ..job import Job
from ..optimizations import Optimization
from ..planning.pace import Pace, learn_pace
from .calibration import MAX_RUNS, Calibration, calibrate, denoise_times
from .run_record import Outcome, Run

log = logging.getLogger(__name__)

MAX_AGE_S = 60.0
"""Seconds after which the history is read again, in case another process has written to it or it could not be read."""
GLANCE_S = 0.25
"""How long a prediction waits for the history at the most. Until that is read it is made by the model alone."""
WAIT_S = 10.0
"""How long a node waits for it that is executed, and a page that shows the history."""
MAX_CARDS = 64
"""Cards remembered; a page may ask for any name."""


class History(Protocol):
    """Where runs are remembered: `vram.history.store.History`."""

    def runs(self, card: str | None = None, wrapper: str | None = None, limit: int | None = None) -> list[Run]:
        """The runs of a card and a wrapper, newest first."""
        ...


@dataclass(frozen=True)
class CardHistory:
    """What the runs of one card say; nothing while there are none."""

    calibration: Calibration = field(default_factory=Calibration)
    pace: Pace | None = None
    _last: Mapping[tuple[object, ...], Run] = field(default_factory=lambda: MappingProxyType({}))

    def last(self, job: Job) -> Run | None:
        """The newest run with the same settings that has ended."""
        return self._last.get(_settings(job))


@dataclass
class _Known:
    """What is known of a card, and the reading that finds it out."""

    asked_s: float
    card_history: CardHistory | None
    awaited: bool
    """Whether an answer without this reading would be wrong: there is none yet, or a run has ended since."""
    reading: Future[None] = field(init=False)
    outdated: bool = False


class HistoryCache:
    """The lessons of a history, by card, read in a thread of its own. Any thread may ask."""

    def __init__(
        self,
        history: Callable[[], History | None],
        wrapper: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        glance_s: float = GLANCE_S,
    ) -> None:
        """`history` gives None where there is none; `wrapper`, the version whose runs count, None for all."""
        self._history, self._wrapper, self._clock, self._glance_s = history, wrapper, clock, glance_s
        self._known: dict[str, _Known] = {}
        self._failed_s: float | None = None
        self._lock = threading.Lock()
        self._reader = ThreadPoolExecutor(1, "sonic-guard-history")

    def of(self, card: str, wait_s: float | None = None) -> CardHistory:
        """The lesson of a card. A history that cannot be read teaches nothing, and the log says why.

        Waits until it has been read for the first time, or again after a run, but for `wait_s` (`glance_s`) at the
        most, counted from the first call that does; then the result is the lesson before, or an empty one. A lesson
        that is merely old is returned while it is read again.
        """
        with self._lock:
            now_s = self._clock()
            known = self._known.get(card)
            if known is None or (known.reading.done() and (known.outdated or now_s >= known.asked_s + MAX_AGE_S)):
                if known is None and len(self._known) >= MAX_CARDS:
                    self._known.clear()
                known = _Known(now_s, known and known.card_history, awaited=known is None or known.outdated)
                self._known[card] = known
                known.reading = self._reader.submit(self._learn, card, known)
            left_s = known.asked_s + (self._glance_s if wait_s is None else wait_s) - now_s
        if known.awaited:
            wait([known.reading], max(0.0, left_s))
        return known.card_history or CardHistory()

    def renew(self) -> None:
        """Have the history read again: a run has ended."""
        with self._lock:
            self._failed_s = None
            for known in self._known.values():
                known.outdated = True

    def forget(self) -> None:
        """Have the history read anew: runs were deleted."""
        with self._lock:
            self._known.clear()
            self._failed_s = None

    def _learn(self, card: str, known: _Known) -> None:
        if self._failed_s is not None and self._clock() < self._failed_s + MAX_AGE_S:
            return  # it was the history that failed, not the card: once is enough
        try:
            known.card_history = self._read(card)
            self._failed_s = None
        except Exception as error:
            unforeseen = not isinstance(error, HistoryError)
            log.warning("Predictions come from the model alone: %s", error, exc_info=unforeseen)
            self._failed_s = known.asked_s

    def _read(self, card: str) -> CardHistory:
        history = self._history()
        if history is None:
            return CardHistory()
        runs = history.runs(card, self._wrapper(), 2 * MAX_RUNS)  # a job that was run again counts once
        last = {_settings(run.job): run for run in reversed(runs) if run.outcome is not Outcome.RUNNING}
        return CardHistory(calibrate(runs), learn_pace(denoise_times(runs)), last)


def _settings(job: Job) -> tuple[object, ...]:
    """What two runs have in common that take the same memory and time, however their settings came about."""
    optimizations = job.optimizations - {
        Optimization.UNET_OFFLOAD
    }  # only the graph tells whether that one came in time
    return job.frame_size, job.latent_frames, job.window, job.dtype, job.steps, job.interpolate, optimizations
