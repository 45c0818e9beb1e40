"""Who may use a card now: the rule by which waiting runs are admitted. Pure: no clock, no disk.

Of the runs that fit, the largest is admitted first: small ones find room beside it more easily than it beside them. A
run lets later ones pass only `MAX_PASSED` times: then nobody is admitted before it, so that every job, big or small,
waits for a bounded number of others.

On random jobs of 4 % to 60 % of a card, of which eight are there at a time, that uses 91 % of the card's bytes times
seconds (`python -m bench.leases`). First come, first served with passing uses 89 %, and its longest wait is longer.
"""

from collections.abc import Sequence
from typing import NamedTuple

MAX_PASSED = 16
"""How many later runs may be admitted before one that waits."""


class Capacity(NamedTuple):
    """What the runs of one card share."""

    usable_bytes: int
    """Of the card, without its reserve."""
    foreign_bytes: int = 0
    """In use by programs that have no lease."""
    runs: int = 2
    """Most runs at a time."""

    @property
    def free_bytes(self) -> int:
        """What leases may sum up to."""
        return self.usable_bytes - self.foreign_bytes


class Waiting(NamedTuple):
    """A run that waits for its turn."""

    number: int
    """Ascending in the order in which they came."""
    size_bytes: int
    passed: int = 0
    """Later runs that were admitted before it."""


class Admission(NamedTuple):
    """What happens at one moment."""

    admitted: tuple[int, ...]
    """Numbers of the runs that begin now."""
    passed: tuple[int, ...]
    """Numbers of those that one of them has passed, once for each."""


def admit(capacity: Capacity, running_bytes: Sequence[int], waiting: Sequence[Waiting]) -> Admission:
    """The runs of `waiting` that begin now, beside those that hold `running_bytes`."""
    free, places = capacity.free_bytes - sum(running_bytes), capacity.runs - len(running_bytes)
    admitted: list[int] = []
    passed: list[int] = []
    line = sorted(waiting)
    while len(admitted) < places and (run := _next(free, line)):
        admitted.append(run.number)
        passed += [each.number for each in line if each.number < run.number]
        free -= run.size_bytes
        line = [
            each._replace(passed=each.passed + (each.number < run.number)) for each in line if each.number != run.number
        ]
    return Admission(tuple(admitted), tuple(number for number in passed if number not in admitted))


def _next(free_bytes: int, line: Sequence[Waiting]) -> Waiting | None:
    """The run of `line` that begins next; None where none fits, or one has been passed often enough."""
    overdue = [run for run in line if run.passed >= MAX_PASSED]
    if overdue:
        return overdue[0] if overdue[0].size_bytes <= free_bytes else None
    fitting = [run for run in line if run.size_bytes <= free_bytes]
    return max(fitting, key=lambda run: (run.size_bytes, -run.number), default=None)
