"""Follows Sonic's nodes through a graph: tells the pages, keeps ComfyUI's own bar moving, and writes the run down.

A run may span three nodes, some of them cached and so never executed. It begins with the first of them that is
executed in a graph, and ends with the sampler, or with the node that fails.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Protocol

from ..comfy.sonic_objects import LOADER, PREDATA, SAMPLER, held_bytes, job_of
from ..devices.environment import RunEnvironment
from ..errors import SonicGuardError
from ..history.run_record import Outcome, StageFigures
from ..job import MIN_CHUNK_SIZE, Job
from ..memory.stage_model import stage_bytes
from ..optimizations import Optimization
from .monitor import Monitor
from .run_watch import RunWatch
from .sampler_hooks import follow
from .stage_peaks import open_peaks

log = logging.getLogger(__name__)

STAGE_OF = {LOADER: "load", PREDATA: "predata", SAMPLER: "denoise"}
NOTIFY_INTERVAL_S = 0.25
"""Least time between two words to the pages about steps; a change of stage is told at once."""


class Log(Protocol):
    """Where runs are written down: a `vram.history.History`."""

    def begin(self, job: Job, environment: RunEnvironment, predicted: Mapping[str, int]) -> int:
        """Note that a run begins; returns its id."""
        ...

    def update(self, run_id: int, stages: Mapping[str, StageFigures], stage: str) -> None:
        """Note how far it is."""
        ...

    def finish(self, run_id: int, outcome: Outcome, stage: str, stages: Mapping[str, StageFigures]) -> None:
        """Note how it ended."""
        ...


class Host(Protocol):
    """What is asked of ComfyUI."""

    def executing(self) -> tuple[str, str]:
        """Prompt and node id of what this thread executes."""
        ...

    def is_running(self, prompt_id: str) -> bool:
        """Whether a prompt is still under way."""
        ...

    def kind_of(self, prompt: str, node: str) -> str:
        """The class of a node in the running graph; empty if that is not known."""
        ...

    def fed_by(self, prompt: str, node: str) -> str:
        """The node that a sampler's data comes from in the running graph; empty if that is not known."""
        ...

    def expected(self, prompt: str, node: str) -> Job | None:
        """The job that `node`, one of Sonic's in the graph now running, belongs to, as far as the graph tells."""
        ...

    def environment(self, held_bytes: int) -> RunEnvironment:
        """Where this process runs Sonic; `held_bytes` of the card are the run's own already."""
        ...

    def notify(self, run: Mapping[str, Any]) -> None:
        """Show the pages a run."""
        ...

    def log(self) -> Log | None:
        """Where to write runs down; None where the user wants none of it."""
        ...

    def interrupted(self) -> type[BaseException]:
        """What is raised where the user has cancelled."""
        ...

    def stop_if_interrupted(self) -> None:
        """Raise `interrupted` if the user has cancelled."""
        ...

    def progress_bar(self, steps: int) -> Callable[[int], None]:
        """A bar on the node now executing."""
        ...


