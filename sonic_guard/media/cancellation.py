"""Cancellation and time limits: long work calls a `Check` between its steps."""

import time
from collections.abc import Callable
from os import PathLike

from ..errors import SlowFileError
from ..plain_files import shown

Check = Callable[[], None]
"""Called between two steps of work; an exception it raises ends the work."""


def nothing() -> None:
    """A `Check` that never ends the work."""


def deadline(path: str | PathLike[str], seconds: float) -> Check:
    """A `Check` that raises `SlowFileError`, about `path`, once `seconds` have passed from now."""
    until_s = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > until_s:
            raise SlowFileError(
                f"{shown(path)}: to look through it takes more than {seconds:.0f} s. Try again if its disk was asleep "
                "or busy; if not, export it again: a picture as PNG, a sound as WAV."
            )

    return check
