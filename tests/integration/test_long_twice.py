"""Two runs of one video at a time: one makes it, the other is refused at once; never a success with frames missing."""

import errno
import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from sonic_guard.errors import OutputError
from sonic_guard.long_video.rendering import Joining, PartKept, run
from tests.support import child_tasks, installed
from tests.support.numbered_frames import digest, make_part, order
from tests.support.processes import PROCESSES

TRIALS = 16
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks, to have two runs without a new start of Python")


@forks
def test_of_two_processes_one_makes_the_video_and_the_other_is_refused(tmp_path):
    command = [sys.executable, "-m", "tests.support.two_at_once", str(tmp_path), str(TRIALS), "20261127"]
    result = subprocess.run(command, cwd=installed.PACK, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    trials, refused, both = [int(word) for word in result.stdout.split() if word.isdigit()]
    assert trials == TRIALS == refused + both
    assert refused > TRIALS // 2, "hardly ever did two runs meet"


def second_run(folder, asked, name):
    run(asked, pytest.fail, folder / name, folder / "work")


@pytest.mark.parametrize("moment", ["while parts are made", "while they are joined"])
def test_the_refusal_names_the_video_and_what_to_do(tmp_path, moment):
    refusals = []

    def notify(event):
        if not refusals and isinstance(event, Joining) == (moment == "while they are joined"):
            with pytest.raises(OutputError) as caught:
                second_run(tmp_path, order(200), "two.mkv")
            refusals.append(str(caught.value))

    done = run(order(200), make_part, tmp_path / "one.mkv", tmp_path / "work", notify=notify)
    assert done.info.frames == 399
    assert "two.mkv: another run is making the same video right now" in refusals[0]
    for words in ("Wait until it is finished, or cancel it there", "change the seed"):
        assert words in refusals[0]
    assert str(tmp_path) not in refusals[0]


def test_another_video_into_the_same_file_is_refused_and_spoils_nothing(tmp_path):
    """A trial write to the name would delete what the first run is writing."""
    refusals = []

    def notify(event):
        if isinstance(event, Joining) and event.share > 0.5 and not refusals:
            for overwrite in (False, True):
                with pytest.raises(OutputError, match="another run is making a video of this name") as caught:
                    run(order(60), pytest.fail, tmp_path / "one.mkv", tmp_path / "work", overwrite=overwrite)
                refusals.append(caught)

    done = run(order(200), make_part, tmp_path / "one.mkv", tmp_path / "work", notify=notify)
    assert len(refusals) == 2
    assert done.info.frames == 399


def test_another_video_at_the_same_time_is_made(tmp_path):
    done = []

    def notify(event):
        if not done:
            done.append(run(order(60), make_part, tmp_path / "two.mkv", tmp_path / "work"))

    assert run(order(200), make_part, tmp_path / "one.mkv", tmp_path / "work", notify=notify).info.frames == 399
    assert done[0].info.frames == 119


@forks
def test_a_killed_run_frees_what_it_held(tmp_path):
    def film(make=make_part, **more):
        run(order(200), make, tmp_path / "one.mkv", tmp_path / "work", **more)

    child = PROCESSES.Process(target=child_tasks.hang_in_the_second_part, args=(tmp_path,))
    child.start()
    try:
        wait_for(tmp_path / "hangs", child)
        with pytest.raises(OutputError, match="another run"):
            film(pytest.fail)
    finally:
        child.kill()
        child.join()
    assert child.exitcode == -signal.SIGKILL
    assert list((tmp_path / "work").glob("[0-9a-f]*.lock")), "the file is there, and means nothing"
    events = []
    film(notify=events.append)
    assert events[0] == PartKept(0)
    assert [path.name for path in (tmp_path / "work").iterdir()] == [".lock"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_run_that_ends_in_an_error_frees_what_it_held(tmp_path, error):
    def fail(task, emit, tick):
        raise error

    with pytest.raises(error):
        run(order(60), fail, tmp_path / "one.mkv", tmp_path / "work")
    assert run(order(60), make_part, tmp_path / "one.mkv", tmp_path / "work").info.frames == 119


@forks
def test_never_do_two_hold_one_lock(tmp_path):
    """Eight processes take the lock as often as they can; its file is made and removed all the time."""
    children = [PROCESSES.Process(target=child_tasks.take_a_lock, args=(tmp_path, 3.0)) for _ in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 8
    assert len((tmp_path / "had").read_text()) > 50
    assert [path.name for path in (tmp_path / "work").iterdir()] == [".lock"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_that_knows_no_locks_costs_no_video(tmp_path, monkeypatch, caplog, number):
    fcntl = pytest.importorskip("fcntl")

    def flock(fd, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with caplog.at_level(logging.WARNING):
        done = run(order(60), make_part, tmp_path / "one.mkv", tmp_path / "work")
    assert done.info.frames == 119
    assert number == errno.ENOSYS or "this disk knows no locks" in caplog.text


def test_a_folder_that_takes_no_lock_is_reported(tmp_path):
    (tmp_path / "work").touch()
    with pytest.raises(OutputError, match="work: "):
        run(order(60), pytest.fail, tmp_path / "one.mkv", tmp_path / "work")


def wait_for(path, child):
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until
        assert child.is_alive()
        time.sleep(0.01)


def test_a_refused_second_run_does_not_change_the_video_of_the_first(tmp_path):
    calm = digest(run(order(200), make_part, tmp_path / "calm.mkv", tmp_path / "work").path)

    def notify(event):
        with pytest.raises(OutputError, match="another run"):
            second_run(tmp_path, order(200), "one.mkv")

    assert digest(run(order(200), make_part, tmp_path / "one.mkv", tmp_path / "work", notify=notify).path) == calm
