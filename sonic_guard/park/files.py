"""A farm's files: a folder or an S3 bucket, with everything stored under the digest of its content.

Named by content, a file can be stored twice by two workers and is there once, cannot be overwritten by another one,
and is checked whenever it is read. It appears whole or not at all: on a disk by renaming, in S3 because that is how S3
stores. `publish` gives it a name that people read.

Locations are a folder, ``file://…`` or ``s3://bucket/prefix``, and are configured, never taken from a job.
"""

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from ..errors import FarmError, OutputError, brief
from ..plain_files import open_plain, printable
from .places import CHUNK_BYTES, WORK, copy_checked, place_at, whole

Location = Path | str
"""A folder, or the URL of a bucket."""
VIDEOS, INPUTS = "videos", "inputs"
"""Folders below `WORK` of what was made, and of portraits and voices."""
MAX_NAME_BYTES = 200
"""Longest part of a name: file systems take 255, and a temporary name needs some of it."""
MAX_FOLDERS = 8
"""Most folders in a name."""
MAX_TEXT_BYTES = 1 << 16
"""Of a note."""

_KEY = re.compile(rf"{re.escape(WORK)}/(?:{VIDEOS}|{INPUTS})/([0-9a-f]{{64}})(\.[a-z0-9]{{1,8}})?")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that are devices on Windows, with any ending."""
_FORBIDDEN = frozenset('<>:"|?*\\')
"""Signs that Windows forbids in a name; a backslash there is a folder's border."""


class Stored(NamedTuple):
    """A file in the store."""

    key: str
    """``.sonic-guard/videos/abcd….mp4``: SHA-256 of the content, and the ending."""
    size_bytes: int

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        return digest_of_key(self.key)


class FileStore:
    """The files at a location. Any number of workers may use it at once.

    Raises `FarmError` for a location that is none and for a content that is not the expected one, and `OutputError`
    where the location cannot be used: a full disk, no permission, a bucket that does not answer.
    """

    def __init__(self, location: Location) -> None:
        self._place = place_at(location)
        self.location = self._place.location
        """Fit to be shown: without keys or tokens."""

    def put(self, source: Path, folder: str = VIDEOS) -> Stored:
        """Store the content of the plain file `source`; where it is there already, nothing is written."""
        with open_plain(source, FarmError, "a file") as file, self._place.errors(source.name):
            digest, size = _digest(file)
            stored = Stored(key_of(digest, source.suffix, folder), size)
            if self.size_bytes(stored.key) != size:
                file.seek(0)
                self._place.write(stored.key, file, digest)
        return stored

    def adopt(self, temp: Path, stored: Stored) -> None:
        """Store the synced file `temp`, whose digest is known, and remove it; what is there already is kept."""
        with self._place.errors(stored.key):
            if self.size_bytes(stored.key) == stored.size_bytes:
                temp.unlink()
            else:
                self._place.adopt(temp, stored.key, stored.digest)

    def get(self, key: str, target: Path) -> None:
        """Copy a file to `target`, which appears when it is whole and its digest is right."""
        digest = digest_of_key(key)
        with self._place.errors(key), self._place.open(key) as content, whole(target, target.parent) as file:
            copy_checked(content, file, digest)

    def publish(self, key: str, name: str) -> None:
        """Give a file a name that people read, such as ``monday/welcome.mp4``; a name that has it already stays.

        Raises `FarmError` for a name that leads elsewhere, and `OutputError` for one that another content has.
        """
        digest, name = digest_of_key(key), checked_name(name)
        with self._place.errors(name):
            self._place.link(key, name)
            if self._place.is_same(key, name):
                return
            with self._place.open(name) as content:
                found = _digest(content)[0]
        if found != digest:
            raise OutputError(f"files: {brief(name)} is the name of another file. Choose another, or move that away.")

    def remove(self, key: str) -> None:
        """Remove a file; nothing happens where there is none."""
        digest_of_key(key)
        with self._place.errors(key):
            self._place.remove(key)

    def size_bytes(self, key: str) -> int | None:
        """Size of a file of the store; None where there is none."""
        with self._place.errors(key):
            return self._place.size_bytes(key)

    def write_text(self, name: str, text: str) -> None:
        """Write or replace a small file, such as a report or a note."""
        with self._place.errors(name):
            self._place.write_bytes(name, text.encode())

    def read_text(self, name: str) -> str | None:
        """A small file; None where there is none, or none that is a text."""
        with self._place.errors(name):
            try:
                with self._place.open(name) as file:
                    return file.read(MAX_TEXT_BYTES).decode()
            except (FileNotFoundError, UnicodeDecodeError):
                return None


def key_of(digest: str, suffix: str, folder: str = VIDEOS) -> str:
    """The key of a content; an ending that is none is left out. Raises `FarmError` for what is no digest."""
    suffix = suffix.lower()
    key = f"{WORK}/{folder}/{digest}{suffix if _SUFFIX.fullmatch(suffix) else ''}"
    digest_of_key(key)
    return key


def digest_of_key(key: str) -> str:
    """The SHA-256 in a key. Raises `FarmError` for what is no key of a store."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise FarmError(f"files: {brief(key)} is not the key of a result.")
    return match[1]


def checked_name(name: str) -> str:
    """`name` if it is that of a file inside a folder, in every system. Raises `FarmError` for any other.

    Refused are absolute names, those with ``..``, hidden ones, devices, endings that Windows drops, and signs that
    cannot be displayed.
    """
    parts = name.split("/")
    wrong = not 1 <= len(parts) <= MAX_FOLDERS or PurePosixPath(name).is_absolute()
    for part in parts:
        wrong |= not part or part.startswith(".") or part.endswith((".", " ")) or bool(_DEVICE.fullmatch(part))
        wrong |= bool(_FORBIDDEN & set(part)) or printable(part) != part
        wrong |= len(part.encode("utf-8", "replace")) > MAX_NAME_BYTES
    if wrong:
        raise FarmError(f"files: {brief(name)} is not usable as a name. Use one such as folder/video.mp4.")
    return name


def _digest(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 and size of what is left of a file."""
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size
