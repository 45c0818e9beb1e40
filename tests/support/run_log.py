"""The log of end-to-end runs: what ran, with what versions, how long it took, and the memory of ComfyUI's process."""

import datetime
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sonic_guard.devtools.gpu_setup import read_commit
from tests.support.comfyui_server import Host

GIB = 2**30
RUN_S = 3600
"""For a graph with the full network on a busy machine."""
HEAD = """# End-to-end runs

A real ComfyUI with the wrapper's own loader, predata and sampler on a CPU, over weight files with random numbers
(`python -m sonic_guard.devtools.random_weights`): 128 px, seconds of sound. The seconds are those of the runs, without
ComfyUI's start; the peak is the resident memory of its process, with the weight files that it maps.

`make test-end-to-end LOG=docs/end-to-end.md` renews the rows of the tests that it runs.

| test | date | versions | machine | runs | seconds | peak RAM, GiB | result |
|---|---|---|---|---:|---:|---:|---|
"""


class Row(NamedTuple):
    """A test and its runs, as the log shows them."""

    test: str
    date: str
    versions: str
    machine: str
    runs: str
    seconds: str
    peak: str
    result: str


def renew(file: Path, row: Row) -> None:
    """Write `row` to the log `file`, instead of an earlier one of the same test; rows of other tests stay."""
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    _, _, table = text.partition("|---:|---|\n")
    cells = (line.strip("|").split("|") for line in table.splitlines())
    known = [Row(*(cell.strip() for cell in line)) for line in cells]
    rows = {each.test: each for each in (*known, row)}
    lines = [f"| {' | '.join(each)} |" for each in rows.values()]
    file.write_text("\n".join([HEAD.rstrip(), *lines, ""]), encoding="utf-8")


@dataclass
class Stopwatch:
    """Time and memory of the runs of one test."""

    sonic: Path
    """The wrapper's folder."""
    runs: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0
    """Zero where the system does not say (it is read from /proc)."""
    found: str = ""
    """What the test measured, for the log."""
    versions: str = ""
    machine: str = ""

    def run(self, host: Host, graph: dict[str, Any]) -> dict[str, Any]:
        """The history's entry of a graph, run to its end without an error."""
        with self.measuring(host):
            status, answer = host.queue(graph)
            assert status == 200, answer
            entry = host.wait(answer["prompt_id"], RUN_S)
        assert entry["status"]["status_str"] == "success", entry["status"]
        return entry

    @contextmanager
    def measuring(self, host: Host) -> Iterator[None]:
        """Count what happens inside as one run on `host`, which may be killed in it."""
        self._describe(host)
        process, begun = Path("/proc") / str(host.process.pid), time.monotonic()
        if process.is_dir():
            (process / "clear_refs").write_text("5")  # the peak begins anew
        try:
            yield
        finally:
            self.runs += 1
            self.seconds += time.monotonic() - begun
            self.peak_bytes = max(self.peak_bytes, _peak_bytes(process))

    def row(self, test: str, passed: bool) -> Row:
        """What the log shows."""
        date = datetime.datetime.now(datetime.UTC).date()
        peak = f"{self.peak_bytes / GIB:.1f}" if self.peak_bytes else ""
        result = ": ".join(filter(None, ("passed" if passed else "failed", self.found)))
        return Row(
            test, str(date), self.versions, self.machine, str(self.runs), f"{self.seconds:.0f}", peak, result
        )  # fmt: skip

    def _describe(self, host: Host) -> None:
        system = host.get("/system_stats")["system"]
        commit = read_commit(self.sonic)[:7]
        self.versions = (
            f"ComfyUI {system['comfyui_version']}, ComfyUI_Sonic {commit}, torch {system['pytorch_version']}"
        )
        self.machine = f"{os.cpu_count()} cores, {system['ram_total'] / GIB:.0f} GiB"


def _peak_bytes(process: Path) -> int:
    """Most resident memory of a process, by its folder in /proc; zero where that says nothing."""
    if not (process / "status").is_file():
        return 0
    peaks = (line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM"))
    return max((int(line.split()[1]) * 1024 for line in peaks), default=0)
