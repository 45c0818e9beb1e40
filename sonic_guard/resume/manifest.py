"""The list of the finished parts of a long video, identified by content, not by paths or dates.

A key is a digest of everything that determines the pixels. The same picture, sound, settings and weights give the same
key, wherever the files are; a change of any of them gives another one.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ..atomic_files import kind_of, write_text
from ..media.audio import Sound

log = logging.getLogger(__name__)

VERSION: Literal[1] = 1
"""Increased when the same key would no longer stand for the same frames."""
_BLOCK_BYTES = 1 << 24
_SAMPLES = 64
"""Numbers of each tensor that `weights_key` reads."""
_MAX_BYTES = 1 << 24
"""Largest list that is read; it would have tens of thousands of parts."""


class FileNote(NamedTuple):
    """Size and digest by which a finished file is verified."""

    size_bytes: int
    sha256: str


class _List(BaseModel):
    """The content of ``manifest.json``."""

    model_config = ConfigDict(strict=True)
    version: Literal[1]  # VERSION
    parts: dict[str, dict[str, FileNote]]


def content_key(*content: Any) -> str:
    """SHA-256 (hex) of `content`: sounds, arrays and tensors by their numbers, everything else as JSON."""
    digest = hashlib.sha256(str(VERSION).encode())
    for item in content:
        if isinstance(item, Sound):
            _add_array(digest, item.waveform)
            item = item.sample_rate
        elif hasattr(item, "shape"):
            _add_array(digest, _array(item))
            continue
        text = json.dumps(item, sort_keys=True, ensure_ascii=False)
        digest.update(text.encode(errors="surrogatepass") + b"\0")  # a path may hold bytes that are no UTF-8
    return digest.hexdigest()


def weights_key(tensors: Iterable[tuple[str, Any]]) -> str:
    """Digest (hex) of a network's ``state_dict().items()``: names, shapes, types and some numbers of all tensors.

    Reads 64 numbers spread over each tensor, so 3 GB on a GPU take well under a second. Training or merging changes
    nearly all numbers; a change of a few single numbers may not be detected.
    """
    rows: list[Any] = []
    for name, tensor in tensors:
        flat = tensor.detach().reshape(-1)
        some = flat[:: max(1, len(flat) // _SAMPLES)][:_SAMPLES].float().cpu()
        rows.append([name, list(tensor.shape), str(tensor.dtype), content_key(some)])
    return content_key(rows)


def file_digest(path: Path, check: Callable[[], None] = lambda: None) -> str:
    """SHA-256 (hex) of a file. `check` is called every 16 MiB; its exceptions propagate. Raises `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            check()
            digest.update(block)
    return digest.hexdigest()


def plain_size(path: Path) -> int:
    """Size of a file in bytes. Raises `OSError` if it is missing, or is not a plain file; links are not followed."""
    if (kind := kind_of(path)) not in ("", "file"):
        raise OSError(f"it is no plain file, but a {kind}")
    return path.lstat().st_size


def is_as_noted(path: Path, note: FileNote | None, check: Callable[[], None] = lambda: None) -> bool:
    """Whether a file has the size and the digest of `note`. Raises `OSError` if it is missing or no plain file."""
    return note is not None and plain_size(path) == note.size_bytes and file_digest(path, check) == note.sha256


def note_of(path: Path) -> FileNote:
    """What a finished file is verified by. Raises `OSError`."""
    return FileNote(plain_size(path), file_digest(path))


def why(error: Exception) -> str:
    """The text of an exception from reading a file, in one line."""
    return error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)


class Manifest:
    """The list of finished parts in a folder's ``manifest.json``, which is replaced atomically."""

    def __init__(self, folder: Path) -> None:
        """Read the list. One that cannot be read is treated as empty, with a warning: its parts are made again."""
        self.path = folder / "manifest.json"
        self._parts: dict[str, dict[str, FileNote]] = {}
        if kind_of(self.path):
            try:
                if plain_size(self.path) > _MAX_BYTES:
                    raise ValueError("it is too long for a list of parts")
                self._parts = _List.model_validate_json(self.path.read_bytes()).parts
            except (OSError, ValueError) as error:
                log.warning("%s cannot be read (%.200s); its parts are made again.", self.path, why(error))

    def files(self, key: str) -> Mapping[str, FileNote] | None:
        """The files of part `key` by name, or None if it is not finished."""
        return self._parts.get(key)

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of the finished parts, in the order in which they were finished."""
        return tuple(self._parts)

    def add(self, key: str, files: Mapping[str, FileNote]) -> None:
        """Record that part `key` is finished, with its files by name. Raises `OutputError`."""
        self._parts[key] = dict(files)
        write_text(self.path, _List(version=VERSION, parts=self._parts).model_dump_json(indent=1))


def _array(item: Any) -> np.ndarray:
    if hasattr(item, "detach"):
        item = item.detach().cpu()
        item = (item.float() if item.is_floating_point() else item).numpy()  # numpy has no bfloat16
    return item


def _add_array(digest: Any, array: np.ndarray) -> None:
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    for row in array.reshape(1, -1) if array.ndim < 2 else array:  # row by row: hours of sound need no second copy
        digest.update(np.ascontiguousarray(row).data)
