"""Transactions on the history's database. Migrates its tables, and turns all errors into `HistoryError`.

The usual database is a SQLite file. Several processes may write to it, and it may be damaged, deleted, or from another
version. It is not kept open between two transactions, so a file that was moved or deleted meanwhile is created again.
"""

import errno
import logging
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, func, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from ..errors import HistoryError
from .schema import MIGRATIONS, REVISION, VERSION_TABLE

log = logging.getLogger(__name__)

VARIABLE = "SONIC_GUARD_DB"
"""Environment variable with another location of the history: a file, or a URL in SQLAlchemy's format."""

_SERVER_LOCK = 0x50C5_A6D0
"""Number of the advisory lock under which a PostgreSQL database is migrated."""
_WRITES = "sonic_guard_writes"
_HINTS = {
    sqlite3.SQLITE_BUSY: "Another program holds it. Close that, or try again.",
    sqlite3.SQLITE_FULL: "The disk is full. Free some space.",
    sqlite3.SQLITE_IOERR: "Its disk is full or failing.",
    sqlite3.SQLITE_READONLY: f"Make it and its folder writable, or name another location ({VARIABLE}).",
    sqlite3.SQLITE_CANTOPEN: f"Make it and its folder writable, or name another location ({VARIABLE}).",
}
_Result = TypeVar("_Result")


class Database:
    """The database at `location`, a file or a URL, for any number of threads and processes at once.

    With `existing` it must hold a history already: none is created, and a damaged file is not moved. `busy_s` is the
    time in seconds to wait for another process that writes, or for a server that does not answer.
    """

    def __init__(self, location: str | Path, *, existing: bool, busy_s: float) -> None:
        self._location = location
        self._existing = existing
        self._busy_s = busy_s

    def do(self, work: Callable[[Connection], _Result], *, write: bool = False) -> _Result:
        """The result of `work`, done in one transaction; `write` must be set if it changes anything.

        A damaged SQLite file is renamed, and the work is done on a new one. Raises `HistoryError` if the database
        cannot be used.
        """
        try:
            try:
                return self._attempt(work, write)
            except DBAPIError as error:
                if self._existing or not _is_damage(error.orig):
                    raise
                self._set_aside(str(error.orig))
                return self._attempt(work, write)
        except (SQLAlchemyError, sqlite3.Error, OSError, UnicodeError) as error:
            raise HistoryError(f"history: {self._name}: {_reason(error)}") from error

    def update(self, revisions: Path = MIGRATIONS) -> None:
        """Create the tables, or migrate them with `revisions`, under an exclusive lock."""
        from .migrate import upgrade  # its import is slow and seldom needed

        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(exclusive=True):
            if self._file is not None:
                with closing(sqlite3.connect(self._file, timeout=self._busy_s)) as file:
                    file.execute("PRAGMA journal_mode=WAL")  # readers do not block writers; stored in the file
            with self._transaction(write=True) as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(select(func.pg_advisory_xact_lock(_SERVER_LOCK)))
                upgrade(connection, revisions)

    def _attempt(self, work: Callable[[Connection], _Result], write: bool) -> _Result:
        if self._file and not self._file.is_file():
            if self._existing:
                raise HistoryError(f"history: there is no file {self._file}.")
            self.update()
        for _ in range(2):
            with self._lock(), self._transaction(write) as connection:
                revision = _revision(connection)
                if revision == REVISION:
                    return work(connection)
            if self._existing and revision is None:
                raise HistoryError(f"history: {self._name} holds no history of runs.")
            self.update()
        raise HistoryError(f"history: {self._name} is being changed by another program. Try again.")

    def _transaction(self, write: bool) -> AbstractContextManager[Connection]:
        return self._engine.execution_options(**{_WRITES: write}).begin()

    def _set_aside(self, why: str) -> None:
        """Rename a damaged file and SQLite's files that belong to it."""
        file = self._file
        assert file is not None, "only SQLite reports damage"  # noqa: S101
        with self._lock(exclusive=True):
            if _is_sound(file):
                return  # another process was faster
            aside = _free_name(file)
            for suffix in ("-wal", "-shm", ""):  # the file last: SQLite would apply a leftover log to the new file
                part = file.with_name(file.name + suffix)
                if part.exists():
                    part.rename(aside.with_name(aside.name + suffix))
        log.warning("The history %s is damaged (%s). It was moved to %s, and a new one is begun.", file, why, aside)

    @contextmanager
    def _lock(self, *, exclusive: bool = False) -> Iterator[None]:
        """Lock the file, shared to use it, or `exclusive` to migrate or rename it. The lock ends with the process.

        SQLite's own lock does not work for this, because it belongs to the file that is renamed. So a second, empty
        SQLite file is locked.
        """
        file = Path(f"{self._file}.lock")
        leaves_no_trace = self._existing and not exclusive and not file.exists()
        if self._file is None or leaves_no_trace:
            yield
            return
        with ExitStack() as held:
            try:
                _empty(file)
                lock = held.enter_context(closing(sqlite3.connect(file, timeout=self._busy_s, isolation_level=None)))
                lock.execute("BEGIN EXCLUSIVE" if exclusive else "BEGIN")
                lock.execute("SELECT 1 FROM sqlite_master")
            except (sqlite3.Error, OSError) as error:
                text = f"history: {self._name}: its lock, {file.name}, cannot be taken: {_reason(error)}"
                raise HistoryError(text) from error
            yield

    @cached_property
    def _url(self) -> URL:
        if isinstance(self._location, Path) or "://" not in self._location:
            return URL.create("sqlite", database=str(self._location))
        try:
            return make_url(self._location)
        except (ArgumentError, ValueError):  # the exception's text may contain a password
            raise HistoryError("history: what names the database is not a URL as SQLAlchemy reads it.") from None

    @property
    def _name(self) -> str:
        """The location for messages: a URL without its password."""
        return str(self._file or self._url.render_as_string())

    @cached_property
    def _file(self) -> Path | None:
        """The database's file; None for a server."""
        if self._url.get_backend_name() != "sqlite":
            return None
        name = self._url.database
        if not name or name == ":memory:" or name.startswith("file:"):
            raise HistoryError(f"history: {self._url} names no file.")
        return Path(name)

    @cached_property
    def _engine(self) -> Engine:
        url = self._url
        if self._file is not None:
            engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": self._busy_s})
            event.listen(engine, "connect", _read_any_text)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        try:
            if url.get_driver_name().startswith("psycopg") and "connect_timeout" not in url.query:
                url = url.update_query_dict({"connect_timeout": str(round(self._busy_s))})
            engine = create_engine(url, pool_pre_ping=True)
            if engine.dialect.name == "postgresql":
                event.listen(engine, "begin", _use_iso_dates)
            return engine
        except ImportError as error:
            raise HistoryError(f"history: {self._name} needs a driver that is not installed: {error}.") from error


