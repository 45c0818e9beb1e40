"""The files of presets: built in (``presets/*.json``) or the user's own.

The file's name is the preset's name: lower-case letters, digits, ``_`` and ``-``. Built-in names are reserved, so that
"fast" in a shared workflow means the same on every machine: a user's file of that name is ignored with a warning.
"""

import codecs
import logging
import os
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import PresetError, brief, first_of
from ..plain_files import open_plain, shown
from ..planning.presets import Preset, is_preset_name

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024
"""Longest preset file read; the built-in ones have half a kilobyte."""
MAX_ENTRIES = 1000
"""Entries of the user's folder that are looked at for the list of presets, in the order the system gives them."""
MAX_FAULTS = 5
"""Faults of a file that are reported; the others are counted."""


def builtin_dir() -> Path:
    """The folder of the presets that come with the pack: beside the library, in an installed package inside of it."""
    library = Path(__file__).resolve().parents[1]
    inside = library / "presets"
    return inside if inside.is_dir() else library.parent / "presets"


def list_presets(user_dir: Path | None = None) -> dict[str, Path]:
    """Every preset's name and file: the built-in ones, then those of `user_dir`, each by name.

    A missing `user_dir` has no presets, nor has one that is no folder or cannot be read. That is logged once, as are
    files that cannot be a preset by their name or folder. No file is read.
    """
    names = _names_in(builtin_dir()) + (_names_in(user_dir) if user_dir is not None else [])
    found = {name: find_preset(name, user_dir) for name in names}
    return {name: path for name, path in found.items() if path}


def find_preset(name: str, user_dir: Path | None = None) -> Path | None:
    """The file of the preset called `name`; None where there is none, or no preset can have that name."""
    if not is_preset_name(name):
        return None
    builtin, own = builtin_dir() / f"{name}.json", _users_file(name, user_dir)
    if not builtin.is_file():
        return own
    if own:
        _warn(f"Preset {own} is ignored: {name!r} is a built-in preset. Rename the file.")
    return builtin


def load_preset(name: str, user_dir: Path | None = None) -> Preset:
    """The preset called `name`, read and checked.

    Raises `PresetError` for a name that is not one, for an unknown one, and for a file that is too long,
    is not JSON (with line and column), or breaks the schema (with the key, its value and what is allowed).
    """
    if not is_preset_name(name):
        raise PresetError(f"preset: {brief(name)} is not a preset's name. Use up to 64 of a-z, 0-9, _ and -.")
    path = find_preset(name, user_dir)
    if path is None:
        raise PresetError(f"preset: there is no {name!r}. There are: {first_of(list_presets(user_dir), 20)}.")
    try:
        with open_plain(path, PresetError, "a preset") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PresetError(f"{shown(path)}: cannot be read ({error.strerror or error}).", path=path) from error
    if len(text) > MAX_BYTES:
        raise PresetError(f"{shown(path)}: is longer than {MAX_BYTES // 1024} kB; that is not a preset.", path=path)
    return _parse(text, path)


def _names_in(folder: Path) -> list[str]:
    """Names that files of `folder` have as presets, in order."""
    try:
        with os.scandir(folder) as entries:
            files = [entry.name for entry in islice(entries, MAX_ENTRIES)]
            more = next(entries, None) is not None
    except OSError as error:
        if not isinstance(error, FileNotFoundError) or os.path.lexists(folder):
            _warn(f"Presets {folder}: there are only the built-in ones, this folder cannot be read: {error.strerror}.")
        return []
    if more:
        _warn(f"Presets {folder}: only {MAX_ENTRIES} of its files are listed. Move others away.")
    return sorted(_names(folder, files))


def _names(folder: Path, files: list[str]) -> Iterator[str]:
    for file in files:
        name, suffix = os.path.splitext(file)
        if suffix != ".json" or name == "schema":
            continue
        if is_preset_name(name):
            yield name
        else:
            _warn(f"Preset {folder / shown(file)} is ignored: its name is not a preset's.")


def _users_file(name: str, folder: Path | None) -> Path | None:
    """The file of a user's preset. Links must not lead out of its folder: a name is all a client may choose."""
    if folder is None or not os.path.lexists(path := folder / f"{name}.json"):
        return None
    home = os.path.realpath(folder)
    if not path.is_file() or not Path(os.path.realpath(path)).is_relative_to(home):
        _warn(f"Preset {path} is ignored: it is not a file of this folder.")
        return None
    return path


@lru_cache(maxsize=2 * MAX_ENTRIES)
def _warn(text: str) -> None:
    """Log `text` once only: presets are listed whenever a page is opened."""
    log.warning(text)


def _parse(text: bytes, path: Path) -> Preset:
    try:
        preset = Preset.model_validate_json(text.removeprefix(codecs.BOM_UTF8))  # Windows editors write it
    except ValidationError as error:
        faults = dict.fromkeys(_fault(detail) for detail in error.errors(include_url=False))
        raise PresetError(f"{shown(path)}: {first_of(faults, MAX_FAULTS, ' ')}", path=path) from error
    if preset.name != path.stem:
        raise PresetError(
            f"{shown(path)}: name: {preset.name!r} differs from the file's name. Make it {path.stem!r}.", path=path
        )
    return preset


def _fault(detail: Any) -> str:
    """One fault as a sentence, the same for both ways to fail at "a number or auto"."""
    if not detail["loc"]:
        return f"{detail['msg']}."
    key, *inner = (shown(str(part)) for part in detail["loc"])
    keys = {field.alias or name: field for name, field in Preset.model_fields.items()}
    if key not in keys:
        return f"{key}: unknown key. Known are: {', '.join(keys)}."
    if detail["type"] == "missing":
        return f"{'.'.join([key, *inner])}: is missing."
    return f"{key}: {brief(detail['input'])} is not allowed. {keys[key].description}"
