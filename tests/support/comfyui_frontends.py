"""Front ends of ComfyUI, as packaged for PyPI: the oldest this pack supports and the newest there is."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

OLDEST = "1.27.10"
"""The one ComfyUI 0.3.64 asks for."""
_PACKAGE = "comfyui-frontend-package"
_CACHE = Path(sys.prefix) / "front-ends"


def front_end(version: str) -> Path:
    """The static files of a front end ("newest" or a version), fetched once; skips without a net."""
    folder = _CACHE / version
    _CACHE.mkdir(exist_ok=True)
    with FileLock(_CACHE / f"{version}.lock"):  # several test processes
        if not folder.is_dir():
            _fetch(version, folder)
    return folder / "comfyui_frontend_package" / "static"


def _fetch(version: str, folder: Path) -> None:
    wanted = _PACKAGE if version == "newest" else f"{_PACKAGE}=={version}"
    wheels = _CACHE / f"{version}.download"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels, wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{wanted} cannot be fetched: {done.stderr[-300:]}")
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(wheels)
    wheel.unlink()
    wheels.rename(folder)  # only now is it whole
