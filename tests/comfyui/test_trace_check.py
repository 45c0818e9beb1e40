"""The memory model against the wrapper's own code and ComfyUI's own VAE."""

import json
import subprocess
from pathlib import Path

import pytest

import sonic_guard
from sonic_guard.memory.stage_model import STAGES
from sonic_guard.relatives import Relative
from tests.support import installed


@pytest.mark.parametrize("pack", [installed.sonic, installed.dice_talk], ids=list(Relative))
def test_the_model_is_within_half_a_percent_of_the_pack_s_own_code(pack):
    """`sonic-guard trace --check`, run by the host's Python with the real ComfyUI and the real wrapper or relative."""
    repo = Path(sonic_guard.__file__).parent.parent
    command = [
        str(installed.python()),
        "-m",
        "sonic_guard",
        "trace",
        "--check",
        "--json",
        "--sonic",
        str(pack()),
    ]
    result = subprocess.run(
        [*command, "--comfyui", str(installed.comfyui())], capture_output=True, text=True, check=False, cwd=repo
    )
    assert result.returncode == 0, result.stderr[-3000:]
    rows = json.loads(result.stdout)
    assert {row["stage"] for row in rows} == set(STAGES)
    assert [row for row in rows if abs(row["apart"]) > 0.005] == []
