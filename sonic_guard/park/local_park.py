"""The processes of a farm on one machine: started, found again by the next client, and replaced when they die."""

import json
import multiprocessing
import multiprocessing.spawn
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from ..atomic_files import discard, errors_about, write_text
from ..errors import FarmError
from ..plain_files import printable
from .comfyui_start import ServerStart
from .local_children import CLIENT, Place, run_comfyui, run_scheduler, run_worker

SIGN_S = 1.0
RESTART_S = (0.5, 30.0)
"""Seconds before a process that has died is started again: first, and at most. They double while it dies young."""
YOUNG_S, MAX_DEATHS = 20.0, 6
"""A process that ends so soon after its start, and so often in a row, is not started again."""


@dataclass
class _Child:
    """A process of the farm, over its restarts."""

    place: Place
    start: Callable[["_Child"], Any]
    """Starts it, and returns what multiprocessing knows of it."""
    process: Any = None
    started: float = 0.0
    delay_s: float = RESTART_S[0]
    deaths: int = 0
    """In a row, each soon after its start."""

    @property
    def pid(self) -> int | None:
        """The process that has signed in last, alive or not."""
        try:
            return int(self.place.sign.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def count_death(self) -> None:
        """Start it later each time that it ends by an error of its own; who was killed, or left, begins at once."""
        if self.process is not None and (self.process.exitcode or 0) > 0:
            self.deaths += 1
            self.delay_s = min(2 * self.delay_s, RESTART_S[1])
        else:
            self.deaths, self.delay_s = 0, RESTART_S[0]

    def is_alive(self) -> bool:
        """Whether it runs; a process that was just started and has not signed in counts."""
        if self.process is not None:
            return self.process.is_alive()
        return _is_ours(self.pid, self.place)


def _is_ours(pid: int | None, place: Place) -> bool:
    """Whether the process `pid` is alive and not another that got its number: it began before it signed in."""
    if pid is None:
        return False
    try:
        process = psutil.Process(pid)
        signed = place.sign.stat().st_mtime
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= signed + 1
    except (psutil.Error, OSError):
        return False


@dataclass
class LocalPark:
    """Scheduler, workers and servers in `folder`. Use as a context: at its end all processes are ended."""

    folder: Path
    servers: Sequence[str | ServerStart]
    """Addresses of running servers, and servers to start."""
    user_folder: Path
    """ComfyUI's user folder for all servers that are started: finished parts of a video in it serve each of them."""
    cpu_workers: int = 1
    """Workers without a server, for what needs no card."""
    scheduler: str = ""
    addresses: list[str] = field(default_factory=list)
    _children: list[_Child] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "LocalPark":
        with errors_about(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        ports = self._ports(1 + len(self.servers))
        self.scheduler = f"tcp://127.0.0.1:{ports[0]}"
        (self.folder / CLIENT).touch()
        threading.Thread(target=self._show, daemon=True).start()
        self._add("scheduler", lambda child: _spawn(run_scheduler, child.place, ports[0]))
        for number, (server, port) in enumerate(zip(self.servers, ports[1:], strict=True), start=1):
            self.addresses.append(self._add_server(server, number, port))
        for number, address in enumerate(self.addresses, start=1):
            self._add_worker(f"worker {number}", address)
        for number in range(1, self.cpu_workers + 1):
            self._add_worker(f"cpu worker {number}", "")
        self.tend()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def started(self) -> frozenset[str]:
        """Addresses of the servers that are started here, without those that ran before."""
        both = zip(self.servers, self.addresses, strict=True)
        return frozenset(address for server, address in both if isinstance(server, ServerStart))

    def tend(self) -> list[str]:
        """Start what is not alive. Returns the names of those that had died.

        Raises `FarmError` for a process that ends again and again soon after its start.
        """
        died = []
        for child in self._children:
            if child.is_alive():
                if child.started and time.monotonic() - child.started > YOUNG_S:
                    child.deaths, child.delay_s = 0, RESTART_S[0]
                continue
            if child.started and time.monotonic() - child.started < child.delay_s:
                continue
            if child.started:
                died.append(child.place.name)
                child.count_death()
                if child.deaths >= MAX_DEATHS:
                    raise FarmError(f"{child.place.name}: it ends again and again: {_last_line(child.place.log)}.")
            child.process, child.started = child.start(child), time.monotonic()
        return died

    def close(self) -> None:
        """End all processes."""
        self._ended.set()
        found = [process for process in map(_process, self._children) if process]
        for process in found:
            _signal(process.terminate)
        for process in psutil.wait_procs(found, timeout=5)[1]:
            _signal(process.kill)
        for child in self._children:
            discard(child.place.sign)

    def _add(self, name: str, start: Callable[[_Child], Any]) -> None:
        self._children.append(_Child(Place(self.folder, name), start))

    def _add_server(self, server: str | ServerStart, number: int, port: int) -> str:
        if isinstance(server, str):
            return server
        server.prepare()
        arguments = self._arguments(server, number, port)
        self._add(
            f"server {number}",
            lambda child: _spawn(run_comfyui, child.place, server.comfyui, arguments, port, python=server.python),
        )
        return f"http://127.0.0.1:{port}"

    def _add_worker(self, name: str, address: str) -> None:
        self._add(name, lambda child: _spawn(run_worker, child.place, self.scheduler, address))

    def _arguments(self, server: ServerStart, number: int, port: int) -> list[str]:
        home = self.folder / f"server {number} files"
        folders = {"--input-directory": "input", "--output-directory": "output", "--temp-directory": "temp"}
        for name in folders.values():
            (home / name).mkdir(parents=True, exist_ok=True)
        self.user_folder.mkdir(parents=True, exist_ok=True)
        device = ["--cpu"] if server.card is None else ["--cuda-device", str(server.card)]
        return [
            "--listen", "127.0.0.1", "--port", str(port), "--disable-auto-launch", *device,
            *(part for option, name in folders.items() for part in (option, str(home / name))),
            "--user-directory", str(self.user_folder), "--database-url", f"sqlite:///{home / 'comfyui.db'}",
            *server.arguments, *server.lean_options(),
        ]  # fmt: skip

    def _ports(self, count: int) -> list[int]:
        """The farm's ports: those of the last client, whose processes may be there, else free ones."""
        file = self.folder / "ports.json"
        try:
            known = json.loads(file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            known = []
        if len(known) != count:
            known = _free_ports(count)
            write_text(file, json.dumps(known))
        return known

    def _show(self) -> None:
        while not self._ended.wait(SIGN_S):
            try:
                os.utime(self.folder / CLIENT)
            except OSError:
                return  # the folder is gone: so is the farm


_spawning = threading.Lock()


def _spawn(work: Callable[..., object], *arguments: object, python: Path | None = None) -> Any:
    context = multiprocessing.get_context("spawn")
    with _spawning:
        before = multiprocessing.spawn.get_executable()
        if python:
            context.set_executable(str(python))
        try:
            process = context.Process(target=work, args=arguments)
            process.start()
        finally:
            context.set_executable(before)
    return process


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return "it has no log"
    return printable(lines[-1])[:300].rstrip(".") if lines else "its log is empty"


def _process(child: _Child) -> psutil.Process | None:
    pid = child.process.pid if child.process is not None else child.pid
    try:
        return psutil.Process(pid) if pid and child.is_alive() else None
    except psutil.Error:
        return None


def _signal(send: Callable[[], object]) -> None:
    try:
        send()
    except psutil.Error:
        return  # it has ended by itself


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
