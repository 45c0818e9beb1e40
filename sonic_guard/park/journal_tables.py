"""The tables of a farm's journal, and the rows that are read from them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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

VERSION = 1
"""Of the tables. A journal of another version is refused: it belongs to a run of another version of this pack."""


class TaskState(StrEnum):
    """Of a task, which makes one video."""

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
    Column("task", Text, primary_key=True),  # FarmJob.id
    Column("position", _BIG, nullable=False),
    Column("content", JSON, nullable=False),  # the job, as `job_content` has it
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
