"""The memory of this machine, or the part of it that this process's container may use.

Linux limits a container by control groups, of which only the kernel's count of the machine's memory knows nothing: a
process that takes more than its group's limit is killed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

GROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where the groups are mounted, and the file that names this process's."""


class HostMemory(NamedTuple):
    """Bytes that this process can use."""

    total_bytes: int
    available_bytes: int
    """Without swapping."""
    swap_bytes: int


class _Names(NamedTuple):
    """Of the files of a control group."""

    limit: str
    used: str
    swap: str
    cache: str
    """Of the line in ``memory.stat`` with what the kernel gives back first."""
    is_sum: bool
    """Whether the limit of swap includes that of memory."""


_V2 = _Names("memory.max", "memory.current", "memory.swap.max", "inactive_file", is_sum=False)
_V1 = _Names(
    "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.memsw.limit_in_bytes", "total_inactive_file", is_sum=True
)


def host_memory(groups: Path = GROUPS, own: Path = OWN) -> HostMemory:
    """The memory now. `groups` and `own` are Linux's; elsewhere they are not there."""
    import psutil  # late: `measure` plans on machines without it

    machine = psutil.virtual_memory()
    memory = HostMemory(machine.total, machine.available, psutil.swap_memory().total)
    for folder, names in _groups(groups, own):
        memory = _within(memory, folder, names)
    return memory


def _groups(groups: Path, own: Path) -> Iterator[tuple[Path, _Names]]:
    """This process's groups and those around them. In a container the outermost that is visible is its own."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if not controllers or "memory" in controllers.split(","):
            root, names = (groups / "memory", _V1) if controllers else (groups, _V2)
            folder = root / path.strip("/")
            while folder != root:
                yield folder, names
                folder = folder.parent
            yield root, names


def _within(memory: HostMemory, folder: Path, names: _Names) -> HostMemory:
    """`memory` as far as the group in `folder` may use it."""
    limit = _number(folder / names.limit)
    if limit is None or limit >= memory.total_bytes:
        return memory
    used, swap = _number(folder / names.used) or 0, _number(folder / names.swap)
    if swap is not None and names.is_sum:
        swap -= limit
    free = limit - max(0, used - _cache(folder / "memory.stat", names.cache))
    return HostMemory(
        limit,
        max(0, min(memory.available_bytes, free)),
        memory.swap_bytes if swap is None else max(0, min(memory.swap_bytes, swap)),
    )


def _number(file: Path) -> int | None:
    """The number in a file; None where there is none: no file, or "max"."""
    try:
        return int(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _cache(file: Path, name: str) -> int:
    try:
        counts = dict(line.split() for line in file.read_text(encoding="utf-8").splitlines())
        return int(counts.get(name, 0))
    except (OSError, ValueError):
        return 0
