"""Follows the execution of Sonic's nodes in a graph: reports to the pages, drives the progress bar, records the run.

A run may span three nodes, of which some may be cached and not executed. It begins with the first of them that is
executed, and ends with the sampler, or with the node that fails.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Protocol

from ..comfy.sonic_objects import held_bytes, job_of
from ..devices.environment import RunEnvironment
from ..errors import SonicGuardError
from ..history.run_record import Outcome, StageFigures
from ..job import MIN_CHUNK_SIZE, Job
from ..memory.stage_model import stage_bytes
from ..optimizations import Optimization, without_redundant
from ..relatives import ADAPTERS, LOADERS, PREDATAS, RELATIVES, SAMPLERS, Relative
from .monitor import Monitor
from .run_watch import RunWatch
from .sampler_hooks import follow
from .stage_peaks import open_peaks

log = logging.getLogger(__name__)

STAGE_OF = {
    **dict.fromkeys(LOADERS, "load"),
    **dict.fromkeys(PREDATAS, "predata"),
    **dict.fromkeys(SAMPLERS, "denoise"),
}
NOTIFY_INTERVAL_S = 0.25
"""Shortest time between two reports of steps to the pages; a change of stage is reported at once."""


class Log(Protocol):
    """Stores runs: `history.history_store.History`."""

    def begin(self, job: Job, environment: RunEnvironment, predicted: Mapping[str, int]) -> int:
        """Record the beginning of a run; `predicted` is in bytes by stage. Returns its id."""
        ...

    def update(self, run_id: int, stages: Mapping[str, StageFigures], stage: str) -> None:
        """Record the figures of a run in progress and its current stage."""
        ...

    def finish(self, run_id: int, outcome: Outcome, stage: str, stages: Mapping[str, StageFigures]) -> None:
        """Record the end of a run, and the stage in which it ended."""
        ...


class Host(Protocol):
    """What the recorder needs of ComfyUI."""

    def executing(self) -> tuple[str, str]:
        """Ids of the prompt and the node that this thread executes."""
        ...

    def ended(self, prompt_id: str) -> Outcome | None:
        """How a prompt has ended; None while it is being executed."""
        ...

    def kind_of(self, prompt: str, node: str) -> str:
        """The class of a node in the running graph; empty if unknown."""
        ...

    def fed_by(self, prompt: str, node: str) -> str:
        """The id of the node that a sampler's data comes from in the running graph; empty if unknown."""
        ...

    def expected(self, prompt: str, node: str) -> Job | None:
        """The job to which `node`, one of Sonic's in the running graph, belongs; None if the graph does not show it."""
        ...

    def environment(self, held_bytes: int, relative: Relative) -> RunEnvironment:
        """The environment of a run of `relative`; `held_bytes` of the card's memory already belong to the run."""
        ...

    def notify(self, run: Mapping[str, Any]) -> None:
        """Send a run, as `RunWatch.to_event` describes it, to the pages."""
        ...

    def log(self) -> Log | None:
        """The store of runs; None if the user has disabled it."""
        ...

    def interrupted(self) -> type[BaseException]:
        """The type of the exception that a cancellation raises."""
        ...

    def stop_if_interrupted(self) -> None:
        """Raise `interrupted` if the user has cancelled."""
        ...

    def progress_bar(self, steps: int) -> Callable[[int], None]:
        """A progress bar on the node being executed: a function that takes the number of steps done."""
        ...


