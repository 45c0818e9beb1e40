"""Runs a farm: takes what waits in the journal, gives it to the workers as placed, and notes what comes of it.

Everything that matters is in the journal before anything is done about it. So this loop may die at any moment, and the
next one goes on; and it treats a broken connection as its own death, on a smaller scale.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..devices.card_catalogue import Card
from ..errors import FarmError, OutputError
from .content import has_arrived, sweep
from .cpu_call import CpuCall
from .cutting import decide
from .dask_link import DaskLink, LostError, Result
from .dispatch import Dispatch
from .events import Began, Event, Happening, Over, Remaining, Share, Told
from .fleet import Fleet, Member
from .journal import Journal
from .journal_tables import ENDED, Start, TaskRow, TaskState
from .outcomes import GONE, UNTRIED, Ended, Outcome
from .outputs import Outputs
from .owner_beat import OwnerBeat
from .placement import Work
from .server_call import PATIENCE_S, Call
from .task_content import Models, call_of, cpu_call_of, dtype_of, label_of, part_tasks, suffix_of
from .tries import Tries

WAIT_S = 0.25
"""For a result, before the loop looks around."""
FLEET_S = 600.0
"""Most seconds at the beginning in which no server can be used."""
FIRST_S, OTHERS_S = 5.0, 90.0
"""Seconds after which the farm begins with the servers that can be used, and after which no more are expected."""
PATIENCE = 10.0
"""Times of its predicted seconds that an attempt may make no progress, if that is more than `PATIENCE_S`."""
NO_ROOM_S = 15.0
"""Seconds for which a server rests whose memory others use."""
UNKNOWN = 1 << 30
"""As many servers as may come."""


@dataclass(frozen=True)
class _Making:
    """An attempt under way."""

    attempt: int
    begun: float
    member: Member
    option_index: int = 0
    predicted_s: float = 0.0
    """0 where that is not known: on a CPU."""


@dataclass
class FarmRun:
    """One client's run of a farm."""

    journal: Journal
    outputs: Outputs
    models: Models
    connect: Callable[[Callable[[str, float], object]], DaskLink]
    """Connects to the scheduler. Raises `LostError`."""
    refuse: Callable[[int, Card | None], str]
    """Words a refusal by memory, as `JobPlanner.refuse`."""
    tell: Callable[[Event], object]
    tend: Callable[[], Iterable[str]] = tuple
    """Starts local processes that have died, and returns their names."""
    expected: int = UNKNOWN
    """Servers that will come. Until they are there, or for `OTHERS_S`, nothing is refused for their cards."""
    in_parts: bool = True
    """Whether long videos may be made in parts on several cards."""
    _rows: dict[str, TaskRow] = field(default_factory=dict)
    """Tasks that are not over, by id."""
    _making: dict[str, _Making] = field(default_factory=dict)
    _tries: Tries = field(default_factory=Tries)
    _cancelled: set[int] = field(default_factory=set)
    """Attempts whose worker has been told to stop."""
    _link: DaskLink | None = None
    _pace: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Seconds that finished videos took in this run, and seconds that were predicted for them."""
    _begun: float = field(default_factory=time.monotonic)
    _is_complete: bool = False
    """Whether all cards have come that will: what fits none of them is refused then."""
    _total: int = 0
    _resume_at: float = 0.0

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.tell)
        self._dispatch = Dispatch(self._rows, self.refuse, self._settle)

    def run(self, rows: Mapping[str, TaskRow]) -> None:
        """Make everything that waits: `rows`, by their tasks.

        Raises `FarmError` and `OutputError` where it cannot go on. Journal and outputs are then as they were, and
        another run continues.
        """
        self._rows.update(rows)
        self._total = sum(bool(row.names) for row in self.journal.tasks())
        with OwnerBeat(self.journal) as beat:
            try:
                self._wait_for_fleet(beat)
                while self._rows:
                    self._step(beat)
                sweep(self.outputs.out)
            finally:
                if self._link:
                    self._link.close()

    def _step(self, beat: OwnerBeat) -> None:
        beat.check()
        if beat.is_cancelled:
            self._cancel()
        for name in self.tend():
            self.tell(Told(Happening.DIED, name))
        try:
            link = self._linked()
            self._look(link)
            self._assign(link)
            if result := link.next_result(WAIT_S):
                self._take_result(result)
        except LostError as error:
            self._lose_link(str(error))
            time.sleep(WAIT_S)

    # ---- the cluster

    def _linked(self) -> DaskLink:
        if self._link is None:
            self._link = self.connect(lambda task, share: self.tell(Share(task, share)))
            self.tell(Told(Happening.LINKED, text=self._link.dashboard))
        return self._link

    def _lose_link(self, text: str) -> None:
        if self._link is not None:
            self.tell(Told(Happening.LINK_LOST, text=text))
            self._link.close()
            self._link = None
        for member in self.fleet.clear():
            self._leave(member, f"the scheduler was lost ({text})")

    def _wait_for_fleet(self, beat: OwnerBeat) -> None:
        """Wait until the servers can be used: all that are expected, or after `FIRST_S`, any. Then plan."""
        begun = time.monotonic()
        while any(row.kind.is_on_card for row in self._rows.values()) and not beat.is_cancelled:
            waited = time.monotonic() - begun
            if self.fleet.servers and (self._all_have_come() or waited > FIRST_S):
                break
            if self.fleet.all_lack_nodes and self._all_have_come():
                first = self.fleet.lacking[0]  # the others were told of as well
                raise FarmError(f"{first.server}: {first.fault}")
            if waited > FLEET_S:
                raise FarmError(f"servers: none can be used for {FLEET_S / 60:.0f} minutes. Their logs say why.")
            beat.check()
            for name in self.tend():
                self.tell(Told(Happening.DIED, name))
            try:
                self.fleet.look(self._linked())
            except LostError as error:
                self._lose_link(str(error))
            time.sleep(WAIT_S)
        self._plan()

    def _look(self, link: DaskLink) -> None:
        come, gone = self.fleet.look(link)
        for member in gone:
            if making := self._making.get(member.task):
                link.forget(member.task, making.attempt)
            self._leave(member, f"the worker {member.name} is gone")
        come = [member for member in come if member.server]
        if not all(map(self._dispatch.knows, come)) or (not self._is_complete and self._all_have_come()):
            self._plan()
        elif come:
            self._dispatch.come(come)
        self._dispatch.release()

    def _plan(self) -> None:
        self._is_complete = self._is_complete or self._all_have_come()
        self._dispatch.learn(self.fleet.servers)
        self._cut()
        self._dispatch.plan(self.fleet.servers, self._making, is_complete=self._is_complete)

    def _cut(self) -> None:
        """Decide which of the new videos are made in parts."""
        rows = [row for row in self._rows.values() if row.kind.is_on_card]
        if all(row.is_cut for row in rows):
            return
        cards = self.expected - len(self.fleet.lacking) if self.expected < UNKNOWN else len(self.fleet.servers)
        cuts, whole = decide(rows, self._dispatch.planner, cards if self.in_parts else 1)
        self.journal.cut({task: part_tasks(self._rows[task], cut) for task, cut in cuts.items()}, whole)
        made = {row.task: row for row in self.journal.tasks() if row.state not in ENDED}
        self._rows.update({task: row for task, row in made.items() if task not in self._making})

    def _all_have_come(self) -> bool:
        there = len(self.fleet.servers) + len(self.fleet.lacking)
        return there >= self.expected or time.monotonic() - self._begun > OTHERS_S

    def _leave(self, member: Member, text: str) -> None:
        if member.task in self._making:
            self._over(member.task, Ended(Outcome.LOST, text))
        self._dispatch.leave(member)

    # ---- what is made where

    def _assign(self, link: DaskLink) -> None:
        if time.monotonic() < self._resume_at:
            return
        for member in self.fleet.servers:
            if member.is_free and (taken := self._dispatch.take(member)):
                self._start_on_card(link, member, *taken)
        try:
            self._assign_cpu(link)
        except OutputError as error:  # the outputs cannot be looked at
            self._resume_at = self.outputs.pause(error.text)

    def _assign_cpu(self, link: DaskLink) -> None:
        free = [member for member in self.fleet.cpus if member.is_free]
        for row, gone in self.outputs.ready(self._rows.values(), self._making) if free else ():
            if gone:
                self._make_again(gone)
                return
            self._start_on_cpu(link, free.pop(), row)
            if not free:
                return

    def _make_again(self, gone: list[TaskRow]) -> None:
        """Files that others are made of are gone or damaged."""
        self.journal.redo([row.task for row in gone])
        for row in gone:
            del self.outputs.done[row.task]
            self._rows[row.task] = replace(row, state=TaskState.WAITING, digest="", size_bytes=0, server="")
            self.tell(Told(Happening.AGAIN, label_of(row), "its file is gone or damaged"))
        self._plan()

    def _start_on_card(self, link: DaskLink, member: Member, work: Work, index: int) -> None:
        row, options, card = self._rows[work.id], self._dispatch.options[work.id], member.budget.card
        option = work.options[index]
        dtype = dtype_of(row, self._dispatch.planner, card)
        predicted_s = option.seconds_by_card[card]
        call = replace(
            call_of(row, self.outputs.out, self.models, options, index, dtype),
            server=member.server, patience_s=max(PATIENCE_S, PATIENCE * predicted_s),
        )  # fmt: skip
        start = Start(member.name, member.server, card, index, option.bytes_on(card), predicted_s)
        self._start(link, member, row, start, call)

    def _start_on_cpu(self, link: DaskLink, member: Member, row: TaskRow) -> None:
        needs = self.outputs.needs_of(row) or []
        self._start(link, member, row, Start(member.name, "", "", 0, 0, 0.0), cpu_call_of(row, needs, self.outputs.out))

    def _start(self, link: DaskLink, member: Member, row: TaskRow, start: Start, call: Call | CpuCall) -> None:
        attempt = self.journal.start(row.task, start)
        self._rows[row.task] = replace(row, server=start.server)
        self._making[row.task] = _Making(attempt, time.monotonic(), member, start.option_index, start.predicted_s)
        member.task = row.task
        self.tell(Began(row.task, label_of(row), member.name, start.predicted_s))
        link.submit(call, attempt, member.address, start.predicted_bytes)

    # ---- what comes of it

    def _take_result(self, result: Result) -> None:
        making = self._making.get(result.task)
        if making and making.attempt == result.attempt:
            self._over(result.task, result.ended)

    def _over(self, task: str, ended: Ended) -> None:
        """An attempt has ended: note it, and decide what becomes of the task."""
        making, row = self._making.pop(task), self._rows[task]
        member = making.member
        member.task = ""
        if ended.outcome is Outcome.OUT_OF_MEMORY:
            ended = replace(ended, failure=(making.option_index, member.budget.usable_bytes))
        made = replace(row, digest=ended.digest, size_bytes=ended.size_bytes, state=TaskState.DONE)
        if ended.outcome is Outcome.DONE and not has_arrived(
            self.outputs.out, ended.digest, ended.size_bytes, suffix_of(row)
        ):
            ended = Ended(Outcome.OUTPUT_FAILED, "the worker does not write to this farm's folder of outputs")
        state = self._tries.state_after(task, ended)
        self.journal.finish(task, making.attempt, ended, state)
        self.tell(Over(task, label_of(row), ended.outcome, state in ENDED, making.predicted_s))
        if ended.outcome is Outcome.DONE:
            member.failures = self.outputs.pauses = 0
            if making.predicted_s:
                self._pace[0] += time.monotonic() - making.begun
                self._pace[1] += making.predicted_s
            self.outputs.add(made)
        elif ended.outcome is Outcome.SERVER_FAILED:
            self.fleet.bench(member, ended.text)
        elif ended.outcome is Outcome.NO_ROOM:
            member.rests_until = time.monotonic() + NO_ROOM_S
        elif ended.outcome is Outcome.OUTPUT_FAILED:
            self._resume_at = self.outputs.pause(ended.text)
        elif ended.outcome in GONE and self.fleet.members.pop(member.name, None):
            self._leave(member, ended.text)  # until it is there again
        if state not in ENDED:
            self._wait_again(row, ended)
            return
        del self._rows[task]
        left = sum(bool(each.names) for each in self._rows.values())
        self.tell(Remaining(self._total - left, self._total, self._left_s()))
        if state is TaskState.FAILED and row.names:
            self.tell(Told(Happening.FAILED, label_of(row), ended.text))
        if state is not TaskState.DONE:
            self._give_up_for(row, state, ended.text)

    def _wait_again(self, row: TaskRow, ended: Ended) -> None:
        tried = ended.outcome not in UNTRIED
        failures = (*row.failures, ended.failure) if ended.failure else row.failures
        is_lost = ended.outcome is Outcome.LOST
        server = row.server if is_lost else ""  # elsewhere nobody is making it
        row = self._rows[row.task] = replace(row, tries=row.tries + tried, failures=failures, server=server)
        if not is_lost and not self._cancelled:
            self.tell(Told(Happening.AGAIN, label_of(row), ended.text))
        if not row.kind.is_on_card:
            return
        if is_lost:
            self._dispatch.hold(row)
        else:
            self._dispatch.place([self._dispatch.work(row)])

    def _left_s(self) -> float | None:
        """Seconds for what is left, divided evenly among the workers there are."""
        took_s, predicted_s = self._pace
        if not predicted_s or not self.fleet.servers:
            return None
        return self._dispatch.predicted_s() * took_s / predicted_s / len(self.fleet.servers)

    def _settle(self, row: TaskRow, state: TaskState, reason: str) -> None:
        """A task that waits will not be made."""
        self.journal.settle(row.task, state, reason)
        del self._rows[row.task]
        if row.names:  # what was made on the way to a video is told of that
            what = Happening.REFUSED if state is TaskState.REFUSED else Happening.FAILED
            self.tell(Told(what, label_of(row), reason))
        self._give_up_for(row, state, reason)

    def _give_up_for(self, row: TaskRow, state: TaskState, reason: str) -> None:
        """What was to be made of a task will not be made, nor what else that needs."""
        for other in [each for each in self._rows.values() if row.task in each.needs]:
            self._settle(other, state, reason)
            for task in other.needs:
                if task in self._rows and task not in self._making:
                    self._dispatch.forget(task)
                    self._settle(self._rows[task], TaskState.CANCELLED, reason)

    def _cancel(self) -> None:
        """Nothing more begins; what is being made is taken off its server."""
        for row in list(self._rows.values()):
            if row.task not in self._making:
                self.journal.settle(row.task, TaskState.CANCELLED, "cancelled")
                del self._rows[row.task]
        self._dispatch.clear(self.fleet.servers)
        for task, making in self._making.items():
            if self._link and making.attempt not in self._cancelled:
                self._cancelled.add(making.attempt)
                self._link.cancel(task, making.member.address)
