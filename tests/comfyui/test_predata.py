"""SONIC_PreData itself, on the torchaudio that is installed, with TorchCodec and without: the wrapper's own function.

Its networks have random weights (`tests/support/hostpack/networks.py`); `predata_child` loads it as ComfyUI does.
"""

import json
import subprocess
from functools import cache

import pytest

from tests.support import installed

CODEC = """
import importlib.metadata as m
print(m.version("torchaudio"))
from torchcodec.encoders import AudioEncoder
"""
"""Fails at its end where TorchCodec is not installed, or does not find FFmpeg's libraries."""


def run(folder, how, codec):
    """What SONIC_PreData does, `how` "alone" or "helped" by this pack."""
    command = [
        installed.python(),
        installed.PACK / "tests" / "support" / "predata_child.py",
        installed.comfyui(),
        folder,
        how,
        codec,
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def torchaudio():
    """The version of torchaudio, and whether TorchCodec works."""
    installed.sonic()
    result = subprocess.run([installed.python(), "-c", CODEC], capture_output=True, text=True)
    if not result.stdout:
        pytest.skip(f"{installed.python()} has no torchaudio")
    major, minor = result.stdout.split(".")[:2]
    return (int(major), int(minor)), result.returncode == 0


@pytest.fixture(scope="module")
def helped(tmp_path_factory, torchaudio):
    """The results with the pack, by the state of TorchCodec."""
    return cache(lambda codec: run(tmp_path_factory.mktemp(codec), "helped", codec))


def test_without_torchcodec_sonic_receives_every_sample(helped):
    made = helped("absent")
    assert made["kept"], "32-bit floats, beyond ±1 too"
    assert made["finite"]
    assert made["tokens"] == [2 * 6, 32, 1024], "of half a second, six latent frames with sound and without"
    assert made["untouched"]
    assert not made["left"], "the wrapper leaves its sound file in the input folder"


def test_without_torchcodec_it_needs_the_pack(tmp_path, torchaudio):
    """That the test above can fail."""
    if torchaudio[0] < (2, 9):
        pytest.skip("this torchaudio needs no TorchCodec")
    assert "TorchCodec is required" in run(tmp_path, "alone", "absent")["error"]


def test_torchcodec_makes_no_difference(helped, torchaudio):
    if not torchaudio[1]:
        pytest.skip(f"TorchCodec and FFmpeg's libraries are not installed for {installed.python()}")
    assert helped("is") == helped("absent")


def test_what_sonic_receives_counts(tmp_path, helped, torchaudio):
    """Digests do differ where samples differ: TorchCodec by itself stores 16 bits."""
    if not torchaudio[1] or torchaudio[0] < (2, 9):
        pytest.skip(f"TorchCodec is not installed, or not used, in {installed.python()}")
    alone = run(tmp_path, "alone", "is")
    assert not alone["kept"]
    assert alone["digest"] != helped("absent")["digest"]