class Recorder:
    """Records the runs of this process, one after the other: ComfyUI executes one graph at a time.

    Its own failures do not disturb a run; they are logged.
    """

    def __init__(self, host: Host, monitor: Monitor) -> None:
        self._host = host
        self._monitor = monitor
        self._prompt = ""
        self._watch: RunWatch | None = None
        self._environment: RunEnvironment | None = None
        self._seen: set[str] = set()
        """Sonic's nodes that were executed in the current run."""
        self._log_failed = False
        self._lock = threading.RLock()
        self._notified_s = 0.0
        self._notified_stage = ""

    @contextmanager
    def around(self, name: str, arguments: Mapping[str, Any]) -> Iterator[None]:
        """Follow Sonic's node `name`, executed inside the block with `arguments`."""
        watch = self._safely(self._run, name, arguments)
        if watch is None:
            yield
            return
        try:
            with self._monitor.during(watch), self._stages(watch, name, arguments):
                yield
        finally:
            if watch.outcome is not Outcome.RUNNING:
                self._conclude(watch)

    def event(self) -> dict[str, Any] | None:
        """The current run as the event ``sonic_guard.run``; None if there is none."""
        self._give_up_if_over()
        watch = self._watch
        return watch.to_event() if watch else None

    def _give_up_if_over(self) -> None:
        """End a run whose graph has ended between two of Sonic's nodes: it was cancelled, or another node failed."""
        with self._lock:
            watch, prompt = self._watch, self._prompt
            outcome = None if watch is None else self._safely(self._host.ended, prompt)
            if watch is None or outcome is None:
                return
            watch.end(outcome)
            self._conclude(watch)

    def _run(self, name: str, arguments: Mapping[str, Any]) -> RunWatch:
        """The run to which the node belongs: one begun in the same graph, or a new one."""
        prompt, node = self._host.executing()
        self._give_up_if_over()
        watch = self._watch
        if watch is None or prompt != self._prompt or name in self._seen or self._is_anothers(watch, name, node):
            watch = RunWatch(open_peaks(), interrupted=(self._host.interrupted(),), on_change=self._changed)
            with self._lock:  # of the new run is not asked whether the graph of the one before has ended
                self._watch, self._prompt, self._log_failed = watch, prompt, False
            self._seen.clear()
            self._environment = self._safely(
                self._host.environment, held_bytes(arguments.get("model")), RELATIVES[name]
            )
            self._set_job(watch, self._safely(self._host.expected, prompt, node))
        self._seen.add(name)
        # The node that the page shows; it may be another one that calls Sonic's node.
        watch.nodes[self._safely(self._host.kind_of, prompt, node) or name] = node
        return watch

    def _is_anothers(self, watch: RunWatch, name: str, node: str) -> bool:
        """Whether a sampler takes its data from another node than the one that was followed."""
        predata = next((id_ for kind, id_ in watch.nodes.items() if kind in PREDATAS), None)
        if name not in SAMPLERS or predata is None:
            return False
        source = self._safely(self._host.fed_by, self._prompt, node)
        return bool(source) and source != predata

    def _stages(self, watch: RunWatch, name: str, arguments: Mapping[str, Any]) -> AbstractContextManager[None]:
        """A context manager that follows the stages of the node."""
        if name in SAMPLERS:
            return self._safely(self._sampling, watch, name, arguments) or _unfollowed(watch)
        return watch.during(STAGE_OF[name])

    def _sampling(self, watch: RunWatch, name: str, arguments: Mapping[str, Any]) -> AbstractContextManager[None]:
        model, data = arguments["model"], arguments["data_dict"]
        fps, steps = float(arguments["fps"]), int(arguments["inference_steps"])
        scale = float(arguments[ADAPTERS[SAMPLERS[name]].scale])
        self._set_job(watch, self._safely(lambda: job_of(model, data, fps=fps, steps=steps, dynamic_scale=scale)))
        self._begin(watch)
        bar = None if getattr(model, "to_file", False) else self._host.progress_bar(steps)
        return follow(
            model, data, watch, fps=fps, steps=steps,
            check=self._host.stop_if_interrupted, progress=(lambda done, _: bar(done)) if bar else None,
            restarted=lambda *restart: self._restarted(watch, *restart),
        )  # fmt: skip

    def _restarted(self, watch: RunWatch, optimization: Optimization, out_of_memory: bool) -> None:
        """Record how the run ended, and the restart as a run of its own: the calibration learns from both."""
        job, number, watch.id = watch.job, watch.id, None
        if job is None:
            return
        if number is not None:
            stage, figures = watch.stage, watch.figures()
            # Only memory that ran out says something about memory.
            outcome = Outcome.OUT_OF_MEMORY if out_of_memory else Outcome.ERROR
            self._note(lambda history: history.finish(number, outcome, stage, figures))
        enabled = without_redundant(job.optimizations | {optimization})  # as the engine restarts it
        job = replace(job, optimizations=enabled, chunk_size=MIN_CHUNK_SIZE)
        watch.restart(job, self._stage_bytes(job))
        self._begin(watch)

    def _set_job(self, watch: RunWatch, job: Job | None) -> None:
        # A run whose memory is not predicted is followed, and not recorded: nothing can be learnt from it.
        if job is not None and (predicted := self._safely(self._stage_bytes, job)):
            watch.job, watch.predicted = job, predicted

    def _stage_bytes(self, job: Job) -> dict[str, int]:
        return stage_bytes(job, device=self._environment.device if self._environment else "cuda")

    def _begin(self, watch: RunWatch) -> None:
        """Record the beginning of the run, so that one in which ComfyUI crashes is in the history too."""
        if watch.id is None and watch.job is not None and self._environment is not None:
            job, environment = watch.job, self._environment
            watch.id = self._note(lambda history: history.begin(job, environment, watch.predicted))

    def _changed(self, watch: RunWatch) -> None:
        if watch.outcome is not Outcome.RUNNING:
            return  # `_conclude` reports it after recording it
        now, new_stage = time.monotonic(), watch.stage != self._notified_stage
        if not new_stage and now - self._notified_s < NOTIFY_INTERVAL_S and watch.step != watch.steps:
            return
        if new_stage and watch.id is not None:
            number = watch.id
            self._note(lambda history: history.update(number, watch.figures(), watch.stage))
        self._notified_stage, self._notified_s = watch.stage, now
        self._host.notify(watch.to_event())

    def _conclude(self, watch: RunWatch) -> None:
        self._watch, self._notified_stage = None, ""
        self._begin(watch)  # if it failed before the sampler
        if watch.id is not None:
            number = watch.id
            stage = "" if watch.outcome is Outcome.DONE else watch.stage
            self._note(lambda history: history.finish(number, watch.outcome, stage, watch.figures()))
        self._safely(lambda: self._host.notify(watch.to_event()))

    def _note(self, work: Callable[[Log], Any]) -> Any:
        """The result of `work` on the store of runs. A failure, such as a full disk, does not end the user's run.

        After one failure the store is not used again in this run: an unreachable server would take seconds each time.
        """

        def note() -> Any:
            history = self._host.log()
            return (None if history is None else work(history)), True

        done = (None, True) if self._log_failed else self._safely(note)
        self._log_failed = self._log_failed or done is None
        return done[0] if done else None

    def _safely(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The result of `work`; None, with an entry in the log, if it fails: recording must not end a run."""
        try:
            return work(*arguments)
        except SonicGuardError as error:
            log.warning("Sonic Guard goes on without: %s", error)
        except Exception:
            log.exception("Sonic Guard could not follow the run; the run goes on")
        return None


@contextmanager
def _unfollowed(watch: RunWatch) -> Iterator[None]:
    """Follow only the beginning and the end of a sampler."""
    with watch.during("denoise"):
        yield
    watch.finish()
