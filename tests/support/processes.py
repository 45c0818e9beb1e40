"""Processes that begin at once: a server that has imported what they need forks each, where the system can.

What they do is a function of a module of `tests.support`, so that they find it by its name.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

_methods = multiprocessing.get_all_start_methods()
PROCESSES: Any = multiprocessing.get_context("forkserver" if "forkserver" in _methods else "spawn")
if "forkserver" in _methods:
    PROCESSES.set_forkserver_preload(["tests.support.preloaded"])


class Ended(NamedTuple):
    """How a process of its own has ended, and what it has written."""

    code: int
    out: bytes
    err: bytes


def sonic_guard(*arguments: str | os.PathLike[str], limit_s: float = 60) -> Ended:
    """``python -m sonic_guard`` with these arguments, in the folder this process is in."""
    return ended(_run_module, ["sonic_guard", *map(os.fspath, arguments)], limit_s=limit_s)


def ended(work: Callable[..., object], *arguments: object, limit_s: float = 60) -> Ended:
    """The result of `work` in a process of its own; fails where it takes longer than `limit_s`."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "out", Path(folder) / "err"
        child = PROCESSES.Process(target=_redirected, args=(files, os.getcwd(), work, arguments))
        child.start()
        child.join(limit_s)
        if child.exitcode is None:
            child.kill()
            child.join()
            raise AssertionError(f"not done after {limit_s} s")
        return Ended(child.exitcode, *(file.read_bytes() for file in files))


def _redirected(files: tuple[Path, Path], folder: str, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    os.chdir(folder)
    for number, path in enumerate(files, start=1):
        with path.open("wb") as file:
            os.dup2(file.fileno(), number)
    try:
        work(*arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _run_module(arguments: list[str]) -> None:
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
