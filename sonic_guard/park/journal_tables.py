"""The tables of a farm's journal, and the rows that are read from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

from .outcomes import Outcome

VERSION = 2
"""Of the tables. A journal of another version is refused: it belongs to a run of another version of this pack."""


class TaskKind(StrEnum):
    """What a task makes, and where."""

    VIDEO = "video"
    """A whole video, on a server with a card."""
    PART = "part"
    """One part of a long video, on a server with a card."""
    JOIN = "join"
    """A whole video of its parts, on a CPU worker."""
    FINISH = "finish"
    """A finished video of one that was made, on a CPU worker."""

    @property
    def is_on_card(self) -> bool:
        """Whether a server with a card makes it."""
        return self in (TaskKind.VIDEO, TaskKind.PART)


class TaskState(StrEnum):
    """Of a task, which makes one file."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    """Its output is on disk, whole, under its digest."""
    FAILED = "failed"
    REFUSED = "refused"
    """No card of the farm can make it: it was never begun."""
    CANCELLED = "cancelled"


ENDED = frozenset((TaskState.DONE, TaskState.FAILED, TaskState.REFUSED, TaskState.CANCELLED))


METADATA = MetaData()
_BIG = BigInteger().with_variant(Integer, "sqlite")

FARMS = Table(
    "sonic_guard_farms",
    METADATA,
    Column("farm", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("cancelled", Boolean, nullable=False),
    # The client that drives the farm. It counts `beat` up; others watch it by their own clock.
    Column("owner", Text, nullable=False),
    Column("machine", Text, nullable=False),
    Column("pid", _BIG, nullable=False),
    Column("process_started", Double, nullable=False),  # a pid may be reused
    Column("beat", _BIG, nullable=False),
)
TASKS = Table(
    "sonic_guard_farm_tasks",
    METADATA,
    Column("farm", Text, primary_key=True),
    Column("task", Text, primary_key=True),  # follows from the content: FarmJob.id
    Column("kind", Text, nullable=False),
    Column("needs", JSON, nullable=False),  # tasks of whose outputs it is made: [task, …]
    Column("is_cut", Boolean, nullable=False),  # whether it is decided that it is made whole, or in which parts
    Column("position", _BIG, nullable=False),
    Column("content", JSON, nullable=False),  # what is made, as `task_content` has it
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False),  # attempts with a definite end; part of the prompt's id
    Column("failures", JSON, nullable=False),  # [[option index, usable bytes], …]
    Column("server", Text, nullable=False),  # of the last attempt
    Column("digest", Text, nullable=False),  # SHA-256 of the output; "" before there is one
    Column("size_bytes", _BIG, nullable=False),
    Column("reason", Text, nullable=False),
    ForeignKeyConstraint(["farm"], [FARMS.c.farm]),
)
Index("sonic_guard_farm_states", TASKS.c.farm, TASKS.c.state)
NAMES = Table(
    "sonic_guard_farm_names",
    METADATA,
    Column("farm", Text, primary_key=True),
    Column("name", Text, primary_key=True),  # of the video; several may be of one content
    Column("task", Text, nullable=False),
    ForeignKeyConstraint(["farm", "task"], [TASKS.c.farm, TASKS.c.task]),
)
ATTEMPTS = Table(
    "sonic_guard_farm_attempts",
    METADATA,
    Column("id", _BIG, primary_key=True),
    Column("farm", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("server", Text, nullable=False),
    Column("card", Text, nullable=False),
    Column("option_index", Integer, nullable=False),
    Column("predicted_bytes", _BIG, nullable=False),
    Column("predicted_s", Double, nullable=False),
    Column("started", Double, nullable=False),  # seconds since 1970, all by the client's clock
    Column("ended", Double),
    Column("used_bytes", _BIG),
    Column("outcome", Text),
    Column("text", Text, nullable=False),
    ForeignKeyConstraint(["farm", "task"], [TASKS.c.farm, TASKS.c.task]),
)
Index("sonic_guard_farm_attempts_of", ATTEMPTS.c.farm, ATTEMPTS.c.task)


class NewTask(NamedTuple):
    """A task that a job file asks for."""

    task: str
    name: str
    """Of the video in the folder of outputs; "" for what is made on the way there."""
    content: dict[str, Any]
    kind: TaskKind = TaskKind.VIDEO
    needs: tuple[str, ...] = ()
    """Tasks of whose outputs it is made."""


@dataclass(frozen=True)
class TaskRow:
    """A task as the journal has it."""

    task: str
    position: int
    content: dict[str, Any]
    state: TaskState
    tries: int
    failures: tuple[tuple[int, int], ...]
    server: str
    digest: str
    size_bytes: int
    reason: str
    names: tuple[str, ...] = ()
    kind: TaskKind = TaskKind.VIDEO
    needs: tuple[str, ...] = ()
    is_cut: bool = False


@dataclass(frozen=True)
class Start:
    """An attempt that begins."""

    worker: str
    server: str
    card: str
    option_index: int
    predicted_bytes: int
    predicted_s: float


@dataclass(frozen=True)
class AttemptRow(Start):
    """An attempt as the journal has it."""

    task: str = ""
    started: float = 0.0
    ended: float | None = None
    used_bytes: int | None = None
    outcome: Outcome | None = None
    text: str = ""


def new_row(farm: str, new: NewTask, position: int) -> dict[str, Any]:
    """The row of a new task, as it is inserted."""
    return {
        "farm": farm, "task": new.task, "kind": new.kind, "needs": list(new.needs), "is_cut": False,
        "position": position, "content": new.content, "state": TaskState.WAITING, "tries": 0, "failures": [],
        "server": "", "digest": "", "size_bytes": 0, "reason": "",
    }  # fmt: skip


def task_row(row: Any, names: Sequence[str]) -> TaskRow:
    """A task from its row and its names."""
    values: dict[str, Any] = {name: row[name] for name in TaskRow.__dataclass_fields__ if name in row}
    values["state"], values["names"] = TaskState(row["state"]), tuple(names)
    values["failures"] = tuple((index, size) for index, size in row["failures"])
    values["kind"], values["needs"] = TaskKind(row["kind"]), tuple(row["needs"])
    return TaskRow(**values)


def attempt_row(row: Any) -> AttemptRow:
    """An attempt from its row."""
    values: dict[str, Any] = {name: row[name] for name in AttemptRow.__dataclass_fields__}
    values["outcome"] = Outcome(row["outcome"]) if row["outcome"] else None
    return AttemptRow(**values)
