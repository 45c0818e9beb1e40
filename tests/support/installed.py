"""Where the real things are: a ComfyUI, its Python, and the Sonic wrapper in its ``custom_nodes``.

Each function returns a path, or skips the test with what to set.
"""

import os
from functools import cache
from pathlib import Path

import pytest

PACK = Path(__file__).resolve().parents[2]


def comfyui() -> Path:
    """ComfyUI's folder: COMFYUI_PATH, else comfy-cli's default folder, else the one this pack lies in."""
    return _found(_comfyui(), "no ComfyUI found; set COMFYUI_PATH to its folder")


def sonic() -> Path:
    """The Sonic wrapper's folder in `comfyui()`, whatever its name."""
    return _found(_sonic(comfyui()), f"no Sonic wrapper in {comfyui() / 'custom_nodes'}")


def dice_talk() -> Path:
    """The DICE Talk pack: DICE_TALK_PATH, else one in the ``custom_nodes`` of `comfyui()` or next to it."""
    return _found(_dice_talk(comfyui()), "no ComfyUI_DICE_Talk found; set DICE_TALK_PATH to its folder")


def python() -> Path:
    """The Python `comfyui()` runs on: COMFYUI_PYTHON, else that of a ``.venv`` or ``venv`` in or next to it."""
    return _found(_python(comfyui()), f"no Python for {comfyui()} found; set COMFYUI_PYTHON")


def _found(path: Path | None, reason: str) -> Path:
    if path is None:
        pytest.skip(reason)
    return path


@cache
def _comfyui() -> Path | None:
    named = os.environ.get("COMFYUI_PATH")
    # Where the user has named one, no other will do.
    candidates = [Path(named).expanduser()] if named else [Path.home() / "comfy" / "ComfyUI", PACK.parents[1]]
    return next(
        (candidate for candidate in candidates if (candidate / "comfy" / "model_management.py").is_file()), None
    )


@cache
def _sonic(host: Path) -> Path | None:
    marks = sorted(host.glob("custom_nodes/*/src/pipelines/pipeline_sonic.py"))
    return marks[0].parents[2] if marks else None


@cache
def _dice_talk(host: Path) -> Path | None:
    named = os.environ.get("DICE_TALK_PATH")
    if named:
        return Path(named).expanduser()
    mark = "src/pipelines/pipeline_dicetalk.py"
    marks = sorted((*host.glob(f"custom_nodes/*/{mark}"), *host.parent.glob(f"*/{mark}")))
    return marks[0].parents[2] if marks else None


@cache
def _python(host: Path) -> Path | None:
    named = os.environ.get("COMFYUI_PYTHON")
    candidates = (
        [Path(named).expanduser()]
        if named
        else [
            folder / venv / python
            for folder in (host, host.parent)
            for venv in (".venv", "venv")
            for python in ("bin/python", "Scripts/python.exe")
        ]
    )
    return next((candidate for candidate in candidates if candidate.is_file()), None)
