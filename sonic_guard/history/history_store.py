"""The history of runs: queries and changes of its database.

Every method is one transaction, so a process killed at any moment leaves everything that it had written before.
"""

import logging
import os
import platform
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from sqlalchemy import Connection, Delete, Update, func, select

from ..devices.environment import RunEnvironment
from ..errors import HistoryError
from ..job import Job
from ..relatives import Relative
from . import run_rows
from .database import VARIABLE, Database
from .run_record import Outcome, Run, StageFigures
from .schema import RUNS, figures, new_row

log = logging.getLogger(__name__)

BUSY_S = 10.0
"""Seconds to wait for another process that writes, or for a server that does not answer."""
PAGE_RUNS = 500
"""Runs in a page, which is read in one transaction, so that a slow reader does not block others."""
_MAX_PID = (1 << 31) - 1
_SAME_START_S = 1.0
"""Tolerance when comparing a process's start time with the recorded one, because clocks are adjusted."""


class Page(NamedTuple):
    """Some of the runs, newest first."""

    runs: list[Run]
    unreadable: int
    """Number of other runs in the page, which this version cannot read."""
    before: int | None
    """The id below which the next page begins; None after the last."""


def history_location(file: Path | None = None) -> str | Path:
    """Location of the history: SONIC_GUARD_DB if it is set, else `file`. Raises `HistoryError` without either."""
    location = os.environ.get(VARIABLE) or file
    if location is None:
        raise HistoryError(
            f"history: which one? Name its file, user/sonic_guard/history.db in ComfyUI's folder, or set {VARIABLE}."
        )
    return location