class Recorder:
    """The runs of this process, one after the other: ComfyUI executes one graph at a time."""

    def __init__(self, host: Host, monitor: Monitor) -> None:
        self._host = host
        self._monitor = monitor
        self._prompt = ""
        self._watch: RunWatch | None = None
        self._environment: RunEnvironment | None = None
        self._seen: set[str] = set()
        """Sonic's nodes that have had their part in the run."""
        self._silent = False
        self._lock = threading.RLock()
        self._notified_s = 0.0
        self._told_stage = ""

    @contextmanager
    def around(self, name: str, arguments: Mapping[str, Any]) -> Iterator[None]:
        """Sonic's node `name` works inside the block, called with `arguments`."""
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
        """The run under way, in the words of the event ``sonic_guard.run``."""
        self._give_up_if_over()
        watch = self._watch
        return watch.to_event() if watch else None

    def _give_up_if_over(self) -> None:
        """End a run whose graph has ended between two of Sonic's nodes: cancelled there, as a rule."""
        with self._lock:
            watch, prompt = self._watch, self._prompt
            if watch is None or self._safely(self._host.is_running, prompt) is not False:
                return
            watch.finish(self._host.interrupted()())
            self._conclude(watch)

    def _run(self, name: str, arguments: Mapping[str, Any]) -> RunWatch:
        """The run that the node belongs to: the one begun in the same graph, or a new one."""
        prompt, node = self._host.executing()
        self._give_up_if_over()
        watch = self._watch
        if watch is None or prompt != self._prompt or name in self._seen or self._is_anothers(watch, name, node):
            watch = RunWatch(open_peaks(), interrupted=(self._host.interrupted(),), on_change=self._changed)
            self._watch, self._prompt, self._silent = watch, prompt, False
            self._seen.clear()
            self._environment = self._safely(self._host.environment, held_bytes(arguments.get("model")))
            self._know(watch, self._safely(self._host.expected, prompt, node))
        self._seen.add(name)
        # The node that the page shows: another one where it has Sonic's do their work.
        watch.nodes[self._safely(self._host.kind_of, prompt, node) or name] = node
        return watch

    def _is_anothers(self, watch: RunWatch, name: str, node: str) -> bool:
        """Whether a sampler takes its data from another node than the one that was watched."""
        predata = watch.nodes.get(PREDATA)
        if name != SAMPLER or predata is None:
            return False
        source = self._safely(self._host.fed_by, self._prompt, node)
        return bool(source) and source != predata

    def _stages(self, watch: RunWatch, name: str, arguments: Mapping[str, Any]) -> AbstractContextManager[None]:
        """What notes the stages of the node's work."""
        if name == SAMPLER:
            return self._safely(self._sampling, watch, arguments) or _unfollowed(watch)
        return watch.during(STAGE_OF[name])

    def _sampling(self, watch: RunWatch, arguments: Mapping[str, Any]) -> AbstractContextManager[None]:
        model, data = arguments["model"], arguments["data_dict"]
        fps, steps = float(arguments["fps"]), int(arguments["inference_steps"])
        scale = float(arguments["dynamic_scale"])
        self._know(watch, self._safely(lambda: job_of(model, data, fps=fps, steps=steps, dynamic_scale=scale)))
        self._begin(watch)
        bar = None if getattr(model, "to_file", False) else self._host.progress_bar(steps)
        return follow(
            model, data, watch, fps=fps, steps=steps,
            check=self._host.stop_if_interrupted, progress=(lambda done, _: bar(done)) if bar else None,
            restarted=lambda optimization: self._restarted(watch, optimization),
        )  # fmt: skip

    def _restarted(self, watch: RunWatch, optimization: Optimization) -> None:
        """Write down that memory ran out, and that what runs now is another job: each teaches what it took."""
        job, number, watch.id = watch.job, watch.id, None
        if job is None:
            return
        if number is not None:
            stage, figures = watch.stage, watch.figures()
            self._note(lambda history: history.finish(number, Outcome.OUT_OF_MEMORY, stage, figures))
        job = replace(job, optimizations=job.optimizations | {optimization}, chunk_size=MIN_CHUNK_SIZE)
        watch.again(job, stage_bytes(job))
        self._begin(watch)

    def _know(self, watch: RunWatch, job: Job | None) -> None:
        if job is not None:
            watch.job, watch.predicted = job, stage_bytes(job)

    def _begin(self, watch: RunWatch) -> None:
        """Write down that the run has begun, so that one which takes ComfyUI with it is remembered too."""
        if watch.id is None and watch.job is not None and self._environment is not None:
            job, environment = watch.job, self._environment
            watch.id = self._note(lambda history: history.begin(job, environment, watch.predicted))

    def _changed(self, watch: RunWatch) -> None:
        if watch.outcome is not Outcome.RUNNING:
            return  # `_conclude` says it, once it is written down
        now, new_stage = time.monotonic(), watch.stage != self._told_stage
        if not new_stage and now - self._notified_s < NOTIFY_INTERVAL_S and watch.step != watch.steps:
            return
        if new_stage and watch.id is not None:
            number = watch.id
            self._note(lambda history: history.update(number, watch.figures(), watch.stage))
        self._told_stage, self._notified_s = watch.stage, now
        self._host.notify(watch.to_event())

    def _conclude(self, watch: RunWatch) -> None:
        self._watch, self._told_stage = None, ""
        self._begin(watch)  # where it failed before the sampler
        if watch.id is not None:
            number = watch.id
            stage = "" if watch.outcome is Outcome.DONE else watch.stage
            self._note(lambda history: history.finish(number, watch.outcome, stage, watch.figures()))
        self._safely(lambda: self._host.notify(watch.to_event()))

    def _note(self, work: Callable[[Log], Any]) -> Any:
        """What `work` does to the history; a disk that is full must not cost the user the run.

        Where it fails once it is not tried again in this run: a server that is away would take seconds every time.
        """

        def note() -> Any:
            history = self._host.log()
            return (None if history is None else work(history)), True

        done = (None, True) if self._silent else self._safely(note)
        self._silent = self._silent or done is None
        return done[0] if done else None

    def _safely(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What `work` returns, or None, with a line in the log, where it fails: a run is worth more than its record."""
        try:
            return work(*arguments)
        except SonicGuardError as error:
            log.warning("Sonic Guard goes on without: %s", error)
        except Exception:
            log.exception("Sonic Guard could not follow the run; the run goes on")
        return None


@contextmanager
def _unfollowed(watch: RunWatch) -> Iterator[None]:
    """A sampler nothing is known of but when it begins and ends."""
    with watch.during(STAGE_OF[SAMPLER]):
        yield
    watch.finish()
