"""What this process opens while a test watches: Python's own audit events, which cannot be bypassed."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_watching: list[list[str]] = []


def _record(event: str, arguments: tuple) -> None:
    if event == "open" and _watching and isinstance(arguments[0], (str, bytes, os.PathLike)):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        for opened in _watching:
            opened.append(path)


sys.addaudithook(_record)  # for the life of the process: it cannot be removed


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """The absolute paths of the files opened inside the block, by any thread, in order."""
    opened: list[str] = []
    _watching.append(opened)
    try:
        yield opened
    finally:
        _watching.remove(opened)