class History:
    """The runs in the database at `location`: a file, or a URL such as ``postgresql+psycopg://user@host/name``.

    Nothing is opened before the first call, and no file is kept open between two. Any number of threads and processes
    may use the same location at once. A damaged file is renamed with a warning in the log, and a new one is created.
    With `existing`, there must be a history already: none is created, and none is renamed.

    All methods raise `HistoryError` if the database cannot be used.
    """

    def __init__(self, location: str | Path, *, existing: bool = False, busy_s: float = BUSY_S) -> None:
        self._database = Database(location, existing=existing, busy_s=busy_s)
        self._warned = False

    def begin(self, job: Job, environment: RunEnvironment, predicted: Mapping[str, int]) -> int:
        """Record that a run begins now in this process, with the predicted bytes by stage. Returns its id."""
        insert = RUNS.insert().values(new_row(job, environment, predicted)).returning(RUNS.c.id)
        return self._database.do(lambda connection: connection.execute(insert).scalar_one(), write=True)

    def update(self, run_id: int, stages: Mapping[str, StageFigures], stage: str) -> None:
        """Record the figures of a run in progress and its current stage. A run that has ended is not changed."""
        # A run that was marked as killed but writes is in fact running.
        under_way = RUNS.c.outcome.in_([str(Outcome.RUNNING), str(Outcome.KILLED)])
        change = RUNS.update().where(RUNS.c.id == run_id, under_way)
        self._change(change.values(stages=figures(stages), stage=stage, outcome=str(Outcome.RUNNING)))

    def finish(self, run_id: int, outcome: Outcome, stage: str, stages: Mapping[str, StageFigures]) -> None:
        """Record how a run ended, in which stage ("" if it is done), and its figures."""
        change = RUNS.update().where(RUNS.c.id == run_id)
        self._change(change.values(stages=figures(stages), stage=stage, outcome=str(outcome)))

    def page(
        self,
        card: str | None = None,
        wrapper: str | None = None,
        limit: int = PAGE_RUNS,
        before: int | None = None,
        *,
        relative: Relative | None = None,
    ) -> Page:
        """At most `limit` runs, newest first: of all, or of a card, wrapper version or relative; of ids below `before`.

        Rows that cannot be read are left out and counted, with one warning in the log.
        """
        query = select(*run_rows.COLUMNS).order_by(RUNS.c.id.desc()).limit(limit + 1)
        for column, value in ((RUNS.c.card, card), (RUNS.c.wrapper, wrapper)):
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(RUNS.c.id < before)
        if relative is not None:
            query = query.where(run_rows.may_be_of(relative))
        found = self._database.do(lambda connection: connection.execute(query).all())
        runs, unreadable = run_rows.read(found[:limit])
        if unreadable and not self._warned:
            self._warned = True
            first, why = next(iter(unreadable.items()))
            log.warning("This version cannot read all runs of the history; they are left out. Run %s: %s", first, why)
        if relative is not None:
            runs = [run for run in runs if run.job.relative is relative]
        return Page(runs, len(unreadable), found[limit - 1].id if len(found) > limit else None)

    def pages(
        self,
        card: str | None = None,
        wrapper: str | None = None,
        limit: int | None = None,
        *,
        relative: Relative | None = None,
    ) -> Iterator[Page]:
        """The runs of `page` page by page: all, or the newest `limit`. Runs that begin meanwhile are not included."""
        before, left = None, limit
        while left is None or left > 0:
            size = PAGE_RUNS if left is None else min(left, PAGE_RUNS)
            page = self.page(card, wrapper, size, before, relative=relative)
            yield page
            if page.before is None:
                return
            before, left = page.before, None if left is None else left - size

    def runs(
        self,
        card: str | None = None,
        wrapper: str | None = None,
        limit: int | None = None,
        *,
        relative: Relative | None = None,
    ) -> list[Run]:
        """The runs of `pages` in a list."""
        return [run for page in self.pages(card, wrapper, limit, relative=relative) for run in page.runs]

    def cards(self, limit: int | None = None) -> list[str]:
        """The names of the cards that have runs, at most `limit`, the most recently used first."""
        name = func.substr(RUNS.c.card, 1, run_rows.MAX_NAME_LENGTH + 1)
        query = select(name).group_by(RUNS.c.card).order_by(func.max(RUNS.c.id).desc()).limit(limit)
        names = self._database.do(lambda connection: list(connection.execute(query).scalars()))
        return list(filter(run_rows.is_name, names))

    def delete(self, ids: Collection[int]) -> int:
        """Delete runs by id; returns the number of deleted runs."""
        return self._change(RUNS.delete().where(RUNS.c.id.in_(ids)))

    def delete_card(self, card: str) -> int:
        """Delete all runs of a card; returns the number of deleted runs."""
        return self._change(RUNS.delete().where(RUNS.c.card == card))

    def clear(self) -> int:
        """Delete all runs; returns the number of deleted runs."""
        return self._change(RUNS.delete())

    def sweep(self) -> list[int]:
        """Mark runs in progress on this machine whose process has ended as killed; returns their ids."""
        running = (RUNS.c.outcome == str(Outcome.RUNNING)) & (RUNS.c.machine == platform.node())
        query = select(RUNS.c.id, RUNS.c.pid, RUNS.c.process_started).where(running).order_by(RUNS.c.id)

        def sweep(connection: Connection) -> list[int]:
            gone = [row.id for row in connection.execute(query) if not _is_alive(row.pid, row.process_started)]
            if gone:
                connection.execute(RUNS.update().where(RUNS.c.id.in_(gone)).values(outcome=str(Outcome.KILLED)))
            return gone

        return self._database.do(sweep, write=True)

    def _change(self, statement: Update | Delete) -> int:
        """The number of rows that `statement` changed."""

        def change(connection: Connection) -> Any:
            return connection.execute(statement).rowcount

        return self._database.do(change, write=True)


def _is_alive(pid: Any, started: Any) -> bool:
    if not (isinstance(pid, int) and 0 <= pid <= _MAX_PID and isinstance(started, (int, float))):
        return False  # not written by this library
    try:
        process = psutil.Process(pid)
        ended = process.status() == psutil.STATUS_ZOMBIE  # ended, but not yet reaped by its parent
        return not ended and abs(process.create_time() - started) < _SAME_START_S
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
