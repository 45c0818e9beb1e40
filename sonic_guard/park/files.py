"""Where a park's files are: a folder or an S3 bucket, with every result stored under the digest of its content.

Named by content, a result can be stored twice by two workers and is there once, cannot be overwritten by another one,
and is checked whenever it is read. It appears whole or not at all: on a disk by renaming, in S3 because that is how S3
stores. `publish` gives it a name that people read.

Locations are a folder, ``file://…`` or ``s3://bucket/prefix``, and are configured, never taken from a job. Keys and
tokens for S3 come from its usual environment variables and files (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL …), never from
a URL, so that they are in no log and no journal.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from ..errors import FarmError, brief
from ..plain_files import open_plain, printable

CHUNK_BYTES = 1 << 20
"""Read and hashed at a time."""
MAX_NAME_BYTES = 200
"""Longest part of a name: file systems take 255, and a temporary name needs some of it."""
MAX_FOLDERS = 8
"""Most folders in a name."""
OBJECTS = "objects"
"""Folder of the results by content."""

_KEY = re.compile(r"objects/([0-9a-f]{2})/(\1[0-9a-f]{62})(\.[a-z0-9]{1,8})?")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that are devices on Windows, with any ending."""
_FORBIDDEN = frozenset('<>:"|?*\\')
"""Signs that Windows forbids in a name; a backslash there is a folder's border."""


class Stored(NamedTuple):
    """A result in the store."""

    key: str
    """``objects/ab/abcd….mp4``: SHA-256 of the content, and the ending."""
    size_bytes: int

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        return digest_of_key(self.key)


class FileStore:
    """The files at a location. Any number of workers may use it at once.

    Raises `FarmError` for a location that is none, and for one whose package is missing.
    """

    def __init__(self, location: str | Path) -> None:
        text = str(location)
        scheme, rest = _scheme(text)
        if scheme == "file":
            self._files, self._root = None, os.path.realpath(rest)
        elif scheme == "s3":
            self._root = _bucket(text)
            self._files = _s3()
        else:
            raise FarmError(f"files: {brief(scheme)} is no place for files. Use a folder, or s3://bucket/folder.")
        self.location = text if scheme == "s3" else self._root
        """Fit to be shown: without keys or tokens."""

    def put(self, source: Path) -> Stored:
        """Store the content of the plain file `source`; where it is there already, nothing is written."""
        with open_plain(source, FarmError, "a file") as file, self._errors(source.name):
            digest, size = _digest(file)
            suffix = source.suffix.lower()
            ending = suffix if _SUFFIX.fullmatch(suffix) else ""
            stored = Stored(f"{OBJECTS}/{digest[:2]}/{digest}{ending}", size)
            if self.size_bytes(stored.key) != size:
                file.seek(0)
                self._write(stored, file)
        return stored

    def get(self, key: str, target: Path) -> None:
        """Copy a result to the file `target`, which appears when it is whole and its digest is right."""
        digest = digest_of_key(key)
        with self._errors(key), self._open(key) as content, _whole(target) as file:
            _copy_checked(content, file, digest)

    def publish(self, key: str, name: str) -> None:
        """Give a result a name that people read, such as ``monday/welcome.mp4``; a name that has it already stays.

        Raises `FarmError` for a name that leads elsewhere, and for one that another content has.
        """
        digest, name = digest_of_key(key), checked_name(name)
        with self._errors(name):
            if self.size_bytes(name) is None:
                self._link(key, name)
            with self._open(name) as content:
                found = _digest(content)[0]
        if found != digest:
            raise FarmError(f"files: {brief(name)} is the name of another video. Choose another, or move that away.")

    def size_bytes(self, key: str) -> int | None:
        """Size of a file of the store; None where there is none."""
        with self._errors(key):
            try:
                if self._files is None:
                    return self._path(key).stat().st_size
                return int(self._files.info(self._address(key), refresh=True)["size"])
            except FileNotFoundError:
                return None

    def _write(self, stored: Stored, content: BinaryIO) -> None:
        """Write a result. It does not appear where that fails, or where its content has changed since it was hashed."""
        if self._files is not None:
            file = self._files.open(self._address(stored.key), "wb", autocommit=False)
            try:
                _copy_checked(content, file, stored.digest)
                file.close()
                file.commit()
            except BaseException:
                file.discard()
                raise
            return
        target = self._path(stored.key)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _whole(target) as file:
            _copy_checked(content, file, stored.digest)

    def _link(self, key: str, name: str) -> None:
        if self._files is not None:
            self._files.cp_file(self._address(key), self._address(name))
            return
        source, target = self._path(key), self._path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another worker was faster; `publish` compares
            try:
                os.link(source, target)
            except OSError as error:
                if isinstance(error, (FileExistsError, FileNotFoundError)):
                    raise
                with source.open("rb") as content, _whole(target) as file:  # a file system without hard links
                    shutil.copyfileobj(content, file, CHUNK_BYTES)

    def _open(self, key: str) -> Any:
        return self._path(key).open("rb") if self._files is None else self._files.open(self._address(key), "rb")

    def _path(self, key: str) -> Path:
        """The path of a file, which lies in the folder even where one of its folders is a link."""
        folder = Path(self._root)
        path = folder / key
        if not Path(os.path.realpath(path)).is_relative_to(folder):
            raise FarmError(f"files: {brief(key)} leads out of the folder {folder.name}. Remove the link.")
        return path

    def _address(self, key: str) -> str:
        return f"{self._root}/{key}"

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Convert errors of the system and of S3 to `FarmError`s; those of S3 name no keys and no tokens."""
        try:
            yield
        except Exception as error:
            known = type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp")
            if not known and not isinstance(error, OSError):
                raise
            why = getattr(error, "strerror", None) or (type(error).__name__ if known else str(error))
            raise FarmError(f"files: cannot use {printable(name)} in {self.location}: {why}") from error


def digest_of_key(key: str) -> str:
    """The SHA-256 in a key. Raises `FarmError` for what is no key of a store."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise FarmError(f"files: {brief(key)} is not the key of a result.")
    return match[2]


