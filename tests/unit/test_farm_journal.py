"""A farm's journal: each transition whole or not at all, one owner at a time, nothing twice."""

import multiprocessing
import os
import sqlite3
import time
from contextlib import closing

import pytest

from sonic_guard.errors import FarmError
from sonic_guard.park.journal import Journal
from sonic_guard.park.journal_tables import NewTask, Start, TaskState
from sonic_guard.park.outcomes import Ended, Outcome

SETTINGS = {"servers": ["http://127.0.0.1:8188"]}
START = Start("worker 1", "http://127.0.0.1:8188", "RTX 4090 24GB", 0, 1 << 30, 60.0)
DONE = Ended(Outcome.DONE, "", "digest", 5)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "farm.db"


@pytest.fixture
def journal(file):
    journal = Journal(file)
    journal.begin(SETTINGS)
    journal.add([NewTask("one", "video 1", {"n": 1}), NewTask("two", "video 2", {"n": 2})])
    return journal


def state(journal, task="one"):
    return next(row for row in journal.tasks() if row.task == task)


def test_what_is_known_stays_as_it_is(journal):
    journal.finish("one", journal.start("one", START), DONE, TaskState.DONE)
    again = [
        NewTask("one", "video 1", {"n": 9}),
        NewTask("one", "other name", {}),
        NewTask("three", "video 3", {"n": 3}),
    ]
    assert journal.add(again) == 1
    assert [row.task for row in journal.tasks()] == ["one", "two", "three"]
    assert (state(journal).state, state(journal).content, state(journal).names) == (
        TaskState.DONE, {"n": 1}, ("other name", "video 1"),
    )  # fmt: skip


def test_a_name_belongs_to_one_job(journal):
    with pytest.raises(FarmError, match="video 1 is another job's"):
        journal.add([NewTask("three", "new", {}), NewTask("four", "video 1", {})])
    assert len(journal.tasks()) == 2, "all or nothing"


ENDS = [
    (DONE, TaskState.DONE, 1),
    (Ended(Outcome.SERVER_FAILED, "no"), TaskState.WAITING, 1),
    (Ended(Outcome.OUT_OF_MEMORY, "oom", failure=(0, 8)), TaskState.WAITING, 1),
    (Ended(Outcome.LOST), TaskState.WAITING, 0),
    (Ended(Outcome.SERVER_DIED), TaskState.WAITING, 0),
    (Ended(Outcome.JOB_FAILED, "no face"), TaskState.FAILED, 1),
]


@pytest.mark.parametrize(("ended", "after", "tries"), ENDS)
def test_an_attempt_and_its_task_end_together(journal, ended, after, tries):
    journal.finish("one", journal.start("one", START), ended, after)
    row, [attempt] = state(journal), journal.attempts()
    assert (row.state, row.tries, row.reason, row.digest) == (after, tries, ended.text, ended.digest)
    assert row.failures == ((ended.failure,) if ended.failure else ())
    assert (attempt.outcome, attempt.server, attempt.ended is None) == (ended.outcome, START.server, False)


def test_a_task_is_begun_once_at_a_time(journal):
    journal.start("one", START)
    with pytest.raises(FarmError, match="not waiting"):
        journal.start("one", START)
    assert len(journal.attempts()) == 1


def test_what_is_over_is_not_over_again(journal):
    number = journal.start("one", START)
    journal.finish("one", number, DONE, TaskState.DONE)
    with pytest.raises(FarmError, match="not running"):
        journal.finish("one", number, Ended(Outcome.LOST), TaskState.WAITING)
    assert state(journal).state is TaskState.DONE


def test_what_was_running_waits_again_after_a_crash(file, journal):
    journal.start("one", START)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE sonic_guard_farms SET machine = 'elsewhere'")
    other = Journal(file)
    assert other.begin(wait_s=0.3) == SETTINGS
    assert other.recover() == 1
    assert (state(other).state, state(other).server) == (TaskState.WAITING, START.server)
    assert [each.outcome for each in other.attempts()] == [Outcome.LOST]


