"""What the processes of a local farm run: a scheduler, workers, ComfyUI servers. Standard library only at the top.

A server runs on ComfyUI's own Python, into which this module is imported before anything else is known there.

A process outlives the client that has started it, so that the next one goes on with it at once. It ends when no client
has shown itself for `ORPHAN_S`, or another process has taken its place.
"""

import gc
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ORPHAN_S = 60.0
"""Seconds without a sign of a client, by the process's own clock."""
LOOK_S = 1.0
START_S, LISTEN_S = 600.0, 0.05
"""Most seconds of a server's start, and between two looks whether it listens."""
CLIENT = "client"
"""File whose time of change is the sign of a client."""
SERVER = "SONIC_GUARD_SERVER"
"""Environment variable that binds a worker to a ComfyUI server: its address."""


@dataclass(frozen=True)
class Place:
    """Where a process of a local farm belongs."""

    folder: Path
    """With the signs of all processes, and their logs."""
    name: str
    """Of the process in the farm: "scheduler", "worker 1", "server 1"."""

    @property
    def sign(self) -> Path:
        """File with the process's id."""
        return self.folder / f"{self.name}.pid"

    @property
    def log(self) -> Path:
        """File with its output."""
        return self.folder / f"{self.name}.log"


def run_scheduler(place: Place, port: int) -> None:
    """Dask's scheduler, on the loopback."""
    _begin(place)
    import asyncio

    from dask import config
    from distributed import Scheduler

    config.set(SCHEDULING)

    async def run() -> None:
        async with Scheduler(host="127.0.0.1", port=port, dashboard_address="127.0.0.1:0") as scheduler:
            await scheduler.finished()

    asyncio.run(run())


SCHEDULING = {
    "distributed.scheduler.work-stealing": False,  # a task is bound to the card that it was placed on
    "distributed.scheduler.allowed-failures": 0,  # the farm counts attempts itself
    "distributed.scheduler.worker-ttl": "30 s",
    "distributed.comm.timeouts.connect": "10 s",
    "distributed.admin.event-loop": "20s",
}


def run_worker(place: Place, scheduler: str, server: str) -> None:
    """A Dask worker, bound to one server."""
    os.environ[SERVER] = server
    _begin(place)
    import asyncio

    from dask import config
    from distributed import Worker

    config.set(SCHEDULING)

    async def run() -> None:
        worker = Worker(
            scheduler, nthreads=1, name=place.name, host="127.0.0.1", dashboard=False, memory_limit=0,
            local_directory=str(place.folder),
        )  # fmt: skip
        async with worker:
            await worker.finished()

    asyncio.run(run())


def run_comfyui(place: Place, comfyui: Path, arguments: list[str], port: int) -> None:
    """A ComfyUI of the folder `comfyui`, which listens on `port`, on the Python that runs this process.

    While it imports, garbage is not collected: nearly all that an import creates stays, and to look through it again
    and again takes a sixth of the start.
    """
    _begin(place)
    _track_own_resources()
    gc.disable()
    threading.Thread(target=_collect_when_listening, args=(port,), daemon=True).start()
    import runpy
    import site
    import sysconfig

    # Multiprocessing has brought the search path of the client's Python, whose packages are not ComfyUI's.
    standard = sysconfig.get_path("stdlib")
    sys.path[:] = [standard, os.path.join(standard, "lib-dynload"), os.path.join(sys.base_prefix, "DLLs")]
    for folder in site.getsitepackages():
        site.addsitedir(folder)
    for name in [each for each in sys.modules if each.partition(".")[0] == "sonic_guard"]:
        del sys.modules[name]
    os.chdir(comfyui)
    sys.path.insert(0, str(comfyui))
    sys.argv = ["main.py", *arguments]
    runpy.run_path(str(comfyui / "main.py"), run_name="__main__")


def _begin(place: Place) -> None:
    """Sign in, send the output to the log, and watch for the end of the farm."""
    temp = place.sign.with_suffix(f".{os.getpid()}")
    temp.write_text(str(os.getpid()), encoding="ascii")
    os.replace(temp, place.sign)
    sys.stdout.flush()
    with place.log.open("ab") as log:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl+C in the terminal is the client's
    threading.Thread(target=_watch, args=(place,), daemon=True).start()


def _track_own_resources() -> None:
    """Leave multiprocessing's resource tracker of the client, which is inherited, for one that ends with this process.

    A server is ended by a signal, with its locks (tqdm makes one at Sonic's first step). The client's tracker would
    take them for the client's own and warn of them at its end, and it may be that of another version of Python.
    """
    if os.name != "posix":
        return  # there is none
    from multiprocessing import resource_tracker

    tracker: Any = resource_tracker._resource_tracker  # pyright: ignore[reportPrivateUsage]
    if (inherited := getattr(tracker, "_fd", None)) is not None:
        tracker._fd = None  # the first semaphore starts another
        os.close(inherited)


def _collect_when_listening(port: int) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(LISTEN_S)
    gc.enable()


def _watch(place: Place) -> None:
    seen, since = 0, time.monotonic()
    while True:
        try:
            now = (place.folder / CLIENT).stat().st_mtime_ns
            is_current = place.sign.read_text(encoding="ascii") == str(os.getpid())
        except OSError:
            now, is_current = seen, False  # the folder is gone, or the sign: nobody wants this process
        if now != seen:
            seen, since = now, time.monotonic()
        if not is_current or time.monotonic() - since > ORPHAN_S:
            os._exit(0)
        time.sleep(LOOK_S)
