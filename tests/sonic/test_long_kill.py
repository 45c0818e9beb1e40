"""Kill -9 at 50 random moments and resume: the video is the same as without.

The wrapper's own `Sonic` makes it, with networks that return at once.
"""

import os
import subprocess
import sys

import pytest

from tests.support import installed

for package in ("torch", "diffusers", "transformers", "einops"):
    pytest.importorskip(package)

KILLS = 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks, to be killed without a new start of Python")
def test_a_video_is_the_same_however_often_its_making_was_killed(tmp_path):
    installed.sonic()
    command = [sys.executable, "-m", "tests.support.kill_and_resume", str(tmp_path), str(KILLS), "20261122"]
    result = subprocess.run(command, cwd=installed.PACK, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    killed, kept, steps, *_ = [int(word) for word in result.stdout.split() if word.isdigit()]
    assert killed == KILLS
    assert min(kept, steps) > KILLS // 5, "hardly a kill came late enough to leave something to resume"
