"""Errors for people: what is wrong, with which input, and what to do about it.

The text may go to a page, which others than the machine's owner may see. So it names a file and not the folder it is
in: where the whole path helps, and only its owner reads it, as on the command line, `SonicGuardError.path` has it.
"""

from collections.abc import Collection
from itertools import islice
from pathlib import Path

MAX_TEXT = 4000
"""Longest text of an error in characters."""
MAX_VALUE_TEXT = 100
"""Most characters of a value that an error repeats."""


class SonicGuardError(Exception):
    """Base of everything this library raises on purpose; the text is meant to be shown to the user.

    A text of more than `MAX_TEXT` characters is cut: what a file or a page sends decides how long it is.
    """

    path: Path | None
    """The file it is about, where that is one of the machine and not only a name in its text."""

    def __init__(self, text: str = "", *, path: Path | None = None) -> None:
        super().__init__(text if len(text) <= MAX_TEXT else _cut(text))
        self.path = path


def brief(value: object) -> str:
    """`value` in at most `MAX_VALUE_TEXT` characters, whatever it is.

    A text may have megabytes, and some values have no text at all: Python writes no whole number of more than 4,300
    digits.
    """
    try:
        return f"{value!r:.{MAX_VALUE_TEXT}}"
    except Exception:
        return f"a value ({type(value).__name__}) that cannot be shown"


def reject_json_constant(name: str) -> None:
    """For `json.loads` as ``parse_constant``: refuses NaN and the infinities, which Python reads and JSON has not."""
    raise ValueError(f"{name} is not a number in JSON")


def first_of(texts: Collection[str], most: int, between: str = ", ") -> str:
    """The first `most` of a list that somebody else has made long, and how many more there are."""
    left = len(texts) - most
    told = between.join(islice(texts, most))
    return f"{told} … (and {left:,} more)" if left > 0 else told


def _cut(text: str) -> str:
    left = len(text) - MAX_TEXT
    return f"{text[:MAX_TEXT]}… (and {left:,} more characters)"


class JobError(SonicGuardError):
    """The settings of a run are impossible (zero seconds, NaN, a size of 0 …)."""


class AudioError(SonicGuardError):
    """A sound could not be read, has no samples, or is not what its input promises."""


class PictureError(SonicGuardError):
    """A picture could not be read or has an impossible shape."""


class FaceError(SonicGuardError):
    """No usable face: none found, the chosen one does not exist, or the manual box is outside the picture."""


class PresetError(SonicGuardError):
    """A preset is missing, misnamed, or breaks the schema."""


class BudgetError(SonicGuardError):
    """The memory budget could not be determined or makes no sense."""


class PlanError(SonicGuardError):
    """The planner was asked for something it does not know (an unknown policy or lever)."""


class WrapperError(SonicGuardError):
    """The Sonic wrapper is missing, or its shape is not one this library recognises."""


class WeightsError(SonicGuardError):
    """A checkpoint's header could not be read: missing, damaged, or a format without a header."""


class OutputError(SonicGuardError):
    """A result could not be written (read-only place, full disk)."""


class HistoryError(SonicGuardError):
    """The history of runs cannot be read or written: its place, its server, or a newer version's file."""


class GraphError(SonicGuardError):
    """A piece of a graph that is no graph, runs in a circle, or holds a value of the wrong kind."""


class FileNameError(SonicGuardError):
    """A name that is not one of a file inside ComfyUI's input folder."""


class UnknownNameError(SonicGuardError):
    """There is no file or preset of that name."""


class NoFallbackLeftError(SonicGuardError):
    """A run went out of memory with every lever pulled; what was finished is kept."""


class RequestError(SonicGuardError):
    """What a page has sent is not what its route takes."""


class OptimizationError(SonicGuardError):
    """A lever that does not exist, or a word its switch does not know."""


class SlowFileError(SonicGuardError):
    """Looking through a file takes longer than whoever asked will wait."""