def checked_name(name: str) -> str:
    """`name` if it is that of a file inside a folder, in every system. Raises `FarmError` for any other.

    Refused are absolute names, those with ``..``, hidden ones, devices, endings that Windows drops, and signs that
    cannot be displayed.
    """
    parts = name.split("/")
    wrong = not 1 <= len(parts) <= MAX_FOLDERS or parts[0].lower() == OBJECTS or PurePosixPath(name).is_absolute()
    for part in parts:
        wrong |= not part or part.startswith(".") or part.endswith((".", " ")) or bool(_DEVICE.fullmatch(part))
        wrong |= bool(_FORBIDDEN & set(part)) or printable(part) != part
        wrong |= len(part.encode("utf-8", "replace")) > MAX_NAME_BYTES
    if wrong:
        raise FarmError(f"files: {brief(name)} is not usable as a name. Use one such as folder/video.mp4.")
    return name


def _scheme(text: str) -> tuple[str, str]:
    """The scheme of a location, and the path of a folder."""
    if "://" not in text:
        return "file", text
    parts = urlsplit(text)
    return parts.scheme.lower(), parts.netloc + parts.path


def _bucket(text: str) -> str:
    parts = urlsplit(text)
    if "@" in parts.netloc or ":" in parts.netloc or parts.query:
        raise FarmError("files: keys and tokens do not belong into an address. Set AWS_ACCESS_KEY_ID and the like.")
    folders = [each for each in parts.path.split("/") if each]
    if not parts.netloc or ".." in folders:
        raise FarmError(f"files: {brief(text)} is no place for files. Use a folder, or s3://bucket/folder.")
    return "/".join([parts.netloc, *folders])


def _s3() -> Any:
    try:
        import s3fs
    except ImportError as error:
        raise FarmError('files: s3:// needs s3fs. Install it with `pip install "sonic-guard[farm]"`.') from error
    # Not cached: another process may have stored what this one did not find a moment ago.
    return s3fs.S3FileSystem(use_listings_cache=False)


@contextmanager
def _whole(target: Path) -> Iterator[BinaryIO]:
    """A file that becomes `target`, on the disk, when the block ends without an error; else nothing is left of it."""
    temp = target.with_name(f".{uuid4().hex}.part")  # no other worker's
    try:
        with temp.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temp, target)
    finally:
        temp.unlink(missing_ok=True)


def _digest(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 and size of what is left of a file."""
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _copy_checked(content: BinaryIO, file: BinaryIO, digest: str) -> None:
    """Copy all of `content`. Raises `FarmError` where its SHA-256 is not `digest`."""
    found = hashlib.sha256()
    while chunk := content.read(CHUNK_BYTES):
        found.update(chunk)
        file.write(chunk)
    if found.hexdigest() != digest:
        raise FarmError(f"files: {digest[:12]}… has another content. It has changed, or is damaged: make it again.")
