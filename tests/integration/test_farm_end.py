"""With which exit code a farm ends, by what became of its videos."""

import pytest

pytest.importorskip("distributed")
pytest.importorskip("aiohttp")

from sonic_guard.cli import main
from sonic_guard.cli.commands import EXIT_NOT_ALL_MADE, EXIT_OK
from sonic_guard.park.farm import journal_of
from sonic_guard.park.journal_tables import NewTask, TaskState

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
