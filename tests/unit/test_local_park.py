"""What a farm prepares before it starts ComfyUI servers."""

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("psutil")

from sonic_guard.park.local_park import ServerStart

PYTHON = Path(sys.executable)


@pytest.mark.parametrize(
    "given",
    [(), ("--base-directory", "{}"), ("--cpu", "--base-directory={}", "--port", "1"),
     ("--base-directory", "/nowhere", "--models-directory", "{}/models")],
)  # fmt: skip
def test_the_folder_that_sonic_creates_when_imported_is_there_before(given, tmp_path):
    """Two servers that begin at once would both create it, and one of them fails."""
    base = tmp_path / ("elsewhere" if given else "ComfyUI")
    (base / "models").mkdir(parents=True)
    start = ServerStart(tmp_path / "ComfyUI", PYTHON, tuple(each.format(base) for each in given))
    for _ in range(2):
        start.prepare()
    assert (base / "models" / "sonic").is_dir()
    assert not given or not (tmp_path / "ComfyUI").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_models_that_may_not_be_changed_are_no_error(tmp_path):
    (tmp_path / "models").mkdir(mode=0o500)
    ServerStart(tmp_path, PYTHON).prepare()


def test_nothing_is_created_where_there_are_no_models(tmp_path):
    ServerStart(tmp_path, PYTHON).prepare()
    assert not list(tmp_path.iterdir())
