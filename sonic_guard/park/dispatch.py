"""What waits in a farm and for which card: placed, or held for the server that was making it, or for a card to come."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from ..devices.budget import Budget
from ..devices.card_catalogue import Card
from ..errors import SonicGuardError
from .cutting import options_of
from .fleet import Member
from .forecast import known_cards
from .job_plans import JobPlanner, Options
from .journal_tables import TaskRow, TaskState
from .placement import Placer, Work

HOME_S = 15.0
"""Seconds for which what a server was making waits for that server to come back."""


@dataclass
class Dispatch:
    """The tasks of `rows` that nobody is making. Times are seconds by `time.monotonic`."""

    rows: dict[str, TaskRow]
    """Tasks that are not over, by id. The farm's own: it adds and removes them."""
    refuse: Callable[[int, Card | None], str]
    """Words a refusal by memory, as `JobPlanner.refuse`."""
    settle: Callable[[TaskRow, TaskState, str], object]
    """A task will not be made: why, for its reason. Removes it from `rows`."""
    options: dict[str, Options] = field(default_factory=dict)
    """The ways to make each task, by id."""
    planner: JobPlanner = field(init=False)
    _budgets: dict[str, Budget] = field(default_factory=dict)
    """Of all card models that were ever there: a card that has gone may come back."""
    _home: dict[str, tuple[Work, float]] = field(default_factory=dict)
    """Tasks held for the server that was making them, and until when."""
    _stranded: dict[str, Work] = field(default_factory=dict)
    """Tasks for which the cards that could make them are not there at the moment."""
    _placer: Placer = field(default_factory=Placer)
    _joined: set[str] = field(default_factory=set)
    """Workers that the placer knows."""

    def __post_init__(self) -> None:
        self.planner = JobPlanner(self._budgets, self.refuse, known_cards())

    def learn(self, members: Iterable[Member]) -> None:
        """Count with the cards of workers from the next plan on."""
        self._budgets |= {member.budget.card: member.budget for member in members}
        self.planner = JobPlanner(dict(self._budgets), self.refuse, known_cards())

    def plan(self, members: Iterable[Member], busy: Collection[str], *, is_complete: bool) -> None:
        """Plan all tasks that need a card, but those in `busy`, for the cards there are.

        What is broken fails. What none of the cards can make is refused if they are all that will come, else it waits
        for the next plan.
        """
        self._begin(members)
        works = []
        for row in [each for each in self.rows.values() if each.kind.is_on_card and each.task not in busy]:
            if row.task not in self.rows:
                continue  # given up meanwhile: what it was for has failed
            try:
                options = self.options[row.task] = options_of(row, self.planner)
            except SonicGuardError as error:
                self._drop(row, TaskState.FAILED, error.text)
                continue
            if not options.options and not is_complete:
                del self.options[row.task]
            elif not options.options:
                self._drop(row, TaskState.REFUSED, options.refusal)
            elif row.server:
                self.hold(row)
            else:
                works.append(self.work(row))
        self.place(works)

    def knows(self, member: Member) -> bool:
        """Whether the plans count with a worker's card."""
        return member.budget.card in self._budgets

    def come(self, members: Iterable[Member]) -> None:
        """Workers whose cards are known have come."""
        for member in members:
            self._join(member)
        self.place(list(self._stranded.values()))

    def leave(self, member: Member) -> None:
        """A worker is gone; what waited for it waits for others."""
        if member.name in self._joined:
            self._joined.remove(member.name)
            for refusal in self._placer.leave(member.name, time.monotonic()):
                if refusal.work_id in self.rows:
                    self._stranded[refusal.work_id] = self.work(self.rows[refusal.work_id])

    def place(self, works: Iterable[Work]) -> None:
        """Put works into the queue of the cards that would end them first."""
        placed = list(works)
        for work in placed:
            self._stranded.pop(work.id, None)
        for refusal in self._placer.add(placed, time.monotonic()):
            row = self.rows.get(refusal.work_id)
            if row is None:
                continue  # given up meanwhile
            if row.failures:
                self._drop(row, TaskState.FAILED, self.refuse(refusal.needed_bytes, refusal.card))
            else:
                self._stranded[row.task] = self.work(row)

    def hold(self, row: TaskRow) -> None:
        """Keep a task for the server that was making it: perhaps it still does, and nobody knows."""
        self._home[row.task] = self.work(row), time.monotonic() + HOME_S

    def release(self) -> None:
        """Place what was held for a server that has not come back."""
        for task, (work, until) in list(self._home.items()):
            if time.monotonic() > until:
                del self._home[task]
                self.place([work])

    def take(self, member: Member) -> tuple[Work, int] | None:
        """What a free worker makes next, and the option; None while there is nothing for it."""
        for task, (work, _) in self._home.items():
            index = first_option(work, member)
            if self.rows[task].server == member.server and index is not None:
                del self._home[task]
                return work, index
        while taken := self._placer.take(member.name, time.monotonic()):
            if taken[0].id in self.rows:
                return taken[0], taken[1].option_index
        return None

    def forget(self, task: str) -> None:
        """A task is not made any more."""
        self._home.pop(task, None)
        self._stranded.pop(task, None)

    def clear(self, members: Iterable[Member]) -> None:
        """Nothing waits any more."""
        self._home.clear()
        self._begin(members)

    def work(self, row: TaskRow) -> Work:
        """A task as the placement takes it, with what has been tried."""
        work = Work(row.task, self.options[row.task].options)
        for option_index, usable_bytes in row.failures:
            work = work.after(option_index, usable_bytes)
        return work

    def predicted_s(self) -> float:
        """Seconds of all tasks on the fastest card for each."""
        works = (self.options[task].options for task in self.rows if task in self.options)
        return sum(min(options[0].seconds_by_card.values()) for options in works if options)

    def _begin(self, members: Iterable[Member]) -> None:
        self._placer = Placer()
        self._joined.clear()
        self._stranded.clear()
        for member in members:
            self._join(member)

    def _join(self, member: Member) -> None:
        self._placer.join(member.card, time.monotonic())
        self._joined.add(member.name)

    def _drop(self, row: TaskRow, state: TaskState, reason: str) -> None:
        self.forget(row.task)
        self.settle(row, state, reason)


def first_option(work: Work, member: Member) -> int | None:
    """The first way to make a work that fits a worker's card."""
    card, usable = member.budget.card, member.budget.usable_bytes
    for index, option in enumerate(work.options):
        fits = card in option.seconds_by_card and option.bytes_on(card) <= usable
        if fits and work.may_run(index, usable):
            return index
    return None
