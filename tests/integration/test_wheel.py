"""The package as pip installs it: the library alone, without the folder of the clone around it."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.installed import PACK

SOURCES = ("sonic_guard", "presets", "setup.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the wheel was unpacked into."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "target"))
    for name in SOURCES:  # not in the clone: setuptools keeps what it has built there, files that are gone as well
        copy = shutil.copytree if (PACK / name).is_dir() else shutil.copy
        copy(PACK / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(wheels), "."]
    subprocess.run(build, cwd=source, check=True)
    (wheel,) = wheels.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(target)
    return target


def asked(installed: Path, text: str) -> str:
    """What Python prints, with the installed package and not the clone."""
    done = subprocess.run(
        [sys.executable, "-c", text], env={**os.environ, "PYTHONPATH": str(installed)}, cwd=installed,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_it_has_its_presets_and_figures(installed):
    text = "from sonic_guard.operations.preset_files import list_presets; print(*list_presets().values(), sep='\\n')"
    presets = [Path(each) for each in asked(installed, text).splitlines()]
    assert [each.name for each in presets] == ["fast.json", "hd.json", "minimal.json"]
    assert {each.parent for each in presets} == {installed / "sonic_guard" / "presets"}
    text = "from sonic_guard.memory.stage_model import predict; from sonic_guard.job import Job; "
    assert int(asked(installed, text + "print(predict(Job(512, 512, 10.0)).peak_bytes)")) > 1 << 30


def test_it_brings_nothing_but_the_library(installed):
    assert [each.name for each in installed.iterdir() if not each.name.endswith(".dist-info")] == ["sonic_guard"]
