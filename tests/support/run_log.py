"""The log of end-to-end runs: what ran, with what versions, how long it took, and the memory of ComfyUI's process."""

import datetime
import json
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sonic_guard.devtools.gpu_setup import read_commit
from tests.support.comfyui_server import Host

GIB = 2**30
RUN_S = 3600
"""For a graph with the full network on a busy machine."""


class Row(NamedTuple):
    """A test and its runs."""

    title: str
    runs: int
    seconds: float
    """Of all runs, from queueing to the result; the start of ComfyUI is not counted."""
    peak_bytes: int | None
    """Most resident memory of ComfyUI's process, mapped weight files included; None where the system does not say."""
    result: str


@dataclass
class RunLog:
    """The rows so far, and the machine."""

    rows: list[Row] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def note_versions(self, host: Host, sonic: Path) -> None:
        """Remember what `host` runs on, and the wrapper in the folder `sonic`."""
        system = host.get("/system_stats")["system"]
        self.versions = {
            "ComfyUI": system["comfyui_version"],
            "ComfyUI_Sonic": read_commit(sonic)[:7],
            "torch": system["pytorch_version"],
            "Python": system["python_version"].split()[0],
            "system": f"{platform.system()} {platform.machine()}, {system['ram_total'] / GIB:.0f} GiB",
        }

    def to_markdown(self) -> str:
        """The document."""
        date = datetime.datetime.now(datetime.UTC).date()
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        lines = [
            "# End-to-end runs",
            "",
            "ComfyUI with the wrapper's own loader, predata and sampler on a CPU, over weight files with random",
            "numbers (`python -m sonic_guard.devtools.random_weights`).",
            "Written by `make test-end-to-end LOG=docs/end-to-end.md`.",
            "",
            f"{date}: {versions}.",
            "",
            "| test | runs | seconds | peak RAM, GiB | result |",
            "|---|---:|---:|---:|---|",
        ]
        for row in self.rows:
            peak = "" if row.peak_bytes is None else f"{row.peak_bytes / GIB:.1f}"
            lines.append(f"| {row.title} | {row.runs} | {row.seconds:.0f} | {peak} | {row.result} |")
        return "\n".join([*lines, ""])


@dataclass
class Stopwatch:
    """Time and memory of the runs of one test."""

    runs: int = 0
    seconds: float = 0.0
    peak_bytes: int | None = None

    def run(self, host: Host, graph: dict[str, Any]) -> dict[str, Any]:
        """The history's entry of a graph, run to its end without an error."""
        with self.measuring(host):
            status, answer = host.queue(graph)
            assert status == 200, json.dumps(answer, indent=1)
            entry = host.wait(answer["prompt_id"], RUN_S)
        assert entry["status"]["status_str"] == "success", entry["status"]
        return entry

    def measuring(self, host: Host) -> "_Measuring":
        """A context that counts as one run on `host`."""
        return _Measuring(self, host)


class _Measuring:
    def __init__(self, watch: Stopwatch, host: Host) -> None:
        self._watch, self._process = watch, Path("/proc") / str(host.process.pid)

    def __enter__(self) -> None:
        self._begun = time.monotonic()
        if self._process.is_dir():
            (self._process / "clear_refs").write_text("5")  # the peak begins anew

    def __exit__(self, *_: object) -> None:
        self._watch.runs += 1
        self._watch.seconds += time.monotonic() - self._begun
        status = self._process / "status"
        if status.is_file():
            (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
            peak = int(line.split()[1]) * 1024
            self._watch.peak_bytes = max(self._watch.peak_bytes or 0, peak)