def _read_any_text(connection: Any, _: object) -> None:
    # By default sqlite3 aborts a query at the first text that is not UTF-8.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")


def _use_iso_dates(connection: Connection) -> None:
    connection.exec_driver_sql("SET LOCAL datestyle TO ISO")  # dates are read as text, see `run_rows`


def _begin_sqlite(connection: Connection) -> None:
    # By default sqlite3 begins a transaction at the first change. Data read before that could be outdated, and a
    # transaction that began with a read could fail to get the write lock. So the lock is taken at the beginning.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _revision(connection: Connection) -> str | None:
    """The revision of the database's tables; None if it has no history."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - our own name


def _empty(lock: Path) -> None:
    """Truncate a lock file that is not empty: SQLite cannot lock a file that is not a database.

    It is truncated and not replaced, because other processes may hold locks on it.
    """
    try:
        there = lock.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(there.st_mode) or there.st_nlink > 1:
        raise OSError(errno.EINVAL, "it is not a file of its own; delete it")
    if there.st_size:
        log.warning("%s held %s bytes that are none of its own. It was emptied.", lock, there.st_size)
        os.truncate(lock, 0)


def _code(error: BaseException | None) -> int | None:
    """SQLite's primary result code."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _is_damage(error: BaseException | None) -> bool:
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _is_sound(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(file)) as connection:
            return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise
        return False


def _free_name(file: Path) -> Path:
    now = f"{file.name}.damaged-{datetime.now():%Y%m%d-%H%M%S}"
    number, aside = 1, file.with_name(now)
    while aside.exists():
        number += 1
        aside = file.with_name(f"{now}-{number}")
    return aside


def _reason(error: Exception) -> str:
    """The error's text in one line, and what to do about it."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else " ".join(str(cause).split())
    return f"{text.rstrip('.?')}. {_HINTS.get(_code(cause) or 0, '')}".strip()
