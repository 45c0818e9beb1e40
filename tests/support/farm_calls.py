"""A farm's call to a server, in a process of its own as a worker starts it."""

import os
from collections.abc import Mapping
from multiprocessing.connection import Connection

from sonic_guard.park.server_call import Call, serve
from tests.support.processes import PROCESSES


def start(call: Call, environment: Mapping[str, str]) -> Connection:
    """Begin a call with these variables of the environment. Returns the pipe to it."""
    ours, theirs = PROCESSES.Pipe()
    PROCESSES.Process(target=_serve, args=(call, theirs, dict(environment)), daemon=True).start()
    theirs.close()
    return ours


def _serve(call: Call, pipe: Connection, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    serve(call, pipe)
