"""One run of Sonic while it is under way: which stage it is in, what each stage took, and how the run ended."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..devices.out_of_memory import is_out_of_memory
from ..history.run_record import Outcome, StageFigures
from ..job import Job
from ..memory.stage_model import SAMPLER_STAGES, STAGES
from .stage_peaks import NoPeaks, Peak, Peaks

log = logging.getLogger(__name__)

PACE_WEIGHT = 0.2
"""Weight of the latest call of the network in the pace: a card that slows down is noticed within a few calls."""


@dataclass
class _Tally:
    """What is charged to one stage so far."""

    peak: Peak = Peak()
    device_bytes: int | None = None
    seconds: float = 0.0
    is_whole: bool = True
    """Whether all of the stage's work was done here, so that its seconds say something."""

    def figures(self) -> StageFigures:
        return StageFigures(*self.peak, self.device_bytes, self.seconds if self.is_whole else None)


class RunWatch:
    """The state of one run, told by those who see it happen and readable at any time, from any thread.

    A run goes through the stages of `vram.model.STAGES`. Those of them whose node was cached are never entered.
    Between `leave` and the next `enter` other nodes may run; what they take is nobody's. The counters in `peaks` are
    set back when a stage begins, and at no other time.

    Nothing here raises: a counter that fails is said once in the log, and its figures are missing from then on.
    """

    def __init__(
        self,
        peaks: Peaks | None = None,
        *,
        interrupted: tuple[type[BaseException], ...] = (),
        on_change: Callable[["RunWatch"], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`interrupted` are the exceptions that mean the user has cancelled.

        `on_change` is called in the thread that runs Sonic, at the beginning of the run and at every change of its
        stage, of its step and of its outcome.
        """
        self.id: int | None = None
        """Number of the run in the history, once it has one."""
        self.job: Job | None = None
        """What runs, once it is known."""
        self.predicted: Mapping[str, int] = {}
        """The model's bytes by stage, made before the run."""
        self.nodes: dict[str, str] = {}
        """Execution ids of Sonic's nodes by their type, those known."""
        self.outcome = Outcome.RUNNING
        self.stage = ""
        """The stage under way; between two nodes and after the end the last one."""
        self.step = 0
        """Denoising steps done."""
        self.steps = 0
        """Denoising steps to do."""
        self._peaks: Peaks = peaks or NoPeaks()
        self.interrupted = (*interrupted, KeyboardInterrupt)
        """What means that the user has cancelled."""
        self._on_change = on_change
        self._clock = clock
        self._lock = threading.RLock()
        self._tallies: dict[str, _Tally] = {}
        self._began_s = self._since_s = clock()
        self._ended_s: float | None = None
        self._open = False
        self._lull: Peak | None = None
        self._device_bytes: int | None = None
        self._pace = _Pace()
        self._said = False

    # Told by those who see the run happen

    def enter(self, stage: str) -> None:
        """`stage` begins, or goes on."""
        with self._lock:
            if self.outcome is not Outcome.RUNNING or (self._open and self._lull is None and stage == self.stage):
                return
            changed = stage != self.stage
            if self._open:
                self._charge(stage if self._lull is not None else self.stage)
            self._tallies.setdefault(stage, _Tally())
            if changed or not self._open:
                self._ask(self._peaks.reset)
            self.stage, self._open, self._lull = stage, True, None
            self._since_s, self._device_bytes = self._clock(), None
        if changed:
            self._notify()

    def lull(self) -> None:
        """The stage may be over: what comes now belongs to the stage that is entered next, be it this one again."""
        with self._lock:
            if self._open:
                self._lull = self._charge(self.stage)

    def leave(self) -> None:
        """The stage is over, and what comes now belongs to no stage."""
        with self._lock:
            if self._open:
                self._charge(self.stage)
            self._open, self._lull = False, None

    @contextmanager
    def during(self, stage: str) -> Iterator[None]:
        """`stage` lasts as long as the block, and an exception in it ends the run."""
        self.enter(stage)
        try:
            yield
        except BaseException as error:
            self.finish(error)
            raise
        self.leave()

    def again(self, job: Job | None, predicted: Mapping[str, int]) -> None:
        """The sampler begins anew, as `job`: what it took so far belongs to a run that has ended."""
        with self._lock:
            self.job, self.predicted = job, predicted
            for stage in SAMPLER_STAGES:
                self._tallies.pop(stage, None)
            self.stage, self._open, self._lull = "", False, None

    def expect(self, steps: int, calls_per_step: int) -> None:
        """Denoising will take `steps` steps of `calls_per_step` calls of the network."""
        with self._lock:
            self.step, self.steps = 0, steps
            self._pace = _Pace(steps * calls_per_step, calls_per_step)

    def passed(self, steps: int) -> None:
        """So many denoising steps are not made again: an earlier attempt has."""
        with self._lock:
            self._pace.calls = steps * self._pace.calls_per_step
            self.step = min(steps, self.steps)
            self._tallies.setdefault("denoise", _Tally()).is_whole = False
        self._notify()

    def called(self) -> bool:
        """A call of the network is over. Returns whether a step is over with it."""
        with self._lock:
            self._pace.called(self._clock())
            step = min(self._pace.calls // self._pace.calls_per_step, self.steps)
            changed, self.step = step != self.step, step
        if changed:
            self._notify()
        return changed

    def device(self, used_bytes: int | None) -> None:
        """A sample: `used_bytes` are in use on the card just now, by every program; None if that is not known."""
        with self._lock:
            self._read()  # where torch keeps no peaks, this is what finds them
            if used_bytes is not None:
                self._device_bytes = max(self._device_bytes or 0, used_bytes)

    def finish(self, error: BaseException | None = None) -> None:
        """The run is over: done, or ended by `error`. Only the first call counts.

        Of a stage that ran out of memory the figures are what it held before the request that failed.
        """
        with self._lock:
            if self.outcome is not Outcome.RUNNING:
                return
            self.leave()
            self._ended_s = self._clock()
            self.outcome = self._outcome_of(error)
        self._notify()

    # Read by those who want to know

    @property
    def is_in_lull(self) -> bool:
        """Whether it is open to which stage the present belongs."""
        return self._lull is not None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began, or that it took."""
        return (self._clock() if self._ended_s is None else self._ended_s) - self._began_s

    @property
    def left_s(self) -> float | None:
        """Seconds until denoising is over, at the pace of the last calls.

        None outside of it, and until the second call is over: the first one also warms the card up.
        """
        with self._lock:
            denoising = self._open and self.stage == "denoise"
            return self._pace.left_s(self._clock()) if denoising else None

    @property
    def peak_bytes(self) -> int | None:
        """The most bytes of tensors so far; None where torch does not count them."""
        with self._lock:
            peak = self._read() if self._open else Peak()
            for tally in self._tallies.values():
                peak = peak.over(tally.peak)
            return peak.allocated_bytes

    def figures(self) -> dict[str, StageFigures]:
        """What each stage took so far, in the order of a run; stages that were not entered are missing."""
        with self._lock:
            if self._open and self._lull is None:
                self._charge(self.stage)
            return {stage: self._tallies[stage].figures() for stage in STAGES if stage in self._tallies}

    def to_event(self) -> dict[str, Any]:
        """The run in the words of the event ``sonic_guard.run``."""
        with self._lock:
            figures = self.figures()
            shown = [stage for stage in STAGES if stage in figures or self.predicted.get(stage)]
            return {
                "id": self.id,
                "outcome": str(self.outcome),
                "stage": self.stage,
                "step": self.step,
                "steps": self.steps,
                "elapsed_s": self.elapsed_s,
                "left_s": self.left_s,
                "peak_bytes": self.peak_bytes,
                "nodes": dict(self.nodes),
                "stages": {stage: self._row(stage, figures.get(stage, StageFigures())) for stage in shown},
            }

    def _row(self, stage: str, figures: StageFigures) -> dict[str, Any]:
        return {
            "predicted": self.predicted.get(stage),
            "allocated": figures.allocated_bytes,
            "reserved": figures.reserved_bytes,
            "device": figures.device_bytes,
            "seconds": figures.seconds,
        }

    def _charge(self, stage: str) -> Peak:
        """Put to `stage` what has happened since something was last put to any; returns what the counters show."""
        shown, now = self._read(), self._clock()
        tally = self._tallies.setdefault(stage, _Tally())
        # In a lull the counters still show what came before it.
        tally.peak = tally.peak.over(shown if self._lull is None else shown.beyond(self._lull))
        tally.seconds += now - self._since_s
        if self._device_bytes is not None:
            tally.device_bytes = max(tally.device_bytes or 0, self._device_bytes)
        self._since_s, self._device_bytes = now, None
        return shown

    def _read(self) -> Peak:
        return self._ask(self._peaks.read) or Peak()

    def _ask(self, question: Callable[[], Peak | None]) -> Peak | None:
        try:
            return question()
        except Exception as error:
            # A card that has failed, most likely; the run's own code will say so in its own words.
            log.warning("torch's peak counters cannot be read, the run goes on without them: %s", error)
            self._peaks = NoPeaks()
            return None

    def _outcome_of(self, error: BaseException | None) -> Outcome:
        if error is None:
            return Outcome.DONE
        if isinstance(error, self.interrupted):
            return Outcome.INTERRUPTED
        return Outcome.OUT_OF_MEMORY if is_out_of_memory(error) else Outcome.ERROR

    def _notify(self) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(self)
        except Exception:
            if not self._said:
                log.exception("telling of a run's change failed; not said again in this run")
            self._said = True


class _Pace:
    """How fast the network is called."""

    def __init__(self, calls_to_do: int = 0, calls_per_step: int = 1) -> None:
        self.calls = 0
        self.calls_per_step = max(1, calls_per_step)
        self._to_do = calls_to_do
        self._latest_s: float | None = None
        self._call_s: float | None = None

    def called(self, now_s: float) -> None:
        self.calls += 1
        if self._latest_s is not None:
            took = now_s - self._latest_s
            self._call_s = took if self._call_s is None else self._call_s + PACE_WEIGHT * (took - self._call_s)
        self._latest_s = now_s

    def left_s(self, now_s: float) -> float | None:
        if self._call_s is None or self._latest_s is None:
            return None
        return max(0.0, (self._to_do - self.calls) * self._call_s - (now_s - self._latest_s))
