"""Rows that cannot be read: each is left out, counted and reported, and does not affect the others."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from sonic_guard.history.export import csv_parts
from sonic_guard.history.history_cache import HistoryCache
from sonic_guard.history.history_store import PAGE_RUNS, History
from sonic_guard.history.run_record import Outcome
from sonic_guard.history.run_rows import MAX_RECORDED_BYTES
from sonic_guard.history.schema import RUNS
from sonic_guard.preview.answer import run_dict
from tests.support.history_runs import ENVIRONMENT, begin, engine_for
from tests.support.postgres_server import schema


def put(location, run_id, **columns):
    """Write values into columns without any check."""
    with engine_for(location).begin() as connection:
        for name, value in columns.items():
            kind = RUNS.c[name].type.compile(connection.dialect)
            as_is = ":value" if connection.dialect.name == "sqlite" else f"cast(cast(:value as text) as {kind})"
            change = f"UPDATE sonic_guard_runs SET {name} = {as_is} WHERE id = :id"  # noqa: S608 - our own names
            connection.execute(text(change), {"value": value, "id": run_id})


def job_with(location, run_id, **more):
    with engine_for(location).connect() as connection:
        return json.dumps(connection.execute(RUNS.select().where(RUNS.c.id == run_id)).one().job | more)


ANYWHERE = [
    {"job": "[]"},
    {"job": "null"},
    {"job": '"job"'},
    {"job": "{}"},
    {"job": '{"width": ' + "9" * 5000 + "}"},
    {"job": '{"x": "' + "x" * 70_000 + '"}'},
    {"predicted": "[1]"},
    {"predicted": "5"},
    {"predicted": '{"denoise": -1}'},
    {"predicted": '{"denoise": 1.5}'},
    {"predicted": '{"denoise": 1e999}'},
    {"predicted": '{"denoise": true}'},
    {"predicted": '{"denoise": null}'},
    {"predicted": '{"denoise": "12"}'},
    {"predicted": f'{{"denoise": {MAX_RECORDED_BYTES + 1}}}'},
    {"predicted": f'{{"denoise": {10**400}}}'},
    {"stages": "[[]]"},
    {"stages": '{"denoise": 5}'},
    {"stages": '{"denoise": []}'},
    {"stages": '{"denoise": {"warmth": 3}}'},
    {"stages": '{"denoise": {"reserved_bytes": "many"}}'},
    {"stages": '{"denoise": {"reserved_bytes": -5}}'},
    {"stages": '{"denoise": {"reserved_bytes": 1e300}}'},
    {"stages": '{"denoise": {"seconds": -1}}'},
    {"stages": '{"denoise": {"seconds": 1e999}}'},
    {"stages": '{"denoise": {"seconds": false}}'},
    {"stages": f'{{"denoise": {{"seconds": {10**400}}}}}'},
    {"outcome": "ascended"},
    {"outcome": ""},
    {"total_bytes": "-1"},
    {"available_bytes": str((1 << 63) - 1)},
]
ONLY_IN_A_FILE = [
    {"job": "{"},
    {"job": "[" * 30_000 + "]" * 30_000},
    {"job": ""},
    {"job": b"\xff\xfe\x00"},
    {"job": 5},
    {"predicted": '{"denoise": NaN}'},
    {"stages": '{"denoise": {"seconds": Infinity}}'},
    {"stages": "{'denoise': {}}"},
    {"started": "2026-13-45 00:00:00"},
    {"started": "yesterday"},
    {"started": 5},
    {"started": b"\xff"},
    {"started": "0001-01-01 00:00:00+23:00"},
    {"total_bytes": "many"},
    {"total_bytes": 1.5},
    {"available_bytes": 1e30},
    {"available_bytes": b"\x01"},
    {"card": b"\xff\xfe"},
    {"driver": b"580\xff"},
    {"stage": b"\xff"},
    {"outcome": 7},
]
SETTINGS = [
    {"width": 0}, {"width": 1.5}, {"width": "512"}, {"width": None}, {"width": True}, {"width": 10**400},
    {"duration_s": 10**400}, {"duration_s": 1e999}, {"duration_s": "long"}, {"duration_s": 0},
    {"dtype": "fp4"}, {"dtype": []}, {"vae_dtype": None}, {"optimizations": "feed_forward_chunking"},
    {"optimizations": {"feed_forward_chunking": 1}}, {"optimizations": [[]]},
    {"optimizations": None}, {"interpolate": "no"}, {"to_file": 1}, {"colour": "blue"}, {"chunk_size": -1}, {"fps": {}},
]  # fmt: skip


def holds_but_one(location, caplog):
    """That everything works on the other runs."""
    history = History(location)
    page = history.page()
    assert ([run.id for run in page.runs], page.unreadable, page.before) == ([3, 1], 1, None)
    assert [run.id for run in history.runs()] == [3, 1]
    assert "Run 2: " in caplog.text
    assert len(caplog.records) == 1, "once is enough"
    json.dumps(list(map(run_dict, page.runs)), allow_nan=False)
    assert "".join(csv_parts(history.pages())).count("\r\n") == 3
    assert ENVIRONMENT.card in history.cards()
    known = HistoryCache(lambda: history, glance_s=30.0)
    assert known.of(ENVIRONMENT.card).last(page.runs[0].job).id == 3
    assert "from the model alone" not in caplog.text
    history.sweep()
    assert history.clear() == 3


def three_runs(location):
    for _ in range(3):
        begin(History(location), outcome=Outcome.DONE)


@pytest.mark.parametrize("columns", ANYWHERE, ids=lambda given: str(given)[:50])
def test_a_row_that_cannot_be_read_is_left_out_and_counted(location, columns, caplog):
    three_runs(location)
    put(location, 2, **columns)
    holds_but_one(location, caplog)


@pytest.mark.parametrize("columns", ONLY_IN_A_FILE, ids=lambda given: str(given)[:50])
def test_sqlite_keeps_what_a_server_would_refuse(tmp_path, columns, caplog):
    location = str(tmp_path / "history.db")
    three_runs(location)
    put(location, 2, **columns)
    holds_but_one(location, caplog)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda given: str(given)[:50])
def test_settings_that_no_run_has(tmp_path, setting, caplog):
    location = str(tmp_path / "history.db")
    three_runs(location)
    put(location, 2, job=job_with(location, 2, **setting))
    holds_but_one(location, caplog)


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "0044-03-15 12:00:00 BC", "20000-01-01"])
def test_moments_that_only_postgresql_knows(moment, caplog, postgres):
    with schema(postgres) as location:
        three_runs(location)
        put(location, 2, started=moment)
        holds_but_one(location, caplog)


def test_how_a_server_writes_dates_does_not_matter(postgres):
    with schema(postgres) as location:
        three_runs(location)
        before = [run.started for run in History(location).runs()]
        with engine_for(location).begin() as connection:
            name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET datestyle TO 'SQL, DMY'")
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET timezone TO 'Asia/Kathmandu'")
        try:
            assert [run.started for run in History(location).runs()] == before
        finally:
            with engine_for(location).begin() as connection:
                connection.exec_driver_sql(f"ALTER DATABASE {name} RESET ALL")


@pytest.mark.parametrize(
    "columns", [{"pid": "abc"}, {"pid": 1 << 62}, {"pid": -1}, {"process_started": "then"}], ids=str
)
def test_a_run_under_way_of_a_process_that_cannot_be(tmp_path, columns):
    history = History(tmp_path / "history.db")
    begin(history)
    put(str(tmp_path / "history.db"), 1, **columns)
    assert history.sweep() == [1]
    assert [run.outcome for run in history.runs()] == [Outcome.KILLED]


def test_a_table_of_versions_with_two_rows(tmp_path):
    from sonic_guard.errors import HistoryError

    begin(History(tmp_path / "history.db"))
    with closing(sqlite3.connect(tmp_path / "history.db")) as file, file:
        file.execute("UPDATE sonic_guard_version SET version_num = '0001'")
        file.execute("INSERT INTO sonic_guard_version VALUES ('0000')")
    with pytest.raises(HistoryError, match="sonic_guard_version is damaged"):
        History(tmp_path / "history.db").runs()


def test_a_card_whose_name_is_a_book_is_no_card(location):
    history = History(location)
    known, torn = begin(history), begin(history)
    put(location, torn, card="x" * 200_000)
    page = history.page()
    assert ([run.id for run in page.runs], page.unreadable) == ([known], 1)
    assert history.cards() == [page.runs[0].environment.card]


def test_all_pages_together_are_all_runs(location):
    history = History(location)
    ids = [begin(history, card=f"card {number % 2}") for number in range(7)][::-1]
    put(location, ids[2], outcome="ascended")
    first = history.page(limit=3)
    assert ([run.id for run in first.runs], first.unreadable, first.before) == (ids[:2], 1, ids[2])
    second = history.page(limit=3, before=first.before)
    assert ([run.id for run in second.runs], second.unreadable, second.before) == (ids[3:6], 0, ids[5])
    last = history.page(limit=3, before=second.before)
    assert ([run.id for run in last.runs], last.before) == (ids[6:], None)
    assert history.page(limit=7).before is None
    assert [run.id for run in history.page("card 1", before=ids[1]).runs] == [4, 2]
    assert [len(page.runs) for page in history.pages(limit=5)] == [4]


def test_more_than_a_page_comes_in_pages(tmp_path):
    history = History(tmp_path / "history.db")
    begin(history, outcome=Outcome.DONE)
    with engine_for(str(tmp_path / "history.db")).begin() as connection:
        names = ", ".join(RUNS.c.keys()[1:])
        copy = f"INSERT INTO sonic_guard_runs ({names}) SELECT {names} FROM sonic_guard_runs"  # noqa: S608
        for _ in range(10):
            connection.exec_driver_sql(copy)
    assert [len(page.runs) for page in history.pages()] == [PAGE_RUNS, PAGE_RUNS, 24]
    assert [run.id for run in history.runs()] == list(range(1024, 0, -1))
    assert [run.id for run in history.runs(limit=600)] == list(range(1024, 424, -1))


def test_an_index_serves_a_card_in_its_order(tmp_path):
    begin(History(tmp_path / "history.db"))
    with closing(sqlite3.connect(tmp_path / "history.db")) as file:
        query = "SELECT * FROM sonic_guard_runs WHERE card = 'x' AND id < 5 ORDER BY id DESC LIMIT 3"
        (plan,) = file.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
    assert "sonic_guard_runs_card" in plan[3]
    assert "card=?" in plan[3]


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8)
figures = st.dictionaries(
    st.sampled_from(["load", "predata", "denoise", "decode", "interpolate", "x"]),
    st.integers(0, MAX_RECORDED_BYTES) | st.sampled_from([0, 1, MAX_RECORDED_BYTES]),
)
measured = st.dictionaries(
    st.sampled_from(["load", "predata", "denoise", "decode", "interpolate", "x"]),
    st.fixed_dictionaries({}, optional={
        "allocated_bytes": st.integers(0, MAX_RECORDED_BYTES),
        "reserved_bytes": st.integers(0, MAX_RECORDED_BYTES) | st.none(),
        "device_bytes": st.none(), "seconds": st.floats(0, 1e9) | st.none(),
    }),
)  # fmt: skip
columns = st.one_of(
    st.fixed_dictionaries({}, optional={
        "predicted": figures.map(json.dumps), "stages": measured.map(json.dumps),
        "outcome": st.sampled_from(list(map(str, Outcome))), "stage": st.sampled_from(["", "load", "denoise", "y"]),
        "available_bytes": st.integers(0, MAX_RECORDED_BYTES),
    }),
    st.dictionaries(st.sampled_from([column.name for column in RUNS.c if column.name != "id"]), values, max_size=3),
)  # fmt: skip


@pytest.fixture(scope="module")
def three_in_a_file(tmp_path_factory):
    """A history of three runs, to be copied."""
    file = tmp_path_factory.mktemp("three") / "history.db"
    three_runs(str(file))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


@settings(max_examples=100, deadline=None)
@given(columns=columns)
def test_no_value_in_any_column_stops_what_reads_it(three_in_a_file, tmp_path_factory, columns):
    location = str(shutil.copy(three_in_a_file, tmp_path_factory.mktemp("rows")))
    try:
        put(location, 2, **columns)
    except Exception as error:
        if any(name in str(error) for name in ("NOT NULL", "too large", "surrogates")):
            return  # no file holds that
        raise
    history, failed = History(location), []
    page = history.page()
    assert len(page.runs) + page.unreadable == 3
    json.dumps(list(map(run_dict, page.runs)), allow_nan=False)
    "".join(csv_parts(history.pages())).encode()
    for card in history.cards():
        known = HistoryCache(lambda: history, glance_s=30.0)
        card_history = known.of(card)
        failed += [known._failed_s] if known._failed_s is not None else []
        json.dumps([card_history.calibration.median_error, card_history.calibration.upper_factor], allow_nan=False)
    assert failed == []
    history.sweep()
