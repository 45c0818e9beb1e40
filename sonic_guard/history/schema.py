"""The table of runs, and the values written to its rows; `run_rows` reads them."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import JSON, BigInteger, Column, DateTime, Double, Index, Integer, MetaData, Table, Text

from ..devices.environment import RunEnvironment
from ..job import Job
from .run_record import Outcome, StageFigures

MIGRATIONS = Path(__file__).with_name("migrations")
"""Folder of the revisions."""
REVISION = "0002"
"""The newest revision, which corresponds to the table below."""
VERSION_TABLE = "sonic_guard_version"
"""The table with a database's revision. The prefix keeps our tables apart from others in a server's database."""

METADATA = MetaData()
RUNS = Table(
    "sonic_guard_runs",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("started", DateTime(timezone=True), nullable=False),  # UTC
    Column("machine", Text, nullable=False),  # with pid and process_started: identifies the run's process
    Column("pid", BigInteger, nullable=False),
    Column("process_started", Double, nullable=False),  # seconds since 1970, because a pid may be reused
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
    sqlite_autoincrement=True,  # ids are not reused: the process of a deleted run may still write to it
)
Index("sonic_guard_runs_card", RUNS.c.card, RUNS.c.id)  # for a card's newest runs, and for the list of cards


def new_row(job: Job, environment: RunEnvironment, predicted: Mapping[str, int]) -> dict[str, Any]:
    """The columns of a run that begins now in this process."""
    process = psutil.Process()
    return {
        "started": datetime.now(UTC),
        "machine": platform.node(),
        "pid": process.pid,
        "process_started": process.create_time(),
        **asdict(environment),
        "job": {field.name: getattr(job, field.name) for field in fields(job)}
        | {"optimizations": sorted(job.optimizations)},
        "predicted": dict(predicted),
        "stages": {},
        "outcome": str(Outcome.RUNNING),
        "stage": "",
    }


def figures(stages: Mapping[str, StageFigures]) -> dict[str, Any]:
    """The measured figures by stage, as the column's JSON."""
    return {stage: asdict(measured) for stage, measured in stages.items()}
