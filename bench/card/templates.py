"""The example workflows with random weights of the published shapes in a running ComfyUI, on the card.

The tests of `tests/end_to_end` do that, on the CPU as a rule; here ComfyUI starts as a user's does, under its own
memory management. Needs ComfyUI's packages, pytest and what the pack itself needs; where they are missing, the row says
so.
"""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

from .results import Row
from .session import OutOfTimeError, Session

NEEDED = ("pytest", "av", "cv2", "pydantic", "sqlalchemy", "aiohttp", "torchvision", "safetensors")
ROOT = Path(__file__).resolve().parents[2]
_OUTCOME = re.compile(r"^(?:PASSED|FAILED|SKIPPED|ERROR)\b.*$", re.MULTILINE)


def run(session: Session, done: Sequence[Row]) -> Generator[Row]:
    """One row: how many tests passed, and what failed."""
    if done:
        return
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if session.comfyui is None or missing:
        why = f"these packages are missing: {', '.join(missing)}" if missing else "no ComfyUI: give --comfyui FOLDER"
        yield {"key": "skipped", "skipped": why}
        return
    environment = {
        **os.environ,
        "COMFYUI_PATH": str(session.comfyui),
        "COMFYUI_PYTHON": sys.executable,
        "SONIC_GUARD_HOST_DEVICE": "cuda",
        "SONIC_GUARD_WEIGHTS": str(session.out / "weights"),
        "SONIC_GUARD_END_TO_END_LOG": str(session.out / "templates.md"),
    }
    session.bench.settle()
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "tests/end_to_end"]
    try:
        tests = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
            timeout=max(1.0, session.left_s - 5),
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise OutOfTimeError(f"not finished in {error.timeout:.0f} s; give it a longer call") from error
    outcomes = _OUTCOME.findall(tests.stdout)
    yield {
        "key": "templates",
        "status": tests.returncode,
        "passed": sum(line.startswith("PASSED") for line in outcomes),
        "others": [line for line in outcomes if not line.startswith("PASSED")],
        "memory": _memory_lines(session.out / "templates.md"),
    }


def _memory_lines(log: Path) -> list[str]:
    """The lines of the log that have bytes in them."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    return [line for line in lines if "GiB" in line]
