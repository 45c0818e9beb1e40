"""How often the attempts at a task have ended without it, and when it counts as failed."""

from collections import Counter
from dataclasses import dataclass, field

from .journal_tables import TaskState
from .outcomes import UNTRIED, Ended, Outcome

MOST = {
    Outcome.SERVER_FAILED: 6,
    Outcome.NO_ROOM: 60,
    Outcome.LOST: 15,  # with all `UNTRIED`: a task that ends its server every time is not tried for ever
}
"""Ends of a kind after which a task counts as failed: other servers, and later moments, have been tried."""
_LAST = {
    Outcome.DONE: TaskState.DONE,
    Outcome.CANCELLED: TaskState.CANCELLED,
    Outcome.JOB_FAILED: TaskState.FAILED,
}


@dataclass
class Tries:
    """Of one run of a farm."""

    _ends: Counter[tuple[str, Outcome]] = field(default_factory=Counter)

    def state_after(self, task: str, ended: Ended) -> TaskState:
        """What becomes of a task after an attempt has ended."""
        if ended.outcome in _LAST:
            return _LAST[ended.outcome]
        kind = Outcome.LOST if ended.outcome in UNTRIED else ended.outcome
        self._ends[task, kind] += 1
        return TaskState.FAILED if self._ends[task, kind] >= MOST.get(kind, 1 << 30) else TaskState.WAITING
