"""What can be wrong with the file of a history: damaged, foreign, newer, read-only, full, locked, not there."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import inspect

from sonic_guard.errors import HistoryError
from sonic_guard.history.database import Database
from sonic_guard.history.history_store import History
from sonic_guard.history.run_record import Outcome
from sonic_guard.history.schema import RUNS
from tests.support.history_runs import begin, engine_for, with_a_new_column, write_until_it_fails
from tests.support.processes import PROCESSES


@pytest.fixture
def file(tmp_path):
    return tmp_path / "history.db"


def damaged(file):
    return sorted(file.parent.glob(f"{file.name}.damaged-*"))


def no_database(file):
    file.write_text("a shopping list, " * 1000, encoding="utf-8")


def a_torn_page(file):
    """The page with the runs is overwritten; the first one, which has the file's format, stays."""
    with file.open("r+b") as data:
        data.seek(4096)
        data.write(os.urandom(file.stat().st_size - 4096))


def half_of_it(file):
    os.truncate(file, file.stat().st_size // 2 + 77)


@pytest.mark.parametrize("damage", [no_database, a_torn_page, half_of_it])
@pytest.mark.parametrize("first", ["read", "write"])
def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(file, damage, first, caplog):
    for _ in range(40):
        begin(History(file))
    damage(file)
    content = file.read_bytes()
    history = History(file)
    if first == "read":
        assert history.runs() == []
        begin(history)
    else:
        begin(history)
    assert len(history.runs()) == 1
    (aside,) = damaged(file)
    assert aside.read_bytes() == content
    assert str(aside) in caplog.text
    assert "moved" in caplog.text


def test_every_damaged_file_is_kept(file):
    for _ in range(3):
        no_database(file)
        History(file).runs()
    assert len(damaged(file)) == 3


def test_what_must_exist_is_neither_made_nor_moved(file):
    history = History(file, existing=True)
    with pytest.raises(HistoryError, match="there is no file"):
        history.runs()
    assert list(file.parent.iterdir()) == []
    no_database(file)
    before = file.read_bytes()
    with pytest.raises(HistoryError, match="not a database"):
        history.runs()
    assert file.read_bytes() == before
    file.unlink()
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE recipes (name)")
    before = file.read_bytes()
    with pytest.raises(HistoryError, match="holds no history"):
        history.runs()
    assert file.read_bytes() == before


def test_a_history_that_exists_is_opened(file):
    run_id = begin(History(file))
    assert [run.id for run in History(file, existing=True).runs()] == [run_id]


@pytest.fixture
def sqlite_location(file):
    return f"sqlite:///{file}"


def test_a_newer_version_s_history_is_left_alone(location):
    run_id = begin(History(location))
    engine = engine_for(location)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sonic_guard_version SET version_num = '9999'")
    with pytest.raises(HistoryError, match=r"9999.*newer version"):
        begin(History(location))
    with engine.begin() as connection:
        assert [row.id for row in connection.execute(RUNS.select())] == [run_id]


def test_an_old_history_is_brought_up_to_date_with_its_runs(location, tmp_path):
    begin(History(location))
    newer = with_a_new_column(tmp_path / "next")
    for _ in range(2):  # the second time there is nothing left to do
        Database(location, existing=False, busy_s=10).update(newer)
    with engine_for(location).connect() as connection:
        assert connection.exec_driver_sql("SELECT mood FROM sonic_guard_runs").all() == [("fine",)]
        assert connection.exec_driver_sql("SELECT version_num FROM sonic_guard_version").all() == [("0003",)]


def test_an_update_that_fails_half_way_changes_nothing(location, tmp_path):
    history = History(location)
    run_id = begin(history)
    broken = with_a_new_column(tmp_path / "next", then='raise RuntimeError("the power went")')
    with pytest.raises(RuntimeError, match="the power went"):
        Database(location, existing=False, busy_s=10).update(broken)
    assert "mood" not in {column["name"] for column in inspect(engine_for(location)).get_columns(RUNS.name)}
    assert [run.id for run in history.runs()] == [run_id]


@pytest.fixture
def read_only_folder():
    """A folder in which this process may not write, root or not."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("there", [False, True], ids=["no file yet", "a file"])
def test_a_read_only_folder_is_reported(read_only_folder, there):
    file = read_only_folder / "history.db"
    if there:
        begin(History(file))
        file.chmod(0o444)
    read_only_folder.chmod(0o555)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # permissions do not hold for root
        with pytest.raises(HistoryError, match=r"history\.db: .*writable.*SONIC_GUARD_DB"):
            begin(History(file))
    finally:
        os.seteuid(user)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "user").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(HistoryError, match="history.db"):
        begin(History(tmp_path / "user" / "sonic_guard" / "history.db"))


def fill(location, file_bytes=None):
    """The error another process gets when the disk is full, and the runs it had written before."""
    receive, send = PROCESSES.Pipe(duplex=False)
    child = PROCESSES.Process(target=write_until_it_fails, args=(str(location), send, file_bytes))
    child.start()
    answer = receive.recv()
    child.join()
    return answer


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limits")
def test_a_file_that_cannot_grow_is_reported_and_keeps_its_runs(file):
    kind, text, ids = fill(file, file_bytes=200_000)
    assert (kind, "full" in text) == ("HistoryError", True), text
    done = [run.id for run in History(file).runs() if run.outcome is Outcome.DONE]
    assert done == ids[::-1]
    assert ids


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_reported_and_keeps_its_runs(small_disk):
    kind, text, ids = fill(small_disk / "history.db")
    assert (kind, "full" in text) == ("HistoryError", True), text
    shutil.copytree(small_disk, small_disk.parent / "copy")
    done = [run.id for run in History(small_disk.parent / "copy" / "history.db").runs() if run.outcome is Outcome.DONE]
    assert done == ids[::-1]
    assert ids


def test_waiting_for_another_program_that_writes(file):
    history = History(file)
    begin(history)
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer = threading.Thread(target=begin, args=(history,))
        writer.start()
        assert len(history.runs()) == 1, "reading does not wait"
        other.execute("COMMIT")
        writer.join()
    assert len(history.runs()) == 2


def test_not_for_ever(file):
    begin(History(file))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryError, match="Another program holds it"):
            begin(History(file, busy_s=0.05))


def another_database(lock):
    """SQLite locks such a file in another way: a reader does not block exclusive access."""
    with closing(sqlite3.connect(lock)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("CREATE TABLE recipes (name)")


@pytest.mark.parametrize(
    "damage", [no_database, another_database, lambda lock: lock.write_bytes(b"\0"), lambda lock: lock.write_bytes(b"")]
)
def test_what_is_in_a_lock_s_file_does_not_matter(file, damage, caplog):
    history, lock = History(file), Path(f"{file}.lock")
    begin(history)
    damage(lock)
    harmed = lock.stat().st_size > 0
    begin(history)
    assert len(history.runs()) == 2
    assert lock.stat().st_size == 0
    assert damaged(file) == []
    assert (str(lock) in caplog.text) is harmed


def test_a_damaged_lock_still_locks(file):
    """Its holder keeps it while it is damaged and repaired."""
    history, lock = History(file, busy_s=0.05), Path(f"{file}.lock")
    begin(history)
    with closing(sqlite3.connect(lock, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        other.execute("SELECT 1 FROM sqlite_master")
        lock.write_bytes(b"no database" * 999)
        for _ in range(2):
            with pytest.raises(HistoryError, match=r"history\.db: its lock, history\.db\.lock, .*Another program"):
                history.runs()
    assert len(history.runs()) == 1


@pytest.mark.parametrize("kind", [Path.mkdir, os.mkfifo if hasattr(os, "mkfifo") else Path.mkdir])
def test_a_lock_that_is_no_file_is_named_and_left_alone(file, kind):
    lock = Path(f"{file}.lock")
    kind(lock)
    with pytest.raises(HistoryError, match=r"history\.db\.lock, .*not a file of its own; delete it"):
        History(file).runs()
    assert lock.exists()


def test_a_lock_that_is_another_file_too_is_not_emptied(file):
    other = file.with_name("thesis.txt")
    other.write_text("years of work", encoding="utf-8")
    try:
        os.link(other, f"{file}.lock")
    except OSError:
        pytest.skip("links cannot be made here")
    with pytest.raises(HistoryError, match=r"history\.db\.lock, .*delete it"):
        History(file).runs()
    assert other.read_text(encoding="utf-8") == "years of work"


def test_a_lock_that_is_a_link_does_not_empty_its_target(file):
    other = file.with_name("thesis.txt")
    other.write_text("years of work", encoding="utf-8")
    try:
        Path(f"{file}.lock").symlink_to(other)
    except OSError:
        pytest.skip("links cannot be made here")
    with pytest.raises(HistoryError, match=r"history\.db\.lock, .*delete it"):
        History(file).runs()
    assert other.read_text(encoding="utf-8") == "years of work"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a POSIX system")
def test_a_pipe_instead_of_the_history_is_reported(file):
    os.mkfifo(file)
    with pytest.raises(HistoryError, match=r"history\.db"):
        History(file, busy_s=0.05).runs()


def test_another_program_that_reads_does_not_hinder(file):
    history = History(file)
    begin(history)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN")
        count = "SELECT count(*) FROM sonic_guard_runs"
        assert other.execute(count).fetchone() == (1,)
        begin(history)
        assert other.execute(count).fetchone() == (1,)
    assert len(history.runs()) == 2


def test_a_file_deleted_meanwhile_is_begun_anew(file):
    history = History(file)
    begin(history)
    file.unlink()
    begin(history)
    assert len(history.runs()) == 1


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("nonsense://host/name", "nonsense"),
        ("://", "not a URL"),
        ("postgresql+psycopg://user:secret@host:port/name", "not a URL"),
        ("postgresql+nodriver://user:secret@host/name", "nodriver"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql+psycopg://user:secret@127.0.0.1:1/name", "127.0.0.1"),
    ],
)
def test_invalid_locations_of_a_history(location, message):
    if "psycopg" in location:
        pytest.importorskip("psycopg")
    with pytest.raises(HistoryError, match=message) as caught:
        History(location, busy_s=2).runs()
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
