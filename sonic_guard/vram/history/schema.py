"""The table of runs, and the way between its rows and `Run`."""

import logging
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import JSON, BigInteger, Column, DateTime, Double, Index, Integer, MetaData, Row, Table, Text

from ...errors import JobError
from ...job import Dtype, Job, Lever
from ...run import Outcome, Place, Run, StageFigures

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).with_name("migrations")
"""Where the revisions are."""
REVISION = "0001"
"""The newest of them, which is the table below."""
VERSION_TABLE = "sonic_guard_version"
"""Where a database's own revision stands. The names let the tables live beside others in a server's database."""

METADATA = MetaData()
RUNS = Table(
    "sonic_guard_runs",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("started", DateTime(timezone=True), nullable=False),  # UTC
    Column("machine", Text, nullable=False),  # with pid and process_started: whose run it is
    Column("pid", BigInteger, nullable=False),
    Column("process_started", Double, nullable=False),  # seconds since 1970: a pid comes again, this does not
    Column("card", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("total_bytes", BigInteger, nullable=False),
    Column("available_bytes", BigInteger, nullable=False),
    Column("driver", Text, nullable=False),
    Column("torch", Text, nullable=False),
    Column("comfyui", Text, nullable=False),
    Column("wrapper", Text, nullable=False),
    Column("job", JSON, nullable=False),
    Column("predicted", JSON, nullable=False),  # bytes by stage
    Column("stages", JSON, nullable=False),  # figures by stage
    Column("outcome", Text, nullable=False),
    Column("stage", Text, nullable=False),
    sqlite_autoincrement=True,  # the id of a deleted run never comes again: somebody may still be writing to it
)
Index("sonic_guard_runs_card", RUNS.c.card)


def new_row(job: Job, place: Place, predicted: Mapping[str, int]) -> dict[str, Any]:
    """The columns of a run that begins now in this process."""
    process = psutil.Process()
    return {
        "started": datetime.now(UTC),
        "machine": platform.node(),
        "pid": process.pid,
        "process_started": process.create_time(),
        **asdict(place),
        "job": {field.name: getattr(job, field.name) for field in fields(job)} | {"levers": sorted(job.levers)},
        "predicted": dict(predicted),
        "stages": {},
        "outcome": str(Outcome.RUNNING),
        "stage": "",
    }


def figures(stages: Mapping[str, StageFigures]) -> dict[str, Any]:
    """What was measured by stage, as its column holds it."""
    return {stage: asdict(measured) for stage, measured in stages.items()}


def readable(rows: Iterable[Row[Any]]) -> list[Run]:
    """The runs of `rows`. One that this version cannot read, such as a newer version's, is passed over with a log."""
    runs = []
    for row in rows:
        try:
            runs.append(_run(row))
        except (JobError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("Run %s of the history is passed over; this version cannot read it: %s", row.id, error)
    return runs


def _run(row: Row[Any]) -> Run:
    started = row.started if row.started.tzinfo else row.started.replace(tzinfo=UTC)  # SQLite keeps no zone
    settings = {
        **row.job,
        "dtype": Dtype(row.job["dtype"]),
        "vae_dtype": Dtype(row.job["vae_dtype"]),
        "levers": frozenset(map(Lever, row.job["levers"])),
    }
    return Run(
        id=row.id,
        started=started.astimezone(UTC),
        job=Job(**settings),
        place=Place(**{field.name: getattr(row, field.name) for field in fields(Place)}),
        predicted=row.predicted,
        stages={stage: StageFigures(**measured) for stage, measured in row.stages.items()},
        outcome=Outcome(row.outcome),
        stage=row.stage,
    )
