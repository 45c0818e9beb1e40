"""What is finished of a long video, told by content: no path and no date decides what may be used again.

A key is a digest of everything that decides the pixels. Whoever has the same picture, sound, settings and weights
has the same key, wherever the files lie; a change of any of them is another key.
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
"""Raised when the same key would no longer mean the same frames."""
_BLOCK_BYTES = 1 << 24
_SAMPLES = 64
"""Numbers of each tensor that `weights_key` reads."""
_MOST_BYTES = 1 << 24
"""Of a list that is read: tens of thousands of parts."""


class FileNote(NamedTuple):
    """By what a finished file is known again."""

    size_bytes: int
    sha256: str


class _List(BaseModel):
    """What ``manifest.json`` holds."""

    model_config = ConfigDict(strict=True)
    version: Literal[1]  # VERSION
    parts: dict[str, dict[str, FileNote]]


def content_key(*content: Any) -> str:
    """Digest (hex) of `content`: sounds, arrays and tensors by their numbers, all else as JSON has it."""
    digest = hashlib.sha256(str(VERSION).encode())
    for item in content:
        if isinstance(item, Sound):
            _add_array(digest, item.waveform)
            item = item.sample_rate
        elif hasattr(item, "shape"):
            _add_array(digest, _array(item))
            continue
        digest.update(json.dumps(item, sort_keys=True, ensure_ascii=False).encode() + b"\0")
    return digest.hexdigest()


def weights_key(tensors: Iterable[tuple[str, Any]]) -> str:
    """Identity of a network, given its ``state_dict().items()``: names, shapes, types and some numbers of all tensors.

    Reads 64 numbers spread over each tensor, so 3 GB on a GPU take well under a second. Training or merging changes
    nearly all numbers; a change to a few single ones may go unseen.
    """
    rows: list[Any] = []
    for name, tensor in tensors:
        flat = tensor.detach().reshape(-1)
        some = flat[:: max(1, len(flat) // _SAMPLES)][:_SAMPLES].float().cpu()
        rows.append([name, list(tensor.shape), str(tensor.dtype), content_key(some)])
    return content_key(rows)


def file_digest(path: Path, check: Callable[[], None] = lambda: None) -> str:
    """SHA-256 (hex) of a file's bytes. `check` is called every 16 MiB, and what it raises comes out."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            check()
            digest.update(block)
    return digest.hexdigest()


def plain_size(path: Path) -> int:
    """Bytes of a file that is one: no link is followed and no FIFO opened. Raises `OSError`."""
    if (kind := kind_of(path)) not in ("", "file"):
        raise OSError(f"it is no plain file, but a {kind}")
    return path.lstat().st_size


def why(error: Exception) -> str:
    """What is wrong with a file, in a line."""
    return error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)


class Manifest:
    """The finished parts in a folder, in its ``manifest.json``: the old or the new list is there at any moment."""

    def __init__(self, folder: Path) -> None:
        """Read what is there. A list that cannot be read counts as none: its parts are made again."""
        self.path = folder / "manifest.json"
        self._parts: dict[str, dict[str, FileNote]] = {}
        if kind_of(self.path):
            try:
                if plain_size(self.path) > _MOST_BYTES:
                    raise ValueError("it is too long for a list of parts")
                self._parts = _List.model_validate_json(self.path.read_bytes()).parts
            except (OSError, ValueError) as error:
                log.warning("%s cannot be read (%.200s); its parts are made again.", self.path, why(error))

    def files(self, key: str) -> Mapping[str, FileNote] | None:
        """Names and notes of the files of part `key`, or None if it is not finished."""
        return self._parts.get(key)

    def add(self, key: str, files: Mapping[str, FileNote]) -> None:
        """Note that part `key` is finished, and its files by name. Raises `OutputError`."""
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
