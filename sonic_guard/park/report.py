"""What a farm has done, from its journal: times, card hours, failures, and predictions against what was used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .journal import Journal
from .journal_tables import AttemptRow, TaskRow, TaskState
from .outcomes import Outcome


@dataclass(frozen=True)
class FarmReport:
    """The state of a farm."""

    tasks: Sequence[TaskRow]
    attempts: Sequence[AttemptRow]
    """In the order in which they began. Their times are by the clock of the client that noted them."""

    @property
    def counts(self) -> dict[TaskState, int]:
        """Number of tasks by state."""
        return {state: sum(task.state is state for task in self.tasks) for state in TaskState}

    @property
    def card_hours(self) -> float:
        """Hours in which cards worked, whatever came of it."""
        return sum((each.ended or each.started) - each.started for each in self.attempts) / 3600

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
            "videos": [self._video(task) for task in self.tasks],
            "attempts": [_attempt(each) for each in self.attempts],
        }

    def _video(self, task: TaskRow) -> dict[str, Any]:
        last = self.last_of(task.task)
        return {
            "id": task.task, "names": list(task.names), "state": str(task.state), "reason": task.reason,
            "attempts": len(self.of(task.task)), "sha256": task.digest, "bytes": task.size_bytes,
            "card": last.card if last else "",
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
