"""The kit of random weights for end-to-end tests: written once, or kept in the folder SONIC_GUARD_WEIGHTS."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.support import installed

GIB = 2**30
FOLDER = "SONIC_GUARD_WEIGHTS"
"""Environment variable: where the kits are kept from run to run. Without it they are deleted after the tests."""


class Size(NamedTuple):
    """What a kit needs."""

    name: str
    disk_gib: float
    memory_gib: float
    """Free memory for a run in fp32 at 128 px."""


FULL = Size("full", 8, 15)
NARROW = Size("narrow", 3, 6)
"""The UNet has few channels; the wrapper is a copy with another configuration."""


class Kit(NamedTuple):
    """Weights, and the wrapper they are for."""

    models: Path
    sonic: Path


@contextmanager
def kit(size: Size) -> Iterator[Kit]:
    """The kit of that size; skips where ComfyUI, the wrapper, memory or disk are missing."""
    installed.python()
    free = psutil.virtual_memory().available / GIB
    if free < size.memory_gib:
        pytest.skip(f"{free:.0f} GiB of memory are free; these runs need {size.memory_gib} GiB")
    kept = os.environ.get(FOLDER)
    if kept:
        yield _written(Path(kept).expanduser() / size.name, size)
        return
    with tempfile.TemporaryDirectory(prefix="sonic-guard-weights-") as folder:
        yield _written(Path(folder) / size.name, size)


def _written(folder: Path, size: Size) -> Kit:
    models, sonic = folder / "models", installed.sonic()
    narrow = folder / sonic.name
    found = Kit(models, narrow if size is NARROW else sonic)
    if (models / "random_weights.json").is_file():
        return found
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / GIB
    if free < size.disk_gib:
        pytest.skip(f"{free:.0f} GiB are free on the disk of {folder}; the weights need {size.disk_gib} GiB")
    command = [
        installed.python(), "-m", "sonic_guard.devtools.random_weights", models, "--sonic", sonic,
        "--comfyui", installed.comfyui(), *(("--narrow", narrow) if size is NARROW else ()),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=installed.PACK, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return found
