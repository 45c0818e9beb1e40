"""The results file: JSON lines that stay readable if the process is killed at any moment.

The first line describes the card and the software. A check has a line when it starts a row, one with the row, and one
when it is finished. Lines of a killed check are kept: the check goes on after them.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sonic_guard.errors import SonicGuardError

Row = dict[str, Any]
"""What a check has found, as JSON values; its "key" is unique in the check."""

MAX_STARTS = 3
"""A row that was started as often and not made, since the process was killed, ends its check."""


@dataclass
class Results:
    """The content of a results file."""

    path: Path
    header: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """By check."""
    finished: set[str] = field(default_factory=set)
    starts: dict[str, int] = field(default_factory=dict)
    """How often each check's next row was started."""

    def keys(self, check: str) -> set[str]:
        """The keys of a check's rows."""
        return {row["key"] for row in self.rows.get(check, ())}

    def given_up(self, checks: Iterable[str]) -> list[str]:
        """Those of `checks` that are started no more."""
        return [name for name in checks if name not in self.finished and self.starts.get(name, 0) >= MAX_STARTS]

    def add(self, kind: str, check: str, row: Mapping[str, Any] | None = None) -> None:
        """Write a line, synced to disk, and take it up."""
        entry = {"kind": kind, "check": check, **(row or {})}
        self._write(entry)
        self._take(entry)

    def begin(self, header: Mapping[str, Any], setup: Iterable[str]) -> None:
        """Write the header of a new file; raises `SonicGuardError` for one of another setup."""
        if not self.header:
            self.header = dict(header)
            self._write({"kind": "header", **header})
        different = [name for name in setup if self.header.get(name) != header.get(name)]
        if different:
            raise SonicGuardError(
                f"bench.card: {self.path} is of another setup ({', '.join(different)}); name another folder with --out."
            )

    def _take(self, entry: dict[str, Any]) -> None:
        kind, check = entry.pop("kind"), entry.pop("check")
        match kind:
            case "start":
                self.starts[check] = self.starts.get(check, 0) + 1
            case "stopped":
                self.starts[check] -= 1
            case "row":
                self.rows.setdefault(check, []).append(entry)
                self.starts[check] = 0
            case "finished":
                self.finished.add(check)

    def _write(self, entry: Mapping[str, Any]) -> None:
        line = (json.dumps(entry, ensure_ascii=False) + "\n").encode()
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line)
            os.fsync(file)
        finally:
            os.close(file)


def read(path: Path) -> Results:
    """The results at `path`, without an incomplete last line, which is removed; empty if there is no file."""
    results = Results(path)
    if not path.exists():
        return results
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    for number, line in enumerate(whole.decode().splitlines(), 1):
        try:
            entry = json.loads(line)
            if entry["kind"] == "header":
                entry.pop("kind")
                results.header = entry
            else:
                results._take(entry)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SonicGuardError(f"bench.card: line {number} of {path} is not a result ({error!r}).") from error
    return results
