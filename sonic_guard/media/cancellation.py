"""How long work may go on: a `Check` is called between two pieces of it."""

import time
from collections.abc import Callable
from os import PathLike

from ..errors import SlowFileError
from ..plain_files import shown

Check = Callable[[], None]
"""Called between two pieces of work; what it raises ends the work."""


def nothing() -> None:
    """Does not end the work."""


def deadline(path: str | PathLike[str], seconds: float) -> Check:
    """Ends the work on `path` with a `SlowFileError` when `seconds` are over, counted from now."""
    until_s = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > until_s:
            raise SlowFileError(
                f"{shown(path)}: to look through it takes more than {seconds:.0f} s. Export it again, a sound as WAV."
            )

    return check
