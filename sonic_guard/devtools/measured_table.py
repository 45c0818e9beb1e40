"""The file `measure` writes: JSON lines that survive a process killed at any moment.

The first line tells the card and the software (`Header`). Then every case has a line when it starts and
one with its row when it ends, each written in one call and synced to disk. A half-written last line is
cut off when the file is opened again.
"""

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import OutputError, SonicGuardError
from .measured_cases import Case


@dataclass(frozen=True)
class Header:
    """Where and with what a table was measured."""

    card: str
    total_bytes: int | None
    """Memory of the card; None without a card."""
    capability: str
    """CUDA compute capability, such as 9.0."""
    driver: str
    torch: str
    cuda: str
    """Version of CUDA (or HIP) torch was built for."""
    allocator: str
    """PyTorch's allocator (native or cudaMallocAsync, which ComfyUI prefers) and its settings."""
    diffusers: str
    python: str
    system: str
    date: str
    """UTC, ISO 8601: when the first case was begun."""
    sonic_commit: str
    model: dict[str, str]
    """The source of the constants that made the predictions."""
    used_before_bytes: int | None
    """In use on the card before this process touched it, as NVML counts; None where NVML cannot be asked."""
    context_bytes: int | None
    """What the bare CUDA context took: in use on the card once it was made, less before, both by NVML.

    Without NVML nothing can be read before the context exists, so that this is all that was in use after,
    other processes included. Kernels' code comes on top with the first launches: see
    `MemorySnapshot.outside_bytes` of the rows.
    """

    @property
    def setup(self) -> tuple[str, ...]:
        """What must be the same for rows to stand in one table."""
        return (self.card, self.torch, self.cuda, self.driver, self.allocator, self.sonic_commit)


class Reading(NamedTuple):
    """Memory and time of one piece of work. The bytes are None where there is no card."""

    seconds: float
    """Wall time, the card's queue emptied at both ends."""
    allocated_bytes: int | None = None
    """Most bytes of live tensors (`max_memory_allocated`): what the model predicts."""
    reserved_bytes: int | None = None
    """Most bytes the caching allocator held from the driver (`max_memory_reserved`)."""
    outside_bytes: int | None = None
    """Bytes in use on the card at the end that are not the allocator's.

    They are the context, the code of the kernels loaded so far, and other processes on the card.
    """

    @property
    def device_bytes(self) -> int | None:
        """What the whole card had in use at the peak.

        This is `reserved_bytes` at its peak plus `outside_bytes`. The latter is read once, after the
        work: within a process it only grows, as kernels are loaded, so no sampling is needed.
        """
        if self.reserved_bytes is None or self.outside_bytes is None:
            return None
        return self.reserved_bytes + self.outside_bytes


@dataclass(frozen=True)
class Row:
    """The result of one case."""

    case: Case
    predicted_bytes: int
    """The model's peak of tensors in this stage on the day of the measurement, overhead not included."""
    reading: Reading | None
    """None where the case did not reach its end."""
    pass_s: float | None
    """Seconds of the network's last pass; None in stages without the network."""
    wall_s: float
    """Seconds the case took with everything around it."""
    oom: str | None = None
    """The stage that ran out of memory."""
    error: str | None = None
    """What failed, in the words of torch."""

    def to_json(self) -> dict[str, Any]:
        """A flat object: the case's settings, what was predicted and what was read."""
        reading = self.reading
        return {
            **self.case.to_json(),
            "stand_in": self.case.stand_in,
            "predicted_bytes": self.predicted_bytes,
            "allocated_bytes": reading and reading.allocated_bytes,
            "reserved_bytes": reading and reading.reserved_bytes,
            "outside_bytes": reading and reading.outside_bytes,
            "device_bytes": reading and reading.device_bytes,
            "seconds": reading and reading.seconds,
            "pass_s": self.pass_s,
            "wall_s": self.wall_s,
            "oom": self.oom,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Row":
        """The inverse of `to_json`."""
        seconds = data["seconds"]
        reading = None if seconds is None else Reading(seconds, *(data[key] for key in Reading._fields[1:]))
        others = {name: data[name] for name in ("predicted_bytes", "pass_s", "wall_s", "oom", "error")}
        return cls(Case.from_json(data), reading=reading, **others)


@dataclass(frozen=True)
class Contents:
    """What a table holds so far."""

    header: Header | None = None
    rows: tuple[Row, ...] = ()
    starts: Counter[str] = field(default_factory=Counter)
    """How often each case was begun, by its name."""

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Names of cases that were begun and have no row."""
        done = {row.case.name for row in self.rows}
        return tuple(name for name in self.starts if name not in done)


def read(path: Path) -> Contents:
    """The table at `path`; empty if there is no such file.

    Raises `SonicGuardError` if the file is something else.
    """
    if not path.exists():
        return Contents()
    header, rows, starts = None, [], Counter()
    for number, line in enumerate(_whole_lines(path.read_bytes()).decode().splitlines(), 1):
        try:
            entry = json.loads(line)
            match entry.pop("kind"):
                case "header":
                    header = Header(**entry)
                case "start":
                    starts[entry["case"]] += 1
                case "row":
                    rows.append(Row.from_json(entry))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SonicGuardError(
                f"measure: line {number} of {path} is not from a table of measurements ({error!r}); name another file."
            ) from error
    return Contents(header, tuple(rows), starts)


def mend(path: Path) -> None:
    """Cut off a last line that a killed process left half written."""
    if path.exists():
        size = len(_whole_lines(path.read_bytes()))
        if size < path.stat().st_size:
            os.truncate(path, size)


def append_header(path: Path, header: Header) -> None:
    """Begin the table."""
    _append(path, {"kind": "header", **asdict(header)})


def append_start(path: Path, case: Case) -> None:
    """Note that `case` is begun."""
    _append(path, {"kind": "start", "case": case.name})


def append_row(path: Path, row: Row) -> None:
    """Note the result of a case."""
    _append(path, {"kind": "row", **row.to_json()})


def _append(path: Path, entry: dict[str, Any]) -> None:
    line = (json.dumps(entry, ensure_ascii=False) + "\n").encode()
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line)
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise OutputError(f"measure: cannot write to {path} ({error.strerror}); name another file.") from error


def _whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]
