"""The environment of a run: the card, and the versions of everything that its memory depends on."""

import hashlib
import logging
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .budget import Budget
from .nvml import driver_version

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunEnvironment:
    """What the figures of a run depend on in addition to its job. Versions are empty if unknown."""

    card: str
    """Name of the card from its driver; "CPU" without one."""
    device: str = "cuda"
    """torch's device type: cuda (also for ROCm), mps or cpu."""
    total_bytes: int = 0
    """Memory of the card."""
    available_bytes: int = 0
    """Memory available to the run at its beginning."""
    driver: str = ""
    """Version of NVIDIA's driver."""
    torch: str = ""
    comfyui: str = ""
    wrapper: str = ""
    """Version of the pack whose network ran, Sonic or a relative, and a digest of its code."""


def environment_of(budget: Budget, *, comfyui: str = "", wrapper: str = "") -> RunEnvironment:
    """The environment of this process, whose card and memory are those of `budget`."""
    torch = sys.modules.get("torch")  # not imported, which takes seconds: during a run it is loaded
    return RunEnvironment(
        card=budget.card,
        device=budget.device,
        total_bytes=budget.total_bytes,
        available_bytes=budget.available_bytes,
        driver=driver_version(),
        torch=str(torch.__version__) if torch else "",
        comfyui=comfyui,
        wrapper=wrapper,
    )


@cache
def pack_version(folder: Path) -> str:
    """A pack's version and a digest of its code: "1.0.0+3f2a9c01".

    Few packs increase their version with every change; the digest distinguishes code that may need other memory.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode())
        digest.update(file.read_bytes())
    return f"{_declared(folder / 'pyproject.toml')}+{digest.hexdigest()[:8]}"


def _declared(file: Path) -> str:
    try:
        return str(tomllib.loads(file.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError) as error:
        log.debug("%s names no version: %s", file, error)
        return "0"
