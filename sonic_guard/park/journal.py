"""The durable journal of a farm: what is to be made, what is being made, what is done.

A SQLite file, or a PostgreSQL database for several clients. Each transition is one transaction, so whatever process
dies at whatever moment, the journal is before the transition or after it. Only the farm's owner writes: who takes a
farm over from a client that is gone, locks that client out, should it come back. Whether it is gone is judged by a
counter and the watcher's own clock; clocks of machines need not agree.
"""

import platform
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, func, insert, make_url, select, update
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from ..errors import FarmError
from .journal_tables import (
    ATTEMPTS,
    ENDED,
    FARMS,
    METADATA,
    NAMES,
    TASKS,
    VERSION,
    AttemptRow,
    NewTask,
    Start,
    TaskKind,
    TaskRow,
    TaskState,
    attempt_row,
    new_row,
    task_row,
)
from .outcomes import UNTRIED, Ended, Outcome

BUSY_S = 20.0
"""Seconds to wait for another process that writes, or for a server that does not answer."""
LEASE_S = 6.0
"""Seconds without a beat after which an owner on another machine counts as gone. It beats once a second."""
MAX_TEXT = 2000
"""Most characters of an error's text that are kept."""
_Result = TypeVar("_Result")
_NOBODY = {"owner": "", "machine": "", "pid": 0, "process_started": 0.0}


