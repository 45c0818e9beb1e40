"""Errors for the user: what is wrong, with which input, and what to do about it.

The text may be shown on a page, which other people than the machine's owner can see. So it contains the name of a file
without its folder. `SonicGuardError.path` has the full path, for the command line.
"""

from collections.abc import Collection
from itertools import islice
from pathlib import Path

MAX_ERROR_TEXT = 4000
"""Longest text of an error in characters."""
MAX_VALUE_TEXT = 100
"""Most characters of a value in the text of an error."""


class SonicGuardError(Exception):
    """Base class of the errors of this library; the text is meant to be shown to the user.

    A text of more than `MAX_ERROR_TEXT` characters is truncated, because it may contain input from a file or a page.
    """

    text: str
    """In English, even where the exception's own text, `str`, has been translated for the user."""
    shown: str
    """In the user's language, where it was put together in that language already; else empty."""
    path: Path | None
    """The full path of the file concerned, if there is one on this machine."""

    def __init__(self, text: str = "", *, shown: str = "", path: Path | None = None) -> None:
        self.text, self.shown = _cut(text), _cut(shown)
        super().__init__(self.shown or self.text)
        self.path = path


def brief(value: object) -> str:
    """The representation of any `value` in at most `MAX_VALUE_TEXT` characters.

    A text may have megabytes, and the representation of some values fails: Python does not convert integers of more
    than 4,300 digits.
    """
    try:
        return f"{value!r:.{MAX_VALUE_TEXT}}"
    except Exception:
        return f"a value ({type(value).__name__}) that cannot be shown"


def reject_json_constant(name: str) -> None:
    """The ``parse_constant`` for `json.loads`: raises `ValueError` for NaN and infinities, which are not JSON."""
    raise ValueError(f"{name} is not a number in JSON")


def first_of(texts: Collection[str], most: int, between: str = ", ") -> str:
    """The first `most` of `texts`, joined with `between`, and the number of the others."""
    left = len(texts) - most
    shown = between.join(islice(texts, most))
    return f"{shown} … (and {left:,} more)" if left > 0 else shown


def _cut(text: str) -> str:
    left = len(text) - MAX_ERROR_TEXT
    return f"{text[:MAX_ERROR_TEXT]}… (characters left out: {left:,})" if left > 0 else text


class JobError(SonicGuardError):
    """The settings of a run are impossible (zero seconds, NaN, a size of 0 …)."""


class AudioError(SonicGuardError):
    """A sound could not be read, has no samples, or is of the wrong type."""


class PictureError(SonicGuardError):
    """A picture could not be read or has an impossible shape."""


class FootageError(SonicGuardError):
    """A video could not be read: missing, damaged, without pictures, or of a kind that is not read here."""


class FinishError(SonicGuardError):
    """A finishing step cannot be done with these settings or this video."""


class FaceError(SonicGuardError):
    """No usable face: none found, the chosen one does not exist, or the manual box is outside the picture."""


class PresetError(SonicGuardError):
    """A preset is missing, misnamed, or does not match the schema."""


class BudgetError(SonicGuardError):
    """The memory budget could not be determined or is impossible."""


class PlanError(SonicGuardError):
    """The planner got an unknown policy or optimization."""


class WrapperError(SonicGuardError):
    """The Sonic wrapper is missing, or is not a version that this library knows."""


class WeightsError(SonicGuardError):
    """A checkpoint's header could not be read: missing, damaged, or a format without a header."""


class OutputError(SonicGuardError):
    """A result could not be written (read-only folder, full disk)."""


class HistoryError(SonicGuardError):
    """The history of runs cannot be read or written: wrong location, unreachable server, or a newer version's file."""


class GraphError(SonicGuardError):
    """A graph that is malformed, has a cycle, or has a value of the wrong type."""


class FileNameError(SonicGuardError):
    """A name that does not belong to a file inside ComfyUI's input folder."""


class UnknownNameError(SonicGuardError):
    """There is no file or preset of that name."""


class NoFallbackLeftError(SonicGuardError):
    """A run ran out of memory with all fallback optimizations enabled; finished parts are kept."""


class RequestError(SonicGuardError):
    """A page's request does not match its route."""


class OptimizationError(SonicGuardError):
    """An unknown optimization, or an unknown setting of one."""


class SlowFileError(SonicGuardError):
    """Reading a file takes longer than the time limit."""


class LeaseError(SonicGuardError):
    """A run gets no lease of the card's memory: it is too large, has waited too long, or the ledger cannot be used."""


class PartError(SonicGuardError):
    """A part of a long video that was made alone is not the one that was asked for, or does not go with the others."""


class FarmError(SonicGuardError):
    """A farm's cards, jobs or files cannot be used as they are described."""
