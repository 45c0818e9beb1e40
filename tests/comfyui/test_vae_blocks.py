"""ComfyUI's own video VAE, in its order and with fewer copies at a time: the same bits, and a later one left alone."""

import json
import subprocess

import pytest

from tests.support import installed


@pytest.fixture(scope="module")
def cases():
    command = [str(installed.python()), "-m", "tests.support.comfy_vae_child", str(installed.comfyui())]
    result = subprocess.run(command, cwd=installed.PACK, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout), result.stderr


def test_frames_are_the_same_to_the_bit(cases):
    """In every number format, one frame at a time and several, also in the order of their memory."""
    found, _ = cases
    assert len(found) == 9
    assert all(case["equal"] and case["finite"] and case["restored"] for case in found)
    assert all(case["lean"] == 6 * [True] for case in found[:-1])


def test_layers_that_compute_something_else_are_left_alone(cases):
    found, told = cases
    assert found[-1]["lean"] == 6 * [False]
    assert told.count("this ComfyUI's VAE is not known here") == 1
