"""The history of runs: what is written is read back, on SQLite and on PostgreSQL."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select, update

from sonic_guard.devices.environment import RunEnvironment
from sonic_guard.errors import HistoryError
from sonic_guard.history.database import VARIABLE
from sonic_guard.history.history_store import PAGE_RUNS, History, history_location
from sonic_guard.history.run_record import Outcome, StageFigures
from sonic_guard.history.schema import METADATA, MIGRATIONS, REVISION, RUNS, VERSION_TABLE
from sonic_guard.job import Job
from sonic_guard.memory.stage_model import stage_bytes
from sonic_guard.relatives import Relative
from tests.support.history_runs import (
    ENVIRONMENT,
    JOB,
    MEASURED,
    PREDICTED,
    begin,
    begin_and_leave,
    engine_for,
)
from tests.support.processes import PROCESSES


@pytest.fixture
def sqlite_location(tmp_path):
    return str(tmp_path / "user files" / "50 % sonic?.db")


@pytest.fixture
def history(location):
    return History(location)


def test_a_run_comes_back_as_it_was(history):
    before = datetime.now(UTC)
    run_id = history.begin(JOB, ENVIRONMENT, PREDICTED)
    history.update(run_id, {"load": MEASURED["load"]}, "denoise")
    (run,) = history.runs()
    assert (run.id, run.outcome, run.stage, dict(run.stages)) == (
        run_id, Outcome.RUNNING, "denoise", {"load": MEASURED["load"]},
    )  # fmt: skip
    history.finish(run_id, Outcome.OUT_OF_MEMORY, "denoise", MEASURED)
    (run,) = history.runs()
    assert (run.job, run.environment, dict(run.predicted), dict(run.stages)) == (JOB, ENVIRONMENT, PREDICTED, MEASURED)
    assert (run.outcome, run.stage) == (Outcome.OUT_OF_MEMORY, "denoise")
    assert before <= run.started <= datetime.now(UTC)
    assert run.started.utcoffset() == timedelta(0)


def test_no_setting_of_the_test_job_is_a_default():
    plain = Job(JOB.width, JOB.height, JOB.duration_s)
    same = [field.name for field in fields(Job) if getattr(plain, field.name) == getattr(JOB, field.name)]
    assert same == ["width", "height", "duration_s", "relative"]


def test_a_run_of_a_relative_is_read_as_one(history):
    job = Job(640, 896, 10.1, min_resolution=448, relative=Relative.DICE_TALK)
    history.finish(history.begin(job, ENVIRONMENT, PREDICTED), Outcome.DONE, "", MEASURED)
    (run,) = history.runs()
    assert run.job == job


def test_the_newest_runs_of_a_relative_are_found_behind_those_of_another(location, history):
    """A run of 0.x, whose job names no relative, is one of Sonic."""
    dice = replace(JOB, relative=Relative.DICE_TALK)
    sonic, first, old, *others = (history.begin(job, ENVIRONMENT, PREDICTED) for job in (JOB, dice, JOB, *[dice] * 5))
    engine = engine_for(location)
    with engine.begin() as connection:
        job = connection.execute(select(RUNS.c.job).where(RUNS.c.id == old)).scalar_one()
        del job["relative"]
        connection.execute(update(RUNS).where(RUNS.c.id == old).values(job=job))
    engine.dispose()

    def found(relative, limit=None):
        return [run.id for run in history.runs(ENVIRONMENT.card, limit=limit, relative=relative)]

    assert found(Relative.SONIC, 2) == [old, sonic]
    assert found(Relative.DICE_TALK, 2) == others[:2:-1]
    assert found(Relative.DICE_TALK) == [*others[::-1], first]
    assert len(found(None)) == 8
    assert len(list(history.pages(limit=PAGE_RUNS, relative=Relative.SONIC))) == 1


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.ERROR, Outcome.INTERRUPTED, Outcome.OUT_OF_MEMORY])
def test_what_has_ended_stays_as_it_is(history, outcome):
    run_id = begin(history, outcome=outcome)
    history.update(run_id, {}, "decode")
    (run,) = history.runs()
    assert (run.outcome, run.stage, dict(run.stages)) == (outcome, "", MEASURED)


def test_newest_first_by_card_and_wrapper_and_no_more_than_asked_for(history):
    ids = {}
    for card, wrapper in (("A", "1"), ("B", "1"), ("A", "2"), ("A", "1")):
        ids.setdefault((card, wrapper), []).append(history.begin(JOB, RunEnvironment(card, wrapper=wrapper), PREDICTED))
    everything = sorted(sum(ids.values(), []), reverse=True)

    def found(**which):
        return [run.id for run in history.runs(**which)]

    assert found() == everything
    assert found(limit=2) == everything[:2]
    assert found(card="A", wrapper="1") == ids["A", "1"][::-1]
    assert found(card="A", limit=1) == [ids["A", "1"][1]]
    assert found(wrapper="2") == ids["A", "2"]
    assert found(card="C") == []
    assert history.cards() == ["A", "B"]


def test_deleting(history):
    a, b, c, d = (begin(history, card) for card in "AABC")
    assert history.delete([a, 10**9]) == 1
    assert history.delete([]) == 0
    assert history.delete_card("B") == 1
    assert [run.id for run in history.runs()] == [d, b]
    assert history.clear() == 2
    assert (history.runs(), history.cards()) == ([], [])
    assert c


def test_the_id_of_a_deleted_run_is_never_given_again(history):
    gone = begin(history)
    history.clear()
    new = begin(history)
    assert new > gone
    history.finish(gone, Outcome.DONE, "", MEASURED)
    assert [run.outcome for run in history.runs()] == [Outcome.RUNNING]


def test_a_run_whose_process_went_away_was_killed(location, history):
    here, (receive, send) = begin(history), PROCESSES.Pipe(duplex=False)
    child = PROCESSES.Process(target=begin_and_leave, args=(location, send))
    child.start()
    there = receive.recv()
    child.join()
    assert history.sweep() == [there]
    assert {run.id: run.outcome for run in history.runs()} == {here: Outcome.RUNNING, there: Outcome.KILLED}
    assert history.sweep() == []


@pytest.mark.parametrize(
    ("column", "value", "swept"),
    [
        ("process_started", 0.0, True),  # the number of a process that is gone was given to another one
        ("machine", "another", False),  # its processes cannot be seen from here
        ("outcome", "done", False),
    ],
)
def test_whose_run_it_is_decides_what_is_swept(location, history, column, value, swept):
    run_id = begin(history)
    with engine_for(location).begin() as connection:
        connection.execute(update(RUNS).values({column: value}))
    assert history.sweep() == [run_id] * swept


def test_a_run_marked_as_killed_that_continues_is_running(location, history):
    run_id = begin(history)
    with engine_for(location).begin() as connection:
        connection.execute(update(RUNS).values(outcome="killed"))
    history.update(run_id, {}, "decode")
    assert [run.outcome for run in history.runs()] == [Outcome.RUNNING]


@pytest.mark.parametrize(
    "newer",
    [
        {"job": {"optimizations": ["telepathy"]}},
        {"job": {"colour": "blue"}},
        {"stages": {"load": {"warmth": 3}}},
        {"outcome": "ascended"},
    ],
    ids=str,
)
def test_a_row_of_a_newer_version_is_ignored(location, history, newer, caplog):
    unsupported, plain = begin(history), begin(history)
    (row,) = [run for run in history.runs() if run.id == unsupported]
    job = {field.name: getattr(row.job, field.name) for field in fields(Job)} | {"optimizations": []}
    values = {key: job | value if key == "job" else value for key, value in newer.items()}
    with engine_for(location).begin() as connection:
        connection.execute(update(RUNS).where(RUNS.c.id == unsupported).values(values))
    assert [run.id for run in history.runs()] == [plain]
    assert f"Run {unsupported}" in caplog.text


def test_nothing_of_the_user_is_kept(history, location):
    """Names and numbers of the machine and its software, settings, bytes and seconds; no file, no text, no picture."""
    history.finish(history.begin(JOB, ENVIRONMENT, PREDICTED), Outcome.DONE, "", MEASURED)
    assert set(RUNS.c.keys()) == {
        "id", "started", "machine", "pid", "process_started", "card", "device", "total_bytes", "available_bytes",
        "driver", "torch", "comfyui", "wrapper", "job", "predicted", "stages", "outcome", "stage",
    }  # fmt: skip
    with engine_for(location).connect() as connection:
        row = connection.execute(RUNS.select()).one()
    assert set(row.job) == {
        "width", "height", "duration_s", "min_resolution", "fps", "dtype", "steps", "dynamic_scale", "expand_ratio",
        "interpolate", "optimizations", "chunk_size", "vae_dtype", "to_file", "relative",
    }  # fmt: skip
    assert row.predicted.keys() == stage_bytes(JOB).keys()
    assert {key for stage in row.stages.values() for key in stage} == {field.name for field in fields(StageFigures)}


def test_the_revisions_lead_to_the_table(history, location):
    history.runs()
    with engine_for(location).connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == REVISION
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == REVISION


def test_it_writes_ahead(tmp_path):
    begin(History(tmp_path / "h.db"))
    with closing(sqlite3.connect(tmp_path / "h.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_nothing_happens_before_the_first_call(tmp_path):
    History(tmp_path / "none" / "h.db")
    History("postgresql+psycopg://user@192.0.2.1/none")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["sonic_guard", "sonic_guard.cli", "sonic_guard.history.calibration"])
def test_importing_the_library_does_not_load_the_database(module):
    code = f"import sys, {module}; sys.exit(bool({{'sqlalchemy', 'alembic'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_where_the_history_is(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert history_location(tmp_path) == tmp_path
    with pytest.raises(HistoryError, match=r"user/sonic_guard/history\.db"):
        history_location()
    monkeypatch.setenv(VARIABLE, "postgresql+psycopg://server/runs")
    assert history_location(tmp_path) == history_location() == os.environ[VARIABLE]
