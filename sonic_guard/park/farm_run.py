"""Runs a farm: takes what waits in the journal, gives it to the workers as placed, and notes what comes of it.

Everything that matters is in the journal before anything is done about it. So this loop may die at any moment, and the
next one goes on; and it treats a broken connection as its own death, on a smaller scale.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from ..devices.card_catalogue import Card
from ..errors import FarmError, OutputError
from .content import has_arrived, is_whole, publish, sweep, try_outputs
from .dask_link import DaskLink, LostError, Result
from .dispatch import Dispatch
from .events import Began, Event, Happening, Over, Remaining, Share, Told
from .files import Location
from .fleet import Fleet, Member
from .journal import Journal
from .journal_tables import ENDED, Start, TaskRow, TaskState
from .outcomes import UNTRIED, Ended, Outcome
from .owner_beat import OwnerBeat
from .placement import Work
from .task_content import Models, call_of, dtype_of, suffix_of

WAIT_S = 0.25
"""For a result, before the loop looks around."""
FLEET_S = 600.0
"""Most seconds at the beginning in which no server can be used."""
FIRST_S, OTHERS_S = 5.0, 90.0
"""Seconds after which the farm begins with the servers that can be used, and after which no more are expected."""
MAX_TRIES = 6
"""Attempts that end in a failure of a server, before a job counts as failed."""
MAX_LOST = 15
"""Attempts in which a server or a call was lost: a job that ends its server every time is not tried for ever."""
NO_ROOM_S, MAX_NO_ROOM = 15.0, 60
"""Seconds for which a server rests whose memory others use, and how often a job meets that before it fails."""
PAUSE_S = 10.0
"""Before an output is tried again that could not be written."""
MAX_PAUSES = 6


@dataclass(frozen=True)
class _Making:
    """An attempt under way."""

    attempt: int
    begun: float
    member: Member
    work: Work
    option_index: int
    predicted_s: float


@dataclass
class FarmRun:
    """One client's run of a farm."""

    journal: Journal
    out: Location
    models: Models
    connect: Callable[[Callable[[str, float], object]], DaskLink]
    """Connects to the scheduler. Raises `LostError`."""
    refuse: Callable[[int, Card | None], str]
    """Words a refusal by memory, as `JobPlanner.refuse`."""
    tell: Callable[[Event], object]
    tend: Callable[[], Iterable[str]] = tuple
    """Starts local processes that have died, and returns their names."""
    expected: int = 1 << 30
    """Workers that will come. Until they are there, or for `OTHERS_S`, nothing is refused for their cards."""
    _rows: dict[str, TaskRow] = field(default_factory=dict)
    """Tasks that are not over, by id."""
    _making: dict[str, _Making] = field(default_factory=dict)
    _lost: dict[str, int] = field(default_factory=dict)
    _failed: dict[str, int] = field(default_factory=dict)
    _no_room: dict[str, int] = field(default_factory=dict)
    """How often each task has ended so, in this run."""
    _cancelled: set[int] = field(default_factory=set)
    """Attempts whose worker has been told to stop."""
    _link: DaskLink | None = None
    _pace: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Seconds that finished videos took in this run, and seconds that were predicted for them."""
    _begun: float = field(default_factory=time.monotonic)
    _is_complete: bool = False
    """Whether all cards have come that will: what fits none of them is refused then."""
    _total: int = 0
    _pauses: int = 0
    _resume_at: float = 0.0

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.tell)
        self._dispatch = Dispatch(self._rows, self.refuse, self._settle)

    def run(self) -> None:
        """Make everything that waits.

        Raises `FarmError` and `OutputError` where it cannot go on. Journal and outputs are then as they were, and
        another run continues.
        """
        self._publish_finished()
        rows = self.journal.tasks()
        self._rows.update({row.task: row for row in rows if row.state not in ENDED})
        self._total = len(rows)
        with OwnerBeat(self.journal) as beat:
            try:
                self._wait_for_fleet(beat)
                while self._rows:
                    self._step(beat)
                sweep(self.out)
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
        while self._rows and not beat.is_cancelled:
            waited = time.monotonic() - begun
            if len(self.fleet.members) >= self.expected or (self.fleet.members and waited > FIRST_S):
                break
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
            if member.task:
                link.forget(member.task)
            self._leave(member, f"the worker {member.name} is gone")
        if not all(map(self._dispatch.knows, come)) or (not self._is_complete and self._all_have_come()):
            self._plan()
        elif come:
            self._dispatch.come(come)
        self._dispatch.release()

    def _plan(self) -> None:
        self._is_complete = self._is_complete or self._all_have_come()
        self._dispatch.plan(self.fleet.members.values(), self._making, is_complete=self._is_complete)

    def _all_have_come(self) -> bool:
        return len(self.fleet.members) >= self.expected or time.monotonic() - self._begun > OTHERS_S

    def _leave(self, member: Member, text: str) -> None:
        if member.task in self._making:
            self._over(member.task, Ended(Outcome.LOST, text))
        self._dispatch.leave(member)

    # ---- what is made where

    def _assign(self, link: DaskLink) -> None:
        if time.monotonic() < self._resume_at:
            return
        for member in self.fleet.free():
            if taken := self._dispatch.take(member):
                self._start(link, member, *taken)

    def _start(self, link: DaskLink, member: Member, work: Work, index: int) -> None:
        row, options, card = self._rows[work.id], self._dispatch.options[work.id], member.budget.card
        option = work.options[index]
        dtype = dtype_of(row, self._dispatch.planner, card)
        call = replace(call_of(row, self.out, self.models, options, index, dtype), server=member.server)
        predicted_s = option.seconds_by_card[card]
        start = Start(member.name, member.server, card, index, option.bytes_on(card), predicted_s)
        attempt = self.journal.start(work.id, start)
        self._rows[work.id] = replace(row, server=member.server)
        self._making[work.id] = _Making(attempt, time.monotonic(), member, work, index, predicted_s)
        member.task = work.id
        self.tell(Began(work.id, row.names[0], member.name, predicted_s))
        link.submit(call, attempt, member.address, option.bytes_on(card))

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
        if ended.outcome is Outcome.DONE and not has_arrived(self.out, ended.digest, ended.size_bytes, suffix_of(row)):
            ended = Ended(Outcome.OUTPUT_FAILED, "the worker does not write to this farm's folder of outputs")
        state = self._state_after(row, ended)
        self.journal.finish(task, making.attempt, ended, state)
        self.tell(Over(task, row.names[0], ended.outcome, state in ENDED, making.predicted_s))
        if ended.outcome is Outcome.DONE:
            member.failures = self._pauses = 0
            self._pace[0] += time.monotonic() - making.begun
            self._pace[1] += making.predicted_s
            self._publish(replace(row, digest=ended.digest, size_bytes=ended.size_bytes))
        elif ended.outcome is Outcome.SERVER_FAILED:
            self.fleet.bench(member, ended.text)
        elif ended.outcome is Outcome.NO_ROOM:
            member.rests_until = time.monotonic() + NO_ROOM_S
        elif ended.outcome is Outcome.OUTPUT_FAILED:
            self._pause(ended.text)
        elif ended.outcome is Outcome.SERVER_DIED and self.fleet.members.pop(member.name, None):
            self._leave(member, ended.text)  # until it is there again
        if state in ENDED:
            del self._rows[task]
            self.tell(Remaining(self._total - len(self._rows), self._total, self._left_s()))
            if state is TaskState.FAILED:
                self.tell(Told(Happening.FAILED, row.names[0], ended.text))
        else:
            self._wait_again(row, ended)

    def _state_after(self, row: TaskRow, ended: Ended) -> TaskState:
        match ended.outcome:
            case Outcome.DONE:
                return TaskState.DONE
            case Outcome.CANCELLED:
                return TaskState.CANCELLED
            case Outcome.JOB_FAILED:
                return TaskState.FAILED
            case Outcome.SERVER_FAILED:
                self._failed[row.task] = self._failed.get(row.task, 0) + 1
                return TaskState.FAILED if self._failed[row.task] >= MAX_TRIES else TaskState.WAITING
            case Outcome.NO_ROOM:
                self._no_room[row.task] = self._no_room.get(row.task, 0) + 1
                return TaskState.FAILED if self._no_room[row.task] >= MAX_NO_ROOM else TaskState.WAITING
            case Outcome.LOST | Outcome.SERVER_DIED:
                self._lost[row.task] = self._lost.get(row.task, 0) + 1
                return TaskState.FAILED if self._lost[row.task] >= MAX_LOST else TaskState.WAITING
        return TaskState.WAITING

    def _wait_again(self, row: TaskRow, ended: Ended) -> None:
        tried = ended.outcome not in UNTRIED
        failures = (*row.failures, ended.failure) if ended.failure else row.failures
        is_lost = ended.outcome is Outcome.LOST
        server = row.server if is_lost else ""  # elsewhere nobody is making it
        row = self._rows[row.task] = replace(row, tries=row.tries + tried, failures=failures, server=server)
        if not is_lost:
            self.tell(Told(Happening.AGAIN, row.names[0], ended.text))
            self._dispatch.place([self._dispatch.work(row)])
        else:
            self._dispatch.hold(row)

    def _left_s(self) -> float | None:
        """Seconds for what is left, divided evenly among the workers there are."""
        took_s, predicted_s = self._pace
        if not predicted_s or not self.fleet.members:
            return None
        return self._dispatch.predicted_s() * took_s / predicted_s / len(self.fleet.members)

    def _settle(self, row: TaskRow, state: TaskState, reason: str) -> None:
        """A task that waits will not be made."""
        self.journal.settle(row.task, state, reason)
        del self._rows[row.task]
        what = Happening.REFUSED if state is TaskState.REFUSED else Happening.FAILED
        self.tell(Told(what, row.names[0], reason))

    def _cancel(self) -> None:
        """Nothing more begins; what is being made is taken off its server."""
        for row in list(self._rows.values()):
            if row.task not in self._making:
                self.journal.settle(row.task, TaskState.CANCELLED, "cancelled")
                del self._rows[row.task]
        self._dispatch.clear(self.fleet.members.values())
        for task, making in self._making.items():
            if self._link and making.attempt not in self._cancelled:
                self._cancelled.add(making.attempt)
                self._link.cancel(task, making.member.address)

    # ---- outputs

    def _publish_finished(self) -> None:
        """Give finished videos their names where the last client did not come to it; those that are gone wait again."""
        done = [row for row in self.journal.tasks() if row.state is TaskState.DONE]
        missing = [row for row in done if not is_whole(self.out, row.digest, row.size_bytes, suffix_of(row))]
        self.journal.redo([row.task for row in missing])
        for row in done:
            if row not in missing:
                self._publish(row)

    def _publish(self, row: TaskRow) -> None:
        for name in row.names:
            try:
                publish(self.out, name, row.digest, suffix_of(row))
            except OutputError as error:  # the video is kept under its digest, and the others go on
                self.tell(Told(Happening.FAILED, name, error.text))

    def _pause(self, text: str) -> None:
        """Outputs cannot be written: wait, and end the run if that does not change."""
        self._pauses += 1
        self._resume_at = time.monotonic() + PAUSE_S
        self.tell(Told(Happening.PAUSED, text=text))
        if self._pauses >= MAX_PAUSES:
            try_outputs(self.out)  # its error says more, if there is one
            raise OutputError(text)
