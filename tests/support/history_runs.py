"""Runs to put into a history, and what other processes do with it: write, open, migrate, be killed."""

import shutil
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine

from sonic_guard.devices.environment import RunEnvironment
from sonic_guard.history.database import Database
from sonic_guard.history.history_store import History
from sonic_guard.history.run_record import Outcome, StageFigures
from sonic_guard.history.schema import MIGRATIONS
from sonic_guard.job import Dtype, Job
from sonic_guard.memory.stage_model import stage_bytes
from sonic_guard.optimizations import Optimization

JOB = Job(
    640,
    896,
    10.1,
    min_resolution=448,
    fps=12.0,
    dtype=Dtype.BF16,
    steps=17,
    dynamic_scale=1.1,
    expand_ratio=0.15,
    interpolate=False,
    optimizations=frozenset({Optimization.SEQUENTIAL_CFG, Optimization.FEED_FORWARD_CHUNKING}),
    chunk_size=1 << 24,
    vae_dtype=Dtype.FP32,
    to_file=True,
)
"""A job none of whose settings is a default."""
PREDICTED = stage_bytes(JOB)
ENVIRONMENT = RunEnvironment(
    card="NVIDIA GeForce RTX 4060",
    device="cuda",
    total_bytes=8_585_216_000,
    available_bytes=7_400_000_000,
    driver="580.95",
    torch="2.11.0+cu130",
    comfyui="0.33.0",
    wrapper="8556234 0f3a",
)
MEASURED = {
    "load": StageFigures(3_163_822_592, 3_200_000_000, 4_000_000_000, 5.25),
    "denoise": StageFigures(seconds=61.0),
}


def engine_for(location: str) -> Engine:
    """A connection to the same database without `History`."""
    return create_engine(location if "://" in location else URL.create("sqlite", database=location))


_NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade():
    op.add_column("sonic_guard_runs", sa.Column("mood", sa.Text, server_default="fine"))
"""


def with_a_new_column(folder: Path, then: str = "") -> Path:
    """The revisions of a version to come, in `folder`: it adds a column, and does what is asked then."""
    shutil.copytree(MIGRATIONS, folder)
    (folder / "versions" / "r0003_mood.py").write_text(f"{_NEXT}    {then}\n", encoding="utf-8")
    return folder


def begin(history: History, card: str = ENVIRONMENT.card, outcome: Outcome | None = None) -> int:
    """A run on `card`, ended with `outcome` if there is one."""
    environment = RunEnvironment(card=card, wrapper=ENVIRONMENT.wrapper)
    run_id = history.begin(JOB, environment, PREDICTED)
    if outcome is not None:
        history.finish(run_id, outcome, "", MEASURED)
    return run_id


def write_runs(location: str, pipe: Any, barrier: Any, runs: int) -> None:
    """In a process of its own: write whole runs, and report each id once it is on the disk."""
    history = History(location)
    barrier.wait(60)
    for _ in range(runs):
        pipe.send(begin(history, outcome=Outcome.DONE))
    pipe.close()


def write_forever(location: str, pipe: Any) -> None:
    """In a process of its own, until it is killed: write runs, and report every step once it is on the disk."""
    history = History(location)
    while True:
        run_id = begin(history)
        pipe.send((run_id, Outcome.RUNNING, ""))
        history.update(run_id, MEASURED, "denoise")
        pipe.send((run_id, Outcome.RUNNING, "denoise"))
        history.finish(run_id, Outcome.DONE, "", MEASURED)
        pipe.send((run_id, Outcome.DONE, ""))


def open_each(locations: list[str], barrier: Any) -> None:
    """In a process of its own: begin a run at each location, all processes at the same moment."""
    for location in locations:
        barrier.wait(60)
        begin(History(location))


def bring_up_to_date(location: str, revisions: Path, barrier: Any) -> None:
    """In a process of its own: migrate the database, all processes at the same moment."""
    barrier.wait(60)
    Database(location, existing=False, busy_s=10).update(revisions)


def write_until_it_fails(location: str, pipe: Any, file_bytes: int | None) -> None:
    """In a process of its own, with files limited to `file_bytes`: write runs until that fails, and report how."""
    if file_bytes is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    history, ids = History(location), []
    try:
        while True:
            ids.append(begin(history, outcome=Outcome.DONE))
    except Exception as error:  # noqa: BLE001 - its kind is what the test asks
        pipe.send((type(error).__name__, str(error), ids))


def begin_and_leave(location: str, pipe: Any) -> None:
    """In a process of its own: begin a run and exit without ending it."""
    pipe.send(begin(History(location)))