class Journal:
    """The journal of one farm. Use from one thread at a time.

    Raises `FarmError` where the database cannot be used, is of another version, or belongs to another client by now.
    """

    def __init__(self, location: Path | str, farm: str = "farm") -> None:
        self._farm = farm
        self._engine = _engine(location)
        self._owner = ""
        self._do(lambda connection: METADATA.create_all(connection, checkfirst=True))

    # ---- who drives the farm

    def begin(self, settings: dict[str, Any] | None = None, wait_s: float = LEASE_S) -> dict[str, Any]:
        """Become the farm's owner, and return its settings; without any, it has to be there already.

        Raises `FarmError` where another client drives it.
        """
        seen = self._do(lambda connection: self._found(connection, settings))
        watched = time.monotonic()
        while seen["owner"] and not _is_gone(seen):
            if time.monotonic() - watched > wait_s:
                break
            time.sleep(0.2)
            now = self._do(lambda connection: self._found(connection, None))
            if (now["owner"], now["beat"]) != (seen["owner"], seen["beat"]):
                raise FarmError(f"journal: another client drives this farm (process {now['pid']} on {now['machine']}).")
        process, me = psutil.Process(), secrets.token_hex(8)
        taken = {
            "owner": me, "machine": platform.node(), "pid": process.pid, "process_started": process.create_time(),
            "beat": seen["beat"] + 1, "settings": seen["settings"] if settings is None else settings,
        }  # fmt: skip
        if settings is not None:  # jobs come: what was asked to be cancelled were those before
            taken["cancelled"] = False
        same = (FARMS.c.farm == self._farm) & (FARMS.c.owner == seen["owner"]) & (FARMS.c.beat == seen["beat"])
        if self._do(lambda connection: connection.execute(update(FARMS).where(same).values(taken)).rowcount) != 1:
            raise FarmError("journal: another client has just taken this farm over.")
        self._owner = me
        return taken["settings"]

    def beat(self) -> bool:
        """Show that the owner lives. Returns whether the farm is to be cancelled."""

        def work(connection: Connection) -> bool:
            row = self._owned(connection)
            connection.execute(update(FARMS).where(self._is_mine).values(beat=row["beat"] + 1))
            return row["cancelled"]

        return self._do(work)

    def end(self) -> None:
        """Leave the farm without an owner."""
        if self._owner:
            self._do(lambda connection: connection.execute(update(FARMS).where(self._is_mine).values(_NOBODY)))
            self._owner = ""

    def ask_to_cancel(self, cancelled: bool = True) -> None:
        """Have the farm's owner cancel what is left; anybody may ask."""
        is_farm = FARMS.c.farm == self._farm
        self._do(lambda connection: connection.execute(update(FARMS).where(is_farm).values(cancelled=cancelled)))

    # ---- what is to be made

    def add(self, tasks: Iterable[NewTask]) -> int:
        """Add what a job file asks for. Returns the number of new tasks.

        What is known already stays as it is: a video that is done is not made again. Raises `FarmError` for a name
        that is another job's.
        """

        def work(connection: Connection) -> int:
            self._owned(connection)
            known = set(connection.scalars(select(TASKS.c.task).where(TASKS.c.farm == self._farm)))
            taken = connection.execute(select(NAMES.c.name, NAMES.c.task).where(NAMES.c.farm == self._farm))
            names = {name: task for name, task in taken}  # noqa: C416 - a row is no pair for `dict`
            new_tasks, new_names = {}, {}
            for new in tasks:
                task, name = new.task, new.name
                if names.get(name, task) != task:
                    raise FarmError(f"name: {name} is another job's in this folder. Choose another name or folder.")
                if task not in known and task not in new_tasks:
                    new_tasks[task] = new_row(self._farm, new, len(known) + len(new_tasks))
                if name and name not in names:
                    new_names[name] = {"farm": self._farm, "name": name, "task": task}
            for table, rows in ((TASKS, new_tasks), (NAMES, new_names)):
                if rows:
                    connection.execute(insert(table), list(rows.values()))
            return len(new_tasks)

        return self._do(work)

    def cut(self, parts: Mapping[str, Sequence[NewTask]], whole: Sequence[str]) -> None:
        """Waiting videos are made of these parts, which are new; those in `whole` in one piece. It stays so."""

        def work(connection: Connection) -> None:
            self._owned(connection)
            mine = TASKS.c.farm == self._farm
            known = set(connection.scalars(select(TASKS.c.task).where(mine)))
            for task, made_of in parts.items():
                needs = [part.task for part in made_of]
                values: dict[str, Any] = {"kind": TaskKind.JOIN, "needs": needs, "is_cut": True}
                self._move(connection, task, {TaskState.WAITING}, **values)
                rows = [new_row(self._farm, part, len(known) + at) for at, part in enumerate(made_of)]
                connection.execute(insert(TASKS), [{**row, "is_cut": True} for row in rows])
                known.update(needs)
            for task in whole:
                connection.execute(update(TASKS).where(self._is_task(task)).values(is_cut=True))

        self._do(work)

    def tasks(self) -> list[TaskRow]:
        """All tasks in the order of the job file."""

        def work(connection: Connection) -> list[TaskRow]:
            names: dict[str, list[str]] = {}
            for name, task in connection.execute(
                select(NAMES.c.name, NAMES.c.task).where(NAMES.c.farm == self._farm).order_by(NAMES.c.name)
            ):
                names.setdefault(task, []).append(name)
            rows = connection.execute(select(TASKS).where(TASKS.c.farm == self._farm).order_by(TASKS.c.position))
            return [task_row(row, names.get(row["task"], [])) for row in rows.mappings()]

        return self._do(work)

    def attempts(self) -> list[AttemptRow]:
        """All attempts in the order in which they began."""
        query = select(ATTEMPTS).where(ATTEMPTS.c.farm == self._farm).order_by(ATTEMPTS.c.id)
        rows = self._do(lambda connection: connection.execute(query).mappings().all())
        return [attempt_row(row) for row in rows]

    def counts(self) -> dict[TaskState, int]:
        """Number of tasks by state."""
        query = select(TASKS.c.state, func.count()).where(TASKS.c.farm == self._farm).group_by(TASKS.c.state)
        rows = self._do(lambda connection: connection.execute(query).all())
        return dict.fromkeys(TaskState, 0) | {TaskState(state): count for state, count in rows}

    # ---- transitions

    def start(self, task: str, start: Start) -> int:
        """A waiting task begins on a worker. Returns the attempt's number. Raises `FarmError` if it does not wait."""

        def work(connection: Connection) -> int:
            self._owned(connection)
            self._move(connection, task, {TaskState.WAITING}, state=TaskState.RUNNING, server=start.server)
            values = {**vars(start), "farm": self._farm, "task": task, "started": time.time(), "text": ""}
            made = connection.execute(insert(ATTEMPTS).values(values).returning(ATTEMPTS.c.id))
            return made.scalar_one()

        return self._do(work)

    def finish(self, task: str, attempt: int, ended: Ended, state: TaskState) -> None:
        """An attempt has ended, and its task goes from running to `state`: done, failed, cancelled, or waiting again.

        A lost attempt does not count as a try: what its server was making is asked for again by the same name.
        """

        def work(connection: Connection) -> None:
            self._owned(connection)
            tried = ended.outcome not in UNTRIED
            more: dict[str, Any] = {"tries": TASKS.c.tries + int(tried), "reason": ended.text[:MAX_TEXT]}
            if ended.outcome is Outcome.DONE:
                more |= {"digest": ended.digest, "size_bytes": ended.size_bytes}
            if ended.failure:
                known = connection.scalar(select(TASKS.c.failures).where(self._is_task(task)))
                more["failures"] = [*(known or []), list(ended.failure)]
            self._move(connection, task, {TaskState.RUNNING}, state=state, **more)
            connection.execute(_ending(ATTEMPTS.c.id == attempt, ended))

        self._do(work)

    def settle(self, task: str, state: TaskState, reason: str) -> None:
        """A task that waits will not be made: refused, failed before it began, or cancelled."""

        def work(connection: Connection) -> None:
            self._owned(connection)
            self._move(connection, task, {TaskState.WAITING}, state=state, reason=reason[:MAX_TEXT])

        self._do(work)

    def recover(self) -> int:
        """After taking a farm over: what was running waits again. Returns the number of such tasks."""

        def work(connection: Connection) -> int:
            self._owned(connection)
            lost = Ended(Outcome.LOST, "the client that started it is gone")
            connection.execute(_ending((ATTEMPTS.c.farm == self._farm) & ATTEMPTS.c.outcome.is_(None), lost))
            running = (TASKS.c.farm == self._farm) & (TASKS.c.state == TaskState.RUNNING)
            return connection.execute(update(TASKS).where(running).values(state=TaskState.WAITING)).rowcount

        return self._do(work)

    def retry(self) -> int:
        """What has failed, was refused or cancelled waits again. Returns the number of such tasks."""

        def work(connection: Connection) -> int:
            self._owned(connection)
            connection.execute(update(FARMS).where(self._is_mine).values(cancelled=False))
            again = (TASKS.c.farm == self._farm) & TASKS.c.state.in_([each for each in ENDED if each != TaskState.DONE])
            values = {"state": TaskState.WAITING, "failures": [], "reason": ""}
            return connection.execute(update(TASKS).where(again).values(values)).rowcount

        return self._do(work)

    def redo(self, tasks: Iterable[str]) -> None:
        """Outputs of these tasks are gone or damaged: they wait again."""

        def work(connection: Connection) -> None:
            self._owned(connection)
            for task in tasks:
                self._move(connection, task, {TaskState.DONE}, state=TaskState.WAITING, digest="", size_bytes=0)

        self._do(work)

    # ---- inside a transaction

    def _found(self, connection: Connection, settings: dict[str, Any] | None) -> Any:
        query = select(FARMS).where(FARMS.c.farm == self._farm)
        row = connection.execute(query).mappings().one_or_none()
        if row is None and settings is not None:
            values = {"farm": self._farm, "version": VERSION, "settings": settings, "cancelled": False, "beat": 0}
            connection.execute(insert(FARMS).values({**values, **_NOBODY}))
            row = connection.execute(query).mappings().one()
        if row is None:
            raise FarmError("journal: there is no farm of that name in it. Begin one with `sonic-guard farm run`.")
        if row["version"] != VERSION:
            raise FarmError(f"journal: it is of version {row['version']}, and this pack writes version {VERSION}.")
        return row

    @property
    def _is_mine(self) -> Any:
        return (FARMS.c.farm == self._farm) & (FARMS.c.owner == self._owner)

    def _is_task(self, task: str) -> Any:
        return (TASKS.c.farm == self._farm) & (TASKS.c.task == task)

    def _owned(self, connection: Connection) -> Any:
        """The farm's row, locked to the end of the transaction. Raises `FarmError` if it is another client's."""
        row = connection.execute(select(FARMS).where(self._is_mine).with_for_update()).mappings().one_or_none()
        if row is None or not self._owner:
            raise FarmError("journal: another client has taken this farm over; this one ends.")
        return row

    def _move(self, connection: Connection, task: str, before: set[TaskState], **values: Any) -> None:
        where = self._is_task(task) & TASKS.c.state.in_(before)
        if connection.execute(update(TASKS).where(where).values(values)).rowcount != 1:
            raise FarmError(f"journal: task {task} is not {' or '.join(sorted(before))}.")

    def _do(self, work: Callable[[Connection], _Result]) -> _Result:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
            text = " ".join(str(cause).split())
            raise FarmError(f"journal: the database cannot be used ({text}).") from error


def _engine(location: Path | str) -> Engine:
    if isinstance(location, Path):
        url = URL.create("sqlite", database=str(location))
    else:
        try:
            url = make_url(location)
        except (ArgumentError, ValueError):  # the exception's text may contain a password
            raise FarmError("journal: what names the database is not a URL as SQLAlchemy reads it.") from None
    try:
        if url.get_backend_name() == "sqlite":
            engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_S})
            event.listen(engine, "connect", _durable)
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
            return engine
        return create_engine(url, pool_pre_ping=True)
    except (ImportError, ArgumentError) as error:
        raise FarmError(f"journal: the database needs a driver that is not installed: {error}.") from error


def _durable(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says, not where sqlite3 guesses
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # what is committed is there after a power cut


def _is_gone(row: Any) -> bool:
    """Whether the owner was a process of this machine that is no more; False also where that is not known."""
    if row["machine"] != platform.node():
        return False
    try:
        process = psutil.Process(row["pid"])
        return process.create_time() != row["process_started"] or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _ending(where: Any, ended: Ended) -> Any:
    values = {"ended": time.time(), "outcome": ended.outcome, "used_bytes": ended.used_bytes}
    return update(ATTEMPTS).where(where).values(text=ended.text[:MAX_TEXT], **values)
