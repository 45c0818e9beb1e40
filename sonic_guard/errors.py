"""Errors for people: what is wrong, with which input, and what to do about it."""


class SonicGuardError(Exception):
    """Base of everything this library raises on purpose; the text is meant to be shown to the user."""


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


class NoLeverLeftError(SonicGuardError):
    """A run went out of memory with every lever pulled; what was finished is kept."""


class RequestError(SonicGuardError):
    """What a page has sent is not what its route takes."""


class LeverError(SonicGuardError):
    """A lever that does not exist, or a word its switch does not know."""
