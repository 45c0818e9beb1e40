"""Several processes at one history, and processes that are killed in the middle of it."""

import sqlite3
import time
from contextlib import closing

import numpy as np
import pytest

from sonic_guard.history.history_store import History
from sonic_guard.history.run_record import Outcome
from tests.support.history_runs import (
    MEASURED,
    begin,
    bring_up_to_date,
    engine_for,
    open_each,
    with_a_new_column,
    write_forever,
    write_runs,
)
from tests.support.processes import PROCESSES

WRITERS, RUNS_EACH = 6, 15
KILLS = 40
STEPS = [(Outcome.RUNNING, ""), (Outcome.RUNNING, "denoise"), (Outcome.DONE, "")]


def is_sound(location):
    if "://" in location:
        return True  # the server's own affair
    with closing(sqlite3.connect(location)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def reports(receive):
    """All that a process has reported, up to its end."""
    try:
        while True:
            yield receive.recv()
    except EOFError:
        receive.close()


def start(target, *arguments):
    """A process and the end of a pipe on which it reports."""
    receive, send = PROCESSES.Pipe(duplex=False)
    child = PROCESSES.Process(target=target, args=(arguments[0], send, *arguments[1:]))
    child.start()
    send.close()
    return child, receive


def test_several_processes_write_at_once_to_a_new_history(location):
    barrier = PROCESSES.Barrier(WRITERS)
    children = [start(write_runs, location, barrier, RUNS_EACH) for _ in range(WRITERS)]
    ids = [run_id for _, receive in children for run_id in reports(receive)]
    for child, _ in children:
        child.join()
    assert len(set(ids)) == WRITERS * RUNS_EACH
    assert {run.id: run.outcome for run in History(location).runs()} == dict.fromkeys(ids, Outcome.DONE)
    assert is_sound(location)


@pytest.mark.parametrize("damage", [None, b"no database" * 999], ids=["new", "damaged"])
def test_several_processes_open_at_the_same_moment(tmp_path, damage):
    files = [tmp_path / str(number) / "history.db" for number in range(8)]
    for file in files if damage else ():
        file.parent.mkdir()
        file.write_bytes(damage)
    barrier = PROCESSES.Barrier(WRITERS)
    children = [PROCESSES.Process(target=open_each, args=(list(map(str, files)), barrier)) for _ in range(WRITERS)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * WRITERS
    for file in files:
        assert len(History(file).runs()) == WRITERS
        aside = list(file.parent.glob("*.damaged-*"))
        assert [path.read_bytes() for path in aside] == ([damage] if damage else [])


def test_several_processes_bring_an_old_history_up_to_date_at_the_same_moment(location, tmp_path):
    begin(History(location))
    folder, barrier = with_a_new_column(tmp_path / "next"), PROCESSES.Barrier(WRITERS)
    children = [PROCESSES.Process(target=bring_up_to_date, args=(location, folder, barrier)) for _ in range(WRITERS)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * WRITERS
    with engine_for(location).connect() as connection:
        assert connection.exec_driver_sql("SELECT mood FROM sonic_guard_runs").all() == [("fine",)]
        assert connection.exec_driver_sql("SELECT version_num FROM sonic_guard_version").all() == [("0003",)]


def test_a_killed_process_loses_at_most_the_row_it_was_writing(location):
    moments = np.random.default_rng(3)
    reported, last_steps = {}, set()
    for killed in range(1, KILLS + 1):
        child, receive = start(write_forever, location)
        first = [receive.recv() for _ in range(moments.integers(1, 8))]
        time.sleep(moments.uniform(0, 0.01))
        child.kill()
        child.join()
        for run_id, *state in (*first, *reports(receive)):
            reported[run_id] = STEPS.index(tuple(state))
        last_steps.add(reported[max(reported)])
        runs = {run.id: run for run in History(location).runs()}
        stored = {run_id: STEPS.index((run.outcome, run.stage)) for run_id, run in runs.items()}
        lost = [run_id for run_id, step in reported.items() if stored.get(run_id, -1) < step]
        assert lost == [], "a reported run is missing"
        assert len(runs.keys() - reported.keys()) <= killed, "more than one unreported run per killed process"
        assert all(dict(run.stages) == (MEASURED if stored[run.id] else {}) for run in runs.values())
        assert is_sound(location)
    under_way = {run.id for run in History(location).runs() if run.outcome is Outcome.RUNNING}
    assert set(History(location).sweep()) == under_way
    assert len(last_steps) > 1, "the processes were not killed at all kinds of moments; the test tests little"


def test_a_process_killed_while_it_makes_the_file_leaves_nothing_that_hinders(tmp_path):
    moments = np.random.default_rng(5)
    began = set()
    for number in range(KILLS // 2):
        file = tmp_path / f"{number}.db"
        child, receive = start(write_forever, str(file))
        while not (tmp_path / f"{number}.db.lock").exists():
            assert child.is_alive()
        time.sleep(moments.uniform(0, 0.03))
        child.kill()
        child.join()
        runs = len({run_id for run_id, *_ in reports(receive)})
        began.add(runs)
        begin(History(file))
        assert runs + 1 <= len(History(file).runs()) <= runs + 2
        assert is_sound(str(file))
        assert not list(tmp_path.glob("*.damaged-*"))
    assert 0 in began, "no process was killed while it made the file; the test tests little"
