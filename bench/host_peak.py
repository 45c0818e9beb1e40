"""The most host memory that this process has held."""

import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """On Linux without what the process held that started this one, which `ru_maxrss` counts."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) << 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10
