"""Who may use a card now: the rule by which waiting runs are admitted. Pure: no clock, no disk.

Runs are admitted in the order in which they came. One that does not fit yet lets later ones pass that do, but only
`MAX_PASSED` times: then nobody is admitted before it, so that a big job waits for a bounded number of others.
"""

from collections.abc import Sequence
from typing import NamedTuple

MAX_PASSED = 16
"""How many later runs may be admitted before one that does not fit yet."""


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
    blocked: list[Waiting] = []
    passed: list[int] = []
    for run in sorted(waiting):
        if places <= 0:
            break
        counts = [each.passed + passed.count(each.number) for each in blocked]
        if run.size_bytes <= free and max(counts, default=0) < MAX_PASSED:
            admitted.append(run.number)
            passed += [each.number for each in blocked]
            free, places = free - run.size_bytes, places - 1
        else:
            blocked.append(run)
    return Admission(tuple(admitted), tuple(passed))
