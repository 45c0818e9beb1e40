"""Describes the machine of a measurement: the card, its driver, the software, and the memory in use before."""

import datetime
import os
import platform
import re
from pathlib import Path

import torch

from ..devices.budget import visible_device
from ..devices.nvml import driver_version, read_card
from ..errors import SonicGuardError
from ..memory.constants import constants
from .gpu_peaks import used_bytes
from .measured_table import Header

_ALLOCATOR_VARIABLES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
_DRIVER_FILE = Path("/proc/driver/nvidia/version")


def open_device(name: str) -> torch.device:
    """The torch device `name`. Raises `SonicGuardError` if it is a CUDA device and there is none."""
    device = torch.device(name)
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise SonicGuardError(
            "measure: no CUDA card that this torch can use "
            f"(torch {torch.__version__}, built for CUDA {torch.version.cuda or 'none'}). "
            "Run it on a machine with one; `sonic-guard trace` needs none."
        )
    return torch.device("cuda", device.index or 0)


def describe(device: torch.device, sonic: Path) -> Header:
    """The header of a table. Must be called before anything is allocated on the device."""
    import diffusers

    card, total, capability, allocator, before, context = platform.machine(), None, "", "", None, None
    if device.type == "cuda":
        before = _used_by_nvml(device)
        in_use = used_bytes(device)  # creates the context
        after = _used_by_nvml(device)
        context = in_use if before is None or after is None else after - before
        properties = torch.cuda.get_device_properties(device)
        card, total = properties.name, properties.total_memory
        capability = f"{properties.major}.{properties.minor}"
        settings = (os.environ[name] for name in _ALLOCATOR_VARIABLES if name in os.environ)
        allocator = " ".join((torch.cuda.get_allocator_backend(), *settings))
    return Header(
        card=card,
        total_bytes=total,
        capability=capability,
        driver=_driver(),
        torch=str(torch.__version__),
        cuda=torch.version.cuda or torch.version.hip or "none",
        allocator=allocator,
        diffusers=diffusers.__version__,
        python=platform.python_version(),
        system=platform.platform(),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        sonic_commit=read_commit(sonic),
        model=constants().source,
        used_before_bytes=before,
        context_bytes=context,
    )


def read_commit(folder: Path) -> str:
    """The commit of a checkout, read from its `.git` without git; "unknown" if it cannot be determined."""
    git = folder.expanduser() / ".git"
    head = git / "HEAD"
    if not head.is_file():
        return "unknown"
    text = head.read_text(encoding="utf-8").strip()
    if not text.startswith("ref: "):
        return text
    name = text.removeprefix("ref: ")
    if (git / name).is_file():
        return (git / name).read_text(encoding="utf-8").strip()
    packed = git / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else ()
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "unknown")


def _used_by_nvml(device: torch.device) -> int | None:
    """Bytes in use on the card as NVML counts them, without making a context; None where NVML has no answer."""
    visible = visible_device(os.environ.get("CUDA_VISIBLE_DEVICES"), device.index or 0)
    card = None if visible is None else read_card(visible)
    return None if card is None else card.total_bytes - card.free_bytes


def _driver() -> str:
    """Version of NVIDIA's driver, from NVML or from the file its Linux module keeps."""
    if version := driver_version():
        return version
    found = re.search(r"\b\d{3}\.\d[\d.]*", _DRIVER_FILE.read_text()) if _DRIVER_FILE.is_file() else None
    return found[0] if found else "unknown"
