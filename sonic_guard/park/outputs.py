"""What a farm has made: which files are there, which are wanted, and which have to be made again."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from ..errors import OutputError
from .content import is_whole, publish, remove, try_outputs
from .events import Happening, Told
from .files import Location
from .journal import Journal
from .journal_tables import ENDED, TaskKind, TaskRow, TaskState
from .task_content import suffix_of

PAUSE_S, MAX_PAUSES = 10.0, 6
"""Before an output is tried again that could not be written, and how often."""


@dataclass
class Outputs:
    """The files of a farm."""

    out: Location
    tell: Callable[[Told], object]
    done: dict[str, TaskRow] = field(default_factory=dict)
    """Tasks whose files are made, by id."""
    pauses: int = 0
    """In a row, in which nothing could be written."""

    def take_stock(self, journal: Journal) -> dict[str, TaskRow]:
        """The tasks that are not over, by id, after what is gone waits again.

        Finished videos get their names where the last client did not come to it. A part is only wanted until its video
        is there.
        """
        rows = {row.task: row for row in journal.tasks()}
        made = {task: row for task, row in rows.items() if row.state is TaskState.DONE}
        gone = _wanted(rows, lambda row: row.task in made and self.has(row))
        journal.redo(gone & made.keys())
        self.done = {task: row for task, row in made.items() if task not in gone}
        for row in self.done.values():
            self.publish(row)
        return {row.task: row for row in journal.tasks() if row.state not in ENDED}

    def has(self, row: TaskRow) -> bool:
        """Whether the file of a task is there, whole. Raises `OutputError` where that cannot be known."""
        return is_whole(self.out, row.digest, row.size_bytes, suffix_of(row))

    def add(self, row: TaskRow) -> None:
        """A file was made: it gets its names, and what it alone was made for is no longer kept."""
        self.done[row.task] = row
        self.publish(row)
        for part in map(self.done.get, row.needs):
            if part and part.kind is TaskKind.PART:
                remove(self.out, part.digest, suffix_of(part))

    def publish(self, row: TaskRow) -> None:
        """Give a finished video its names. What cannot be named is kept under its digest, and the others go on."""
        for name in row.names:
            try:
                publish(self.out, name, row.digest, suffix_of(row))
            except OutputError as error:
                self.tell(Told(Happening.FAILED, name, error.text))

    def pause(self, text: str) -> float:
        """Outputs cannot be written: the time, by `time.monotonic`, at which to try again.

        Raises `OutputError` if that was tried for long enough.
        """
        self.pauses += 1
        self.tell(Told(Happening.PAUSED, text=text))
        if self.pauses >= MAX_PAUSES:
            try_outputs(self.out)  # its error says more, if there is one
            raise OutputError(text)
        return time.monotonic() + PAUSE_S

    def ready(self, rows: Iterable[TaskRow], busy: Collection[str]) -> Iterator[tuple[TaskRow, list[TaskRow]]]:
        """What can be joined or finished now, and what it needs that is gone. Raises `OutputError`.

        Joining comes first, for finishing may wait for it.
        """
        waiting = [row for row in rows if not row.kind.is_on_card and row.task not in busy]
        for row in sorted(waiting, key=lambda row: row.kind is not TaskKind.JOIN):
            if (needs := self.needs_of(row)) is not None:
                yield row, [each for each in needs if not self.has(each)]

    def needs_of(self, row: TaskRow) -> list[TaskRow] | None:
        """The tasks of whose files this one is made; None while they are not all done."""
        needs = [self.done[task] for task in row.needs if task in self.done]
        return needs if len(needs) == len(row.needs) else None


def _wanted(rows: dict[str, TaskRow], is_there: Callable[[TaskRow], bool]) -> set[str]:
    """The tasks that have to be made for the named videos that are not there."""
    wanted: set[str] = set()
    open_ends = [row for row in rows.values() if row.names]
    while open_ends:
        row = open_ends.pop()
        if row.task not in wanted and not is_there(row):
            wanted.add(row.task)
            open_ends += [rows[task] for task in row.needs]
    return wanted
