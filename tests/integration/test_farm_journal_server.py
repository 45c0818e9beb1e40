"""A farm's journal on a PostgreSQL server: several farms, and clients of several machines."""

import threading

import pytest
from sqlalchemy import create_engine, text

from sonic_guard.errors import FarmError
from sonic_guard.park.journal import Journal
from sonic_guard.park.journal_tables import NewTask, Start, TaskState
from sonic_guard.park.outcomes import Ended, Outcome
from tests.support import postgres_server

START = Start("worker 1", "http://127.0.0.1:8188", "RTX 4090 24GB", 0, 1 << 40, 60.0)
JOBS = [NewTask("one", "video 1", {"n": 1}), NewTask("two", "video 2", {"n": 2})]


@pytest.fixture
def url(postgres):
    with postgres_server.schema(postgres) as location:
        yield location


def test_two_farms_in_one_database_do_not_meet(url):
    first, second = Journal(url, "/videos/a"), Journal(url, "/videos/b")
    for journal in (first, second):
        journal.begin({"servers": []})
        assert journal.add(JOBS) == 2
    first.finish("one", first.start("one", START), Ended(Outcome.DONE, "", "digest", 1 << 40), TaskState.DONE)
    assert [row.state for row in first.tasks()] == [TaskState.DONE, TaskState.WAITING]
    assert [row.state for row in second.tasks()] == [TaskState.WAITING, TaskState.WAITING]
    assert (first.attempts()[0].predicted_bytes, second.attempts()) == (1 << 40, [])
    assert first.counts()[TaskState.DONE] == 1


def test_of_clients_that_take_a_farm_over_at_once_one_gets_it(url):
    Journal(url).begin({"servers": []})
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE sonic_guard_farms SET machine = 'gone'"))
    journals, ended = [Journal(url) for _ in range(5)], []

    def take(journal):
        try:
            journal.begin(wait_s=0.5)
            ended.append(journal)
        except FarmError:
            ended.append(None)

    threads = [threading.Thread(target=take, args=(journal,)) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [owner] = [each for each in ended if each]
    assert not owner.beat()


def test_a_client_that_was_replaced_writes_nothing_more(url):
    first = Journal(url)
    first.begin({"servers": []})
    first.add(JOBS)
    first.start("one", START)
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE sonic_guard_farms SET machine = 'gone'"))
    second = Journal(url)
    second.begin(wait_s=0.3)
    assert second.recover() == 1
    with pytest.raises(FarmError, match="another client has taken this farm over"):
        first.start("two", START)
    assert second.start("one", START) == 2
