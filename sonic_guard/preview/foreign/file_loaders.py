"""Nodes that load a file: by its name in a list of files, or by a path that a user types."""

from collections.abc import Callable

from ...comfy.api_graph import MAX_TEXT
from ...errors import FileNameError
from ..context import Context, Outcome
from ..input_files import Files
from ..kind import Kind
from ..node_inputs import NOTHING, UNKNOWN, Cause, Inputs, NotKnownError, Picture, Unknown, Voice

Find = Callable[[Inputs, str, Files], str]
"""From a node's inputs, and the name of the one that names a file, to the file's name for `Files`."""

OTHER_FOLDERS = ("[output]", "[temp]")
"""How a name ends that ComfyUI looks up in another folder than that for input, such as LoadImageOutput's."""


def named_file(inputs: Inputs, name: str, files: Files) -> str:
    """The file that is chosen in a list.

    Raises `NotKnownError` where none is, or it is not there (any more), and `FileNameError` for what is no such name.
    """
    value = inputs.value(name)
    if isinstance(value, Unknown):
        raise NotKnownError(value)
    if value is None or value == "":
        raise NotKnownError(NOTHING)
    if not isinstance(value, str):
        raise FileNameError(f"{name}: expected the name of a file in the input folder.")
    if value.endswith(OTHER_FOLDERS):
        raise NotKnownError(Unknown(Cause.OUTSIDE, _short(value)))
    if not files.has(value):
        raise NotKnownError(Unknown(Cause.LOST, _short(value)))
    return value


def file_at_path(inputs: Inputs, name: str, files: Files) -> str:
    """The file at a path, which may be in quotes. Only those in the input folder are read. Raises as `named_file`."""
    value = inputs.value(name)
    if not isinstance(value, str):
        return named_file(inputs, name, files)
    path = value.strip().strip('"')
    if path.rstrip("/\\") in ("", "input"):  # the default
        raise NotKnownError(NOTHING)
    inside = files.name_of(path)
    if inside is None:
        raise NotKnownError(Unknown(Cause.OUTSIDE, _short(path)))
    if not files.has(inside):
        raise NotKnownError(Unknown(Cause.LOST, _short(inside)))
    return inside


def loaded_picture(inputs: Inputs, name: str, context: Context, find: Find = named_file) -> Picture:
    """The picture in the file that an input names. Raises as `find`."""
    file = find(inputs, name, context.machine.files)
    return Picture(*context.machine.files.size(file), file)


def picture_loader(name: str, *, find: Find = named_file) -> Kind:
    """A node that loads the picture that its input `name` names, and its mask."""
    return Kind((name,), lambda inputs, context: Outcome((loaded_picture(inputs, name, context, find), UNKNOWN)))


def sound_loader(name: str) -> Kind:
    """A node that loads the sound that its input `name` names. The file is read only if its length is needed."""

    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        return Outcome((Voice(named_file(inputs, name, context.machine.files), by_load_audio=True),))

    return Kind((name,), evaluate)


def _short(path: str) -> str:
    """The file's own name, as short as fits into a message."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2][-MAX_TEXT:]
