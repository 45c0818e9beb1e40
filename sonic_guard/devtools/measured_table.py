"""The file that `measure` writes: JSON lines that stay readable if the process is killed at any moment.

The first line describes the card and the software (`Header`). Then every case has a line when it starts and one with
its row when it ends, each written in one call and synced to disk. An incomplete last line is removed when the file is
opened again.
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
    """The card and the software with which a table was measured."""

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
    """UTC, ISO 8601: when the first case was started."""
    sonic_commit: str
    model: dict[str, str]
    """The source of the constants that made the predictions."""
    used_before_bytes: int | None
    """In use on the card before this process used it, according to NVML; None without NVML."""
    context_bytes: int | None
    """Size of the CUDA context: the increase of the memory in use when it was created, according to NVML.

    Without NVML nothing can be read before the context exists; then this is all memory in use after, including other
    processes. The code of kernels is loaded later, with their first launch: see `MeasuredPeaks.outside_bytes`.
    """

    @property
    def setup(self) -> tuple[str, ...]:
        """The fields that must be equal for all rows of a table."""
        return (self.card, self.torch, self.cuda, self.driver, self.allocator, self.sonic_commit)


class MeasuredPeaks(NamedTuple):
    """Time and peak memory of a measured function. The bytes are None without a card."""

    seconds: float
    """Wall time, with the card synchronised before and after."""
    allocated_bytes: int | None = None
    """Peak bytes of live tensors (`max_memory_allocated`): what the model predicts."""
    reserved_bytes: int | None = None
    """Peak bytes held by the caching allocator (`max_memory_reserved`)."""
    outside_bytes: int | None = None
    """Bytes in use on the card at the end outside of the allocator.

    These are the context, the code of the kernels loaded so far, and other processes on the card.
    """

    @property
    def device_bytes(self) -> int | None:
        """Bytes in use on the whole card at the peak: `reserved_bytes` plus `outside_bytes`.

        The latter is read once, after the work: within a process it only grows, when kernels are loaded, so that no
        sampling is needed.
        """
        if self.reserved_bytes is None or self.outside_bytes is None:
            return None
        return self.reserved_bytes + self.outside_bytes


@dataclass(frozen=True)
class Row:
    """The result of one case."""

    case: Case
    predicted_bytes: int
    """The predicted peak bytes of tensors on the day of the measurement, overhead not included."""
    peaks: MeasuredPeaks | None
    """None if the case did not complete."""
    pass_s: float | None
    """Seconds of the network's last pass; None in stages without the network."""
    wall_s: float
    """Seconds of the case, including setup."""
    oom: str | None = None
    """The stage that ran out of memory."""
    error: str | None = None
    """The first line of torch's error."""

    def to_json(self) -> dict[str, Any]:
        """A flat object: the case's settings, the prediction and the measured figures."""
        peaks = self.peaks
        return {
            **self.case.to_json(),
            "stand_in": self.case.stand_in,
            "predicted_bytes": self.predicted_bytes,
            "allocated_bytes": peaks and peaks.allocated_bytes,
            "reserved_bytes": peaks and peaks.reserved_bytes,
            "outside_bytes": peaks and peaks.outside_bytes,
            "device_bytes": peaks and peaks.device_bytes,
            "seconds": peaks and peaks.seconds,
            "pass_s": self.pass_s,
            "wall_s": self.wall_s,
            "oom": self.oom,
            "error": self.error,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Row":
        """The inverse of `to_json`."""
        seconds = data["seconds"]
        peaks = None if seconds is None else MeasuredPeaks(seconds, *(data[key] for key in MeasuredPeaks._fields[1:]))
        others = {name: data[name] for name in ("predicted_bytes", "pass_s", "wall_s", "oom", "error")}
        return cls(Case.from_json(data), peaks=peaks, **others)


class Try(NamedTuple):
    """One run of a case under a limit: a step of the search for what the case needs."""

    case: Case
    limit_bytes: int
    """What torch's allocator might hold."""
    ended: bool
    """Whether the case ended; otherwise it ran out of memory."""
    peaks: MeasuredPeaks | None = None
    """None if it did not end."""
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A flat object: the case's settings, the limit, and what came of it."""
        peaks = None if self.peaks is None else self.peaks._asdict()
        return {**self.case.to_json(), "limit_bytes": self.limit_bytes, "ended": self.ended, "error": self.error,
                "peaks": peaks}  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Try":
        """The inverse of `to_json`."""
        peaks = None if data["peaks"] is None else MeasuredPeaks(**data["peaks"])
        return cls(Case.from_json(data), data["limit_bytes"], data["ended"], peaks, data["error"])


@dataclass(frozen=True)
class Contents:
    """The content of a table."""

    header: Header | None = None
    rows: tuple[Row, ...] = ()
    starts: Counter[str] = field(default_factory=Counter)
    """Number of times each case was started, by its name."""
    tries: tuple[Try, ...] = ()
    """Runs under a limit, in the order they were made."""

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Names of cases that were started and have no row."""
        done = {row.case.name for row in self.rows}
        return tuple(name for name in self.starts if name not in done)


def read(path: Path) -> Contents:
    """The table at `path`; empty if the file does not exist.

    Raises `SonicGuardError` if the file is not a table of measurements.
    """
    if not path.exists():
        return Contents()
    header, rows, starts, tries = None, [], Counter(), []
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
                case "try":
                    tries.append(Try.from_json(entry))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SonicGuardError(
                f"measure: line {number} of {path} is not from a table of measurements ({error!r}); name another file."
            ) from error
    return Contents(header, tuple(rows), starts, tuple(tries))


def mend(path: Path) -> None:
    """Remove an incomplete last line, which a killed process has left."""
    if path.exists():
        size = len(_whole_lines(path.read_bytes()))
        if size < path.stat().st_size:
            os.truncate(path, size)


def append_header(path: Path, header: Header) -> None:
    """Write the first line of the table. Raises `OutputError`."""
    _append(path, {"kind": "header", **asdict(header)})


def append_start(path: Path, case: Case) -> None:
    """Record that `case` is started. Raises `OutputError`."""
    _append(path, {"kind": "start", "case": case.name})


def append_row(path: Path, row: Row) -> None:
    """Record the result of a case. Raises `OutputError`."""
    _append(path, {"kind": "row", **row.to_json()})


def append_try(path: Path, attempt: Try) -> None:
    """Record a run under a limit. Raises `OutputError`."""
    _append(path, {"kind": "try", **attempt.to_json()})


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
