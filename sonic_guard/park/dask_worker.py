"""What a Dask worker runs, one call at a time: it is bound to one ComfyUI server, or to none and works on the CPU."""

import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ..devices.host_memory import host_memory
from ..errors import FarmError
from .call_pipe import CANCEL
from .comfyui_client import Facts, LackingError, RefusedError, ServerDeadError, ServerGoneError, connected
from .cpu_call import CpuCall, make
from .local_children import SERVER
from .outcomes import Ended, Outcome
from .server_call import Call, serve

TOPIC = "sonic-guard"
"""Of Dask's events with the share of a video that is done."""
VRAM = "VRAM"
"""Dask's resource: bytes of the card, of which a task takes what it is predicted to need."""
LOOK_S = 0.2
END_S = 10.0
"""Seconds that a call gets to take its prompt off the server's queue, when it is cancelled."""
_STOPS: dict[str, threading.Event] = {}
"""By task, of what is being made by this process."""
_HANGING: set[str] = set()
"""Prompts that this worker's server neither made nor stopped."""


@dataclass(frozen=True)
class Bound:
    """A worker with its server, as the farm sees it."""

    server: str
    """Address; "" for a worker on the CPU."""
    facts: Facts | None = None
    """Of the server; of this machine where there is none."""
    fault: str = ""
    """Why the server cannot be used."""
    is_lacking: bool = False
    """Whether it lacks nodes that a video needs: it has to be started again with them."""
    is_silent: bool = False
    """Whether nobody listens at its address: it has ended, or does not listen yet."""
    can_spawn: bool = True
    """Whether it can start a process for a call: not under a nanny that makes its worker daemonic."""


async def describe(dask_worker: Any) -> Bound:
    """The server of this worker. Run on it by `Client.run`, and gives it the card's memory as a resource of Dask."""
    bound = await _bound()
    if bound.server and bound.facts:
        await dask_worker.set_resources(**{VRAM: bound.facts.total_bytes})
    return bound


async def _bound() -> Bound:
    server = os.environ.get(SERVER, "")
    can_spawn = not multiprocessing.current_process().daemon
    if not server:
        memory = host_memory()
        return Bound("", Facts("", "cpu", "CPU", memory.total_bytes, memory.available_bytes), can_spawn=can_spawn)
    try:
        async with connected(server) as client:
            _HANGING.intersection_update([each for each in _HANGING if await client.is_queued(each)])
            if _HANGING:
                return Bound(server, fault="a video hangs on it; restart it", can_spawn=can_spawn)
            return Bound(server, await client.facts(), can_spawn=can_spawn)
    except ServerGoneError as error:
        is_silent = isinstance(error, ServerDeadError)
        return Bound(server, fault=f"it does not answer ({error})", is_silent=is_silent, can_spawn=can_spawn)
    except (FarmError, RefusedError) as error:
        return Bound(server, fault=str(error), is_lacking=isinstance(error, LackingError), can_spawn=can_spawn)


def run_call(call: Call | CpuCall) -> Ended:
    """Make one file, in a process that may die alone. A Dask task; it raises nothing."""
    stop = _STOPS.setdefault(call.task, threading.Event())
    try:
        ours, theirs = _context().Pipe()
        target = make if isinstance(call, CpuCall) else serve
        child = _context().Process(target=target, args=(call, theirs))
        child.start()
        theirs.close()
        try:
            ended = _followed(call.task, ours, stop)
            if ended.outcome is Outcome.SERVER_STUCK and isinstance(call, Call):
                _HANGING.add(call.prompt_id)
            return ended
        except EOFError:
            child.join(END_S)
            return Ended(Outcome.LOST, f"the process of the call has died (exit code {child.exitcode})")
        finally:
            child.join(LOOK_S)
            child.kill()
            child.join()
            ours.close()
    finally:
        _STOPS.pop(call.task, None)


def cancel(task: str) -> None:
    """Have a task no longer made. Run on the worker by `Client.run`."""
    if stop := _STOPS.get(task):
        stop.set()


def _followed(task: str, pipe: Connection, stop: threading.Event) -> Ended:
    """The end that the process reports. Raises `EOFError` where it dies before."""
    cancelled_at = None
    while True:
        if stop.is_set() and cancelled_at is None:
            cancelled_at = time.monotonic()
            pipe.send(CANCEL)
        if cancelled_at is not None and time.monotonic() - cancelled_at > END_S:
            return Ended(Outcome.CANCELLED, "cancelled; the server has not answered to it")
        if pipe.poll(LOOK_S):
            message = pipe.recv()
            if isinstance(message, Ended):
                return message
            _report(task, message)


def _report(task: str, share: Any) -> None:
    from distributed import get_worker

    get_worker().log_event(TOPIC, {"task": task, "share": share})


def _context() -> Any:
    """Forks from a process that has imported what a call needs, where the system can: 20 ms instead of a second."""
    methods = multiprocessing.get_all_start_methods()
    if "forkserver" not in methods:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([serve.__module__])
    return context
