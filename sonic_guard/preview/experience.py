"""What earlier runs on a card teach, kept at hand: it is asked for at every move of a slider."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from ..errors import HistoryError
from ..job import Job, Lever
from ..run import Outcome, Run
from ..timing import Pace, learn_pace
from ..vram.history.calibration import MAX_RUNS, Calibration, calibrate, denoise_times

log = logging.getLogger(__name__)

MAX_AGE_S = 60.0
"""Seconds after which the history is read again, in case another process has written to it."""
MAX_CARDS = 64
"""Cards remembered; a page may ask for any name."""


class History(Protocol):
    """Where runs are remembered: `vram.history.store.History`."""

    def runs(self, card: str | None = None, wrapper: str | None = None, limit: int | None = None) -> list[Run]:
        """The runs of a card and a wrapper, newest first."""
        ...


@dataclass(frozen=True)
class Lesson:
    """What the runs of one card say; nothing while there are none."""

    calibration: Calibration = field(default_factory=Calibration)
    pace: Pace | None = None
    _last: Mapping[tuple[object, ...], Run] = field(default_factory=lambda: MappingProxyType({}))

    def last(self, job: Job) -> Run | None:
        """The newest run with the same settings that has ended."""
        return self._last.get(_settings(job))


class Experience:
    """The lessons of a history, by card. Any thread may ask."""

    def __init__(
        self,
        history: Callable[[], History | None],
        wrapper: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`history` gives None where there is none; `wrapper`, the version whose runs count, None for all."""
        self._history, self._wrapper, self._clock = history, wrapper, clock
        self._lessons: dict[str, tuple[float, Lesson]] = {}
        self._forgotten = 0
        self._lock = threading.Lock()
        self._rereading = ThreadPoolExecutor(1, "sonic-guard-history")

    def of(self, card: str) -> Lesson:
        """The lesson of a card. A history that cannot be read teaches nothing, and the log says why.

        Only the first to ask waits for it to be read; one that has aged is given while it is read again.
        """
        with self._lock:
            until_s = self._clock() + MAX_AGE_S
            if card not in self._lessons:
                if len(self._lessons) >= MAX_CARDS:
                    self._lessons.clear()
                self._lessons[card] = (until_s, self._read(card))
            due_s, lesson = self._lessons[card]
            if self._clock() >= due_s:
                self._lessons[card] = (until_s, lesson)
                self._rereading.submit(self._read_again, card)
            return lesson

    def forget(self) -> None:
        """Have the history read again: a run has ended, or some were deleted."""
        with self._lock:
            self._lessons.clear()
            self._forgotten += 1

    def _read_again(self, card: str) -> None:
        before = self._forgotten
        lesson = self._read(card)
        with self._lock:
            if card in self._lessons and before == self._forgotten:
                self._lessons[card] = (self._lessons[card][0], lesson)

    def _read(self, card: str) -> Lesson:
        try:
            history = self._history()
            if history is None:
                return Lesson()
            runs = history.runs(card, self._wrapper(), 2 * MAX_RUNS)  # a job that was run again counts once
        except HistoryError as error:
            log.warning("Predictions come from the model alone: %s", error)
            return Lesson()
        last = {_settings(run.job): run for run in reversed(runs) if run.outcome is not Outcome.RUNNING}
        return Lesson(calibrate(runs), learn_pace(denoise_times(runs)), last)


def _settings(job: Job) -> tuple[object, ...]:
    """What two runs have in common that take the same memory and time, however their settings came about."""
    levers = job.levers - {Lever.PARK}  # only the graph tells whether that one came in time
    return job.frame_size, job.latent_frames, job.window, job.dtype, job.steps, job.interpolate, levers
