"""What came of an attempt to find out a fact about a file, and when to try again.

What follows from a file's bytes holds as long as they do. What a slow or failing disk has caused passes, although the
file stays the same: its disk wakes up, is less busy, or is there again.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import SlowFileError, SonicGuardError, UnknownNameError

FIRST_PAUSE_S = 5.0
"""Seconds before the second attempt: a sleeping disk has started by then."""
PAUSE_GROWTH = 3
"""Each pause as a multiple of the one before: a file that is always slow must not keep a thread busy."""
LONGEST_PAUSE_S = 1800.0
"""Seconds of the longest pause."""
_MOST_GROWTHS = 20
"""Beyond any need; the power of a float has a limit."""


class Substitute(NamedTuple):
    """What is used where a limit of time has ended the work; it is tried again later."""

    value: Any


class Failure(NamedTuple):
    """An error that is raised for every caller; one exception object would collect all of their tracebacks."""

    kind: type[SonicGuardError]
    text: str


class Outcome(NamedTuple):
    """What came of an attempt."""

    found: Any
    """The fact, or a `Failure`."""
    until_s: float = math.inf
    """The moment, of `time.monotonic`, from which it is worth another attempt."""

    @property
    def is_usable(self) -> bool:
        """Whether there is a value, if only a substitute."""
        return not isinstance(self.found, Failure)

    @property
    def is_over(self) -> bool:
        """Whether the time for another attempt has come."""
        return time.monotonic() >= self.until_s


def attempt(find: Callable[[], Any], path: Path, before: int) -> Outcome:
    """What comes of `find`, a look at the file `path` after `before` attempts in vain.

    Exceptions that the file has not caused, such as a lack of memory, propagate.
    """
    try:
        found = find()
    except SonicGuardError as error:
        return Outcome(Failure(type(error), str(error)), _until_s(before) if _passes(error) else math.inf)
    except OSError as error:
        text = f"file: {path.name!r} cannot be read: {error.strerror}."
        return Outcome(Failure(UnknownNameError, text), _until_s(before))
    return Outcome(found.value, _until_s(before)) if isinstance(found, Substitute) else Outcome(found)


def _passes(error: SonicGuardError) -> bool:
    """Whether the disk has caused the error. Pillow's errors about damage are an `OSError` without a number."""
    cause = error.__cause__
    return isinstance(error, SlowFileError) or (isinstance(cause, OSError) and cause.errno is not None)


def _until_s(before: int) -> float:
    return time.monotonic() + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * PAUSE_GROWTH ** min(before, _MOST_GROWTHS))
