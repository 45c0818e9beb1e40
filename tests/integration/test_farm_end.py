"""How a farm's client ends: its exit code by what became of the videos, and what it leaves."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed")
pytest.importorskip("aiohttp")

from sonic_guard.cli import main
from sonic_guard.cli.commands import EXIT_NOT_ALL_MADE, EXIT_OK
from sonic_guard.park.farm import journal_of
from sonic_guard.park.journal_tables import NewTask, TaskState
from tests.support.farm_chaos import Setup, write_jobs
from tests.support.installed import PACK

CODES = [
    ((), EXIT_OK),
    ((TaskState.CANCELLED,), EXIT_OK),
    ((TaskState.FAILED,), EXIT_NOT_ALL_MADE),
    ((TaskState.REFUSED,), EXIT_NOT_ALL_MADE),
    ((TaskState.CANCELLED, TaskState.FAILED), EXIT_NOT_ALL_MADE),
]


@pytest.mark.parametrize(("states", "code"), CODES)
def test_a_farm_that_is_done_ends_with_what_became_of_its_videos(states, code, tmp_path, capsys):
    journal = journal_of(tmp_path, create=True)
    journal.begin({})
    journal.add([NewTask(str(state), f"video {state}", {}) for state in states])
    for state in states:
        journal.settle(str(state), state, "why")
    journal.end()
    assert main(["farm", "resume", str(tmp_path)]) == code
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("video ")] == [
        f"video {state}: {state}: why" for state in states if state is not TaskState.CANCELLED
    ]
    assert main(["farm", "status", str(tmp_path)]) == EXIT_OK, "it tells of the farm, and has done so"


def test_the_locks_of_a_server_that_was_ended_are_not_the_clients(tmp_path):
    """Python would warn of leaked semaphores at the client's end."""
    made = Setup(tmp_path, PACK / "tests" / "support" / "fake_comfyui", Path(sys.executable), 1, call_s=0.0)
    write_jobs(made, 1, (0.6, 0.8))
    client = made.client(tmp_path / "out", resume=False, stderr=subprocess.PIPE)
    _, told = client.communicate(timeout=240)  # to the end of the client's resource tracker, which writes there last
    assert client.returncode == EXIT_OK, told.decode()
    assert b"leaked" not in told