def test_a_client_that_was_replaced_writes_nothing_more(file, journal):
    other = Journal(file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE sonic_guard_farms SET machine = 'elsewhere'")
    other.begin(wait_s=0.3)
    for work in (
        journal.beat, lambda: journal.start("one", START), journal.recover, lambda: journal.redo([]),
        lambda: journal.settle("one", TaskState.FAILED, ""), lambda: journal.add([]),
    ):  # fmt: skip
        with pytest.raises(FarmError, match="another client has taken this farm over"):
            work()


def test_a_live_owner_keeps_its_farm(file, journal):
    """Its beat is compared with itself, so a clock that is years off changes nothing."""
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    journal.end()
    child = context.Process(target=_own, args=(file, ready, end))
    child.start()
    assert ready.wait(30)
    with pytest.raises(FarmError, match=f"another client drives this farm \\(process {child.pid} on"):
        journal.begin(wait_s=20)
    child.kill()
    child.join()
    begun = time.monotonic()
    journal.begin(wait_s=20)
    assert time.monotonic() - begun < 2, "of a process of this machine it is known that it is gone"


def _own(file, ready, end):
    journal = Journal(file)
    journal.begin(wait_s=0.1)
    while not end.wait(0.1):
        journal.beat()
        ready.set()


def test_anybody_may_ask_to_cancel(file, journal):
    assert not journal.beat()
    Journal(file).ask_to_cancel()
    assert journal.beat()
    journal.settle("one", TaskState.CANCELLED, "cancelled")
    assert journal.retry() == 1
    assert not journal.beat()


def test_jobs_that_are_added_to_a_cancelled_farm_are_made(file, journal):
    journal.ask_to_cancel()
    journal.settle("one", TaskState.CANCELLED, "cancelled")
    journal.end()
    again = Journal(file)
    again.begin()
    assert again.beat(), "going on with it is no wish to make more"
    again.end()
    again.begin(SETTINGS)
    again.add([NewTask("three", "video 3", {"n": 3})])
    assert not again.beat()
    assert [state(again, task).state for task in ("one", "three")] == [TaskState.CANCELLED, TaskState.WAITING]


def test_a_journal_of_another_version_is_refused(file, journal):
    journal.end()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE sonic_guard_farms SET version = 99")
    with pytest.raises(FarmError, match="it is of version 99, and this pack writes version 2"):
        Journal(file).begin()


def test_there_has_to_be_a_farm_to_resume(tmp_path):
    with pytest.raises(FarmError, match="no farm of that name"):
        Journal(tmp_path / "new.db").begin()


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FarmError, match="journal: the database cannot be used"):
        Journal(tmp_path / "farm.db")


@pytest.mark.parametrize("url", ["postgresql://u:secret@[/x", "nonsense", "x://secret@h/d"])
def test_a_wrong_url_shows_no_password(url):
    with pytest.raises(FarmError) as raised:
        Journal(url)
    assert "secret" not in str(raised.value)


def test_kills_at_random_moments_leave_every_transition_whole(file):
    """A task is running with an open attempt, or not running without one."""
    context = multiprocessing.get_context("fork")
    journal = Journal(file)
    journal.begin(SETTINGS)
    journal.add([NewTask(f"task {number}", f"video {number}", {}) for number in range(8)])
    journal.end()
    for number in range(6):
        child = context.Process(target=_work_for_ever, args=(file,))
        child.start()
        time.sleep(0.15 + 0.03 * number)
        child.kill()
        child.join()
        with closing(sqlite3.connect(file)) as connection:
            rows = connection.execute(
                "SELECT t.state, count(a.id) FROM sonic_guard_farm_tasks t LEFT JOIN sonic_guard_farm_attempts a "
                "ON a.task = t.task AND a.outcome IS NULL GROUP BY t.task"
            ).fetchall()
        assert all((name == "running") == (count == 1) for name, count in rows), rows
    journal.begin()
    journal.recover()
    assert all(attempt.outcome for attempt in journal.attempts())


def _work_for_ever(file):
    journal = Journal(file)
    journal.begin()
    journal.recover()
    while True:
        for row in journal.tasks():
            number = journal.start(row.task, START)
            journal.finish(row.task, number, Ended(Outcome.SERVER_FAILED), TaskState.WAITING)
