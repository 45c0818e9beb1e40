"""The state of one run of Sonic in progress: its stage, what each stage takes, and how the run ended."""

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
"""Weight of the latest call of the network in the moving average: a slower card shows within a few calls."""


@dataclass
class _Tally:
    """The measured figures of one stage so far."""

    peak: Peak = Peak()
    device_bytes: int | None = None
    seconds: float = 0.0

    def figures(self, share: float = 1.0) -> StageFigures:
        """The figures, of which the seconds took `share` of the stage's work; 0: the seconds are unknown."""
        return StageFigures(*self.peak, self.device_bytes, self.seconds / share if share else None)


class RunWatch:
    """The state of one run. It is updated by the hooks and the monitor, and can be read from any thread.

    A run goes through the stages of `memory.stage_model.STAGES`; those whose node was cached are not entered. Between
    `leave` and the next `enter` other nodes may run, whose memory is not counted. The counters in `peaks` are reset
    only when a stage begins.

    No method raises: if a counter fails, this is logged once, and its figures are missing from then on.
    """

    def __init__(
        self,
        peaks: Peaks | None = None,
        *,
        interrupted: tuple[type[BaseException], ...] = (),
        on_change: Callable[["RunWatch"], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`interrupted` are the types of the exceptions that a cancellation raises. `clock` is in seconds.

        `on_change` is called in the thread that runs Sonic when the run begins, and whenever its stage, step or outcome
        changes.
        """
        self.id: int | None = None
        """Number of the run in the history, once it has one."""
        self.job: Job | None = None
        """The job, once it is known."""
        self.predicted: Mapping[str, int] = {}
        """Predicted bytes by stage, from before the run."""
        self.nodes: dict[str, str] = {}
        """Execution ids of Sonic's nodes by type, as far as they are known."""
        self.outcome = Outcome.RUNNING
        self.stage = ""
        """The current stage; between two nodes and after the end, the last one."""
        self.step = 0
        """Denoising steps done."""
        self.steps = 0
        """Denoising steps to do."""
        self._peaks: Peaks = peaks or NoPeaks()
        self.interrupted = (*interrupted, KeyboardInterrupt)
        """Types of exceptions after which the outcome is `INTERRUPTED`."""
        self._on_change = on_change
        self._clock = clock
        self._lock = threading.RLock()
        self._tallies: dict[str, _Tally] = {}
        self._began_s = self._since_s = clock()
        self._ended_s: float | None = None
        self._open = False
        self._pause_peak: Peak | None = None
        self._device_bytes: int | None = None
        self._pace = _Pace()
        self._warned = False

    # Called by the hooks and the monitor

    def enter(self, stage: str) -> None:
        """`stage` begins or continues."""
        with self._lock:
            if self.outcome is not Outcome.RUNNING or (self._open and self._pause_peak is None and stage == self.stage):
                return
            changed = stage != self.stage
            if self._open:
                self._charge(stage if self._pause_peak is not None else self.stage)
            self._tallies.setdefault(stage, _Tally())
            if changed or not self._open:
                self._guarded(self._peaks.reset)
            self.stage, self._open, self._pause_peak = stage, True, None
            self._since_s, self._device_bytes = self._clock(), None
        if changed:
            self._notify()

    def pause(self) -> None:
        """The stage may be over: what follows is counted for the stage that is entered next, which may be the same."""
        with self._lock:
            if self._open:
                self._pause_peak = self._charge(self.stage)

    def leave(self) -> None:
        """The stage is over; what follows is not counted for any stage."""
        with self._lock:
            if self._open:
                self._charge(self.stage)
            self._open, self._pause_peak = False, None

    @contextmanager
    def during(self, stage: str) -> Iterator[None]:
        """`stage` lasts as long as the block; an exception in it ends the run."""
        self.enter(stage)
        try:
            yield
        except BaseException as error:
            self.finish(error)
            raise
        self.leave()

    def restart(self, job: Job | None, predicted: Mapping[str, int]) -> None:
        """The sampler is restarted as `job`: the figures of its stages so far are discarded."""
        with self._lock:
            self.job, self.predicted = job, predicted
            for stage in SAMPLER_STAGES:
                self._tallies.pop(stage, None)
            self.stage, self._open, self._pause_peak = "", False, None

    def expect(self, steps: int, calls_per_step: int) -> None:
        """Denoising will take `steps` steps of `calls_per_step` calls of the network."""
        with self._lock:
            self.step, self.steps = 0, steps
            self._pace = _Pace(steps * calls_per_step, calls_per_step)

    def skip_steps(self, steps: int) -> None:
        """`steps` denoising steps are skipped because an earlier attempt completed them."""
        with self._lock:
            self._pace.skip(steps)
            self._tallies.setdefault("denoise", _Tally())
            self.step = min(steps, self.steps)
        self._notify()

    def call_done(self) -> bool:
        """A call of the network has ended. Returns whether a step has ended with it."""
        with self._lock:
            self._pace.call_done(self._clock())
            step = min(self._pace.calls // self._pace.calls_per_step, self.steps)
            changed, self.step = step != self.step, step
        if changed:
            self._notify()
        return changed

    def sample_device(self, used_bytes: int | None) -> None:
        """A sample of the card's memory in use by all programs, in bytes; None if unknown."""
        with self._lock:
            self._read()  # for devices without peak counters: updates the highest sample
            if used_bytes is not None:
                self._device_bytes = max(self._device_bytes or 0, used_bytes)

    def finish(self, error: BaseException | None = None) -> None:
        """The run has ended, successfully or by `error`. Only the first call has an effect.

        The figures of a stage that ran out of memory are those before the failed allocation.
        """
        self.end(self._outcome_of(error))

    def end(self, outcome: Outcome) -> None:
        """The run has ended outside of Sonic's nodes. Only the first call of this or of `finish` has an effect."""
        with self._lock:
            if self.outcome is not Outcome.RUNNING:
                return
            self.leave()
            self._ended_s = self._clock()
            self.outcome = outcome
        self._notify()

    # Queries

    @property
    def is_paused(self) -> bool:
        """Whether `pause` was called and no stage has been entered since."""
        return self._pause_peak is not None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began; of a finished run, its duration."""
        return (self._clock() if self._ended_s is None else self._ended_s) - self._began_s

    @property
    def left_s(self) -> float | None:
        """Estimated seconds until the end of denoising, from the duration of the latest calls.

        None outside of denoising and before the end of the second call: the first includes warm-up.
        """
        with self._lock:
            denoising = self._open and self.stage == "denoise"
            return self._pace.left_s(self._clock()) if denoising else None

    @property
    def peak_bytes(self) -> int | None:
        """The most bytes of tensors so far; None if torch does not count them."""
        with self._lock:
            peak = self._read() if self._open else Peak()
            for tally in self._tallies.values():
                peak = peak.over(tally.peak)
            return peak.allocated_bytes

    def figures(self) -> dict[str, StageFigures]:
        """The figures of each stage so far, in the order of a run; stages that were not entered are missing.

        Where completed steps were skipped, its seconds are those of all steps so far at the pace of the others.
        """
        with self._lock:
            if self._open and self._pause_peak is None:
                self._charge(self.stage)
            return {
                stage: self._tallies[stage].figures(self._pace.share_made if stage == "denoise" else 1.0)
                for stage in STAGES
                if stage in self._tallies
            }

    def to_event(self) -> dict[str, Any]:
        """The run as the event ``sonic_guard.run``: bytes and seconds."""
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
        """Add what has happened since the last call to the figures of `stage`; returns the counters' current peak."""
        peak, now = self._read(), self._clock()
        tally = self._tallies.setdefault(stage, _Tally())
        # During a pause the counters still include what came before it.
        tally.peak = tally.peak.over(peak if self._pause_peak is None else peak.beyond(self._pause_peak))
        tally.seconds += now - self._since_s
        if self._device_bytes is not None:
            tally.device_bytes = max(tally.device_bytes or 0, self._device_bytes)
        self._since_s, self._device_bytes = now, None
        return peak

    def _read(self) -> Peak:
        return self._guarded(self._peaks.read) or Peak()

    def _guarded(self, work: Callable[[], Peak | None]) -> Peak | None:
        try:
            return work()
        except Exception as error:
            # Probably the card has failed; the run's own code will raise its own error then.
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
            if not self._warned:
                log.exception("reporting a change of the run failed; not logged again in this run")
            self._warned = True


class _Pace:
    """Moving average of the duration of the network's calls."""

    def __init__(self, calls_to_do: int = 0, calls_per_step: int = 1) -> None:
        self.calls = 0
        self.calls_per_step = max(1, calls_per_step)
        self._skipped = 0
        self._to_do = calls_to_do
        self._latest_s: float | None = None
        self._call_s: float | None = None

    @property
    def share_made(self) -> float:
        """Share of the calls so far that were made and not skipped; 1 where none was skipped."""
        return 1 - self._skipped / self.calls if self._skipped else 1.0

    def skip(self, steps: int) -> None:
        self.calls = self._skipped = steps * self.calls_per_step

    def call_done(self, now_s: float) -> None:
        self.calls += 1
        if self._latest_s is not None:
            took = now_s - self._latest_s
            self._call_s = took if self._call_s is None else self._call_s + PACE_WEIGHT * (took - self._call_s)
        self._latest_s = now_s

    def left_s(self, now_s: float) -> float | None:
        if self._call_s is None or self._latest_s is None:
            return None
        return max(0.0, (self._to_do - self.calls) * self._call_s - (now_s - self._latest_s))
