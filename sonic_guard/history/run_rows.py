"""Converts rows of the table to runs, each independently: a file may be damaged, edited, or from another version.

Every column is read as text: if a database driver or SQLAlchemy failed to convert one value, all rows fetched with it
would be lost.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Text, cast, func, not_, or_

from ..devices.environment import RunEnvironment
from ..errors import JobError, reject_json_constant
from ..job import Dtype, Job
from ..optimizations import Optimization
from ..relatives import Relative
from .run_record import Outcome, Run, StageFigures
from .schema import RUNS

MAX_COLUMN_TEXT = 1 << 16
"""Longest text read from a column, in characters; a longer one is truncated, and then is not valid JSON."""
MAX_NAME_LENGTH = 1000
"""Longest name of a card, a driver or a version, in characters; a page may show a thousand of them."""
MAX_RECORDED_BYTES = 1 << 53
"""Largest accepted number of bytes: larger integers are not exact in JavaScript."""
MAX_S = 1e9
"""Largest accepted number of seconds."""
_OWNER = {"machine", "pid", "process_started"}
"""Columns that identify the run's process; they are not part of `Run`."""

COLUMNS = (
    RUNS.c.id,
    *(
        func.substr(cast(column, Text), 1, MAX_COLUMN_TEXT).label(column.name)
        for column in RUNS.c
        if column.name not in _OWNER | {"id"}
    ),
)
"""The columns that `read` needs."""


def may_be_of(relative: Relative) -> ColumnElement[bool]:
    """A condition on a row: whether its run is of `relative`, by the text of its job as this library writes it.

    Not by the job's own field: a database that takes a job apart fails for all rows on the first one that is torn. So
    what it admits is still to be looked at after `read`.
    """
    named = {each: cast(RUNS.c.job, Text).contains(f'"{each}"', autoescape=True) for each in Relative}
    if relative is not Relative.SONIC:
        return named[relative]
    return not_(or_(*(names for each, names in named.items() if each is not relative)))  # rows of 0.x name none


def read(rows: Iterable[Row[Any]]) -> tuple[list[Run], dict[int, str]]:
    """The runs in `rows`, and for each row that this version cannot read its id and the reason."""
    runs, unreadable = [], {}
    for row in rows:
        try:
            runs.append(_run(row))
        except (JobError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            unreadable[row.id] = f"{type(error).__name__}: {str(error)[:200]}"
    return runs, unreadable


def is_name(value: object) -> bool:
    """Whether a value of a text column is a name that can be displayed: SQLite does not check types."""
    return isinstance(value, str) and len(value) <= MAX_NAME_LENGTH and value.encode(errors="ignore").decode() == value


def _run(row: Row[Any]) -> Run:
    job = json.loads(row.job, parse_constant=reject_json_constant)
    if not isinstance(job["optimizations"], list) or any(not isinstance(job[name], bool) for name in _SWITCHES):
        raise TypeError("job: settings of another kind")
    settings = {
        **job,
        "dtype": Dtype(job["dtype"]),
        "vae_dtype": Dtype(job["vae_dtype"]),
        "optimizations": frozenset(map(Optimization, job["optimizations"])),
        "relative": Relative(job.get("relative", Relative.SONIC)),  # rows of 0.x have none
    }
    environment: dict[str, Any] = {name: parse(getattr(row, name)) for name, parse in _ENVIRONMENT.items()}
    predicted = json.loads(row.predicted, parse_constant=reject_json_constant)
    stages = json.loads(row.stages, parse_constant=reject_json_constant)
    return Run(
        id=row.id,
        started=_moment(row.started),
        job=Job(**settings),
        environment=RunEnvironment(**environment),
        predicted={stage: _bytes(size) for stage, size in predicted.items()},
        stages={stage: _figures(measured) for stage, measured in stages.items()},
        outcome=Outcome(row.outcome),
        stage=_text(row.stage),
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)  # SQLite stores no time zone


def _text(value: str) -> str:
    if not is_name(value):
        raise ValueError("a name that cannot be displayed")
    return value


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text[:40]!r} is not a number of bytes")
    return _bytes(int(text))


def _bytes(size: Any) -> int:
    if type(size) is not int or not 0 <= size <= MAX_RECORDED_BYTES:
        raise ValueError(f"{str(size)[:40]!r} is not a number of bytes")
    return size


def _seconds(seconds: Any) -> float:
    if type(seconds) not in (int, float) or not (math.isfinite(seconds) and 0 <= seconds <= MAX_S):
        raise ValueError(f"{str(seconds)[:40]!r} is not a number of seconds")
    return seconds


def _figures(measured: dict[str, Any]) -> StageFigures:
    figures: dict[str, Any] = {}
    for name, figure in measured.items():
        parse = _seconds if name == "seconds" else _bytes
        figures[name] = None if figure is None else parse(figure)
    return StageFigures(**figures)


_SWITCHES = ("interpolate", "to_file")
_ENVIRONMENT = {field.name: _whole if field.type is int else _text for field in fields(RunEnvironment)}
