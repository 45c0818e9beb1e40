"""What a farm has done, from its journal: times, card hours, failures, and predictions against what was used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .journal import Journal
from .journal_tables import AttemptRow, TaskKind, TaskRow, TaskState
from .outcomes import Outcome
from .task_content import label_of


@dataclass(frozen=True)
class FarmReport:
    """The state of a farm."""

    tasks: Sequence[TaskRow]
    """All of them: videos, and what is made on the way to them."""
    attempts: Sequence[AttemptRow]
    """In the order in which they began. Their times are by the clock of the client that noted them."""

    @property
    def videos(self) -> list[TaskRow]:
        """The tasks whose files are videos of the job file."""
        return [task for task in self.tasks if task.names]

    @property
    def unmade(self) -> list[TaskRow]:
        """The videos that failed or fit no card. One that was cancelled is not among them."""
        return [task for task in self.videos if task.state in (TaskState.FAILED, TaskState.REFUSED)]

    @property
    def counts(self) -> dict[TaskState, int]:
        """Number of videos by state."""
        states = [self.state_of(task) for task in self.videos]
        return {state: states.count(state) for state in TaskState}

    @property
    def kinds(self) -> dict[TaskKind, tuple[int, int]]:
        """Of each kind of task there is, how many are done, and how many there are."""
        of_kind = {kind: [task.state for task in self.tasks if task.kind is kind] for kind in TaskKind}
        return {kind: (states.count(TaskState.DONE), len(states)) for kind, states in of_kind.items() if states}

    def steps_of(self, task: TaskRow) -> list[TaskRow]:
        """What is made for a video, in its order: parts first, the video itself last."""
        by_id = {each.task: each for each in self.tasks}
        return [step for need in task.needs for step in self.steps_of(by_id[need])] + [task]

    def state_of(self, task: TaskRow) -> TaskState:
        """Of a video: it is being made while one of its steps is, or between two of them."""
        states = {step.state for step in self.steps_of(task)}
        is_begun = task.state is TaskState.WAITING and states & {TaskState.RUNNING, TaskState.DONE}
        return TaskState.RUNNING if is_begun else task.state

    @property
    def card_hours(self) -> float:
        """Hours in which cards worked, whatever came of it."""
        return sum((each.ended or each.started) - each.started for each in self.attempts if each.card) / 3600

    @property
    def elapsed_s(self) -> float:
        """Seconds from the beginning of the first attempt to the end of the last."""
        ends = [each.ended or each.started for each in self.attempts]
        return max(ends, default=0.0) - min((each.started for each in self.attempts), default=0.0)

    def of(self, task: str) -> list[AttemptRow]:
        """The attempts at a task."""
        return [each for each in self.attempts if each.task == task]

    def last_of(self, task: str) -> AttemptRow | None:
        """The attempt that made a task's video, else the last one."""
        attempts = self.of(task)
        made = [each for each in attempts if each.outcome is Outcome.DONE]
        return (made or attempts or [None])[-1]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "counts": {str(state): count for state, count in self.counts.items()},
            "card_hours": self.card_hours,
            "elapsed_s": self.elapsed_s,
            "kinds": {str(kind): {"done": done, "all": every} for kind, (done, every) in self.kinds.items()},
            "videos": [self._video(task) for task in self.videos],
            "attempts": [_attempt(each) for each in self.attempts],
        }

    def _video(self, task: TaskRow) -> dict[str, Any]:
        steps = [self._step(each) for each in self.steps_of(task)]
        own = {name: value for name, value in steps[-1].items() if name not in ("kind", "label")}
        return {**own, "names": list(task.names), "state": str(self.state_of(task)), "steps": steps}

    def _step(self, task: TaskRow) -> dict[str, Any]:
        last = self.last_of(task.task)
        return {
            "id": task.task, "kind": str(task.kind), "label": label_of(task), "state": str(task.state),
            "reason": task.reason, "attempts": len(self.of(task.task)), "sha256": task.digest,
            "bytes": task.size_bytes, "card": last.card if last else "",
            "seconds": last.ended - last.started if last and last.ended else None,
            "predicted_s": last.predicted_s if last else None,
            "predicted_bytes": last.predicted_bytes if last else None,
            "used_bytes": last.used_bytes if last else None,
        }  # fmt: skip


def farm_report(journal: Journal) -> FarmReport:
    """The state of the farm of a journal."""
    return FarmReport(journal.tasks(), journal.attempts())


def _attempt(attempt: AttemptRow) -> dict[str, Any]:
    return {**vars(attempt), "outcome": attempt.outcome and str(attempt.outcome)}
