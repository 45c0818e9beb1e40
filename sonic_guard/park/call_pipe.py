"""The pipe between a Dask worker and a process that works for it: shares go out, a word to cancel comes in."""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

CANCEL = "cancel"
REPORT_S = 0.5
"""Least seconds between two shares."""


def reporter(pipe: Connection) -> Callable[[float], None]:
    """A function that sends shares of the work done, 0 … 1, not too often."""
    sent = [0.0]

    def notify(share: float) -> None:
        now = time.monotonic()
        if now - sent[0] >= REPORT_S:
            sent[0] = now
            with contextlib.suppress(OSError):
                pipe.send(share)

    return notify


def on_cancel(pipe: Connection, cancel: Callable[[], object]) -> None:
    """Have `cancel` called from another thread when the worker asks for it. Without the worker the process ends."""

    def listen() -> None:
        try:
            pipe.recv()  # anything says cancel
        except (EOFError, OSError):
            os._exit(1)  # the worker is gone; who comes after it finds what is being made
        cancel()

    threading.Thread(target=listen, daemon=True).start()
