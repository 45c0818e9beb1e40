"""The two kinds of places for a farm's files, a folder and an S3 bucket: what `FileStore` asks of either.

Keys and tokens for S3 come from its usual environment variables and files (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL …),
never from a URL, so that they are in no log and no journal.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from ..atomic_files import errors_about
from ..errors import FarmError, OutputError, brief
from ..plain_files import printable

CHUNK_BYTES = 1 << 20
"""Read and hashed at a time."""
WORK = ".sonic-guard"
"""Folder below a farm's outputs with all that has no readable name."""
PART = ".part"
"""Ending of a file that is being written; its name begins with a dot."""


class Place(Protocol):
    """Files by their keys, which are relative names. Everything raises `OutputError` where the place cannot be used."""

    location: str
    """Fit to be shown: without keys or tokens."""

    def size_bytes(self, key: str) -> int | None:
        """None where there is no such file."""
        ...

    def open(self, key: str) -> Any:
        """A file to read, as a context."""
        ...

    def write(self, key: str, content: BinaryIO, digest: str) -> None:
        """Write a file, which appears whole or not at all. Raises `FarmError` if its SHA-256 is not `digest`."""
        ...

    def adopt(self, temp: Path, key: str, digest: str) -> None:
        """Take over the synced file `temp`, which is gone afterwards."""
        ...

    def link(self, key: str, name: str) -> None:
        """Give a file another name; nothing happens where that name is taken."""
        ...

    def is_same(self, key: str, name: str) -> bool:
        """Whether two files are known to have the same content, without reading them."""
        ...

    def write_bytes(self, key: str, content: bytes) -> None:
        """Write or replace a small file."""
        ...

    def remove(self, key: str) -> None:
        """Remove a file, if it is there."""
        ...

    def errors(self, name: str) -> Any:
        """A context that converts errors of the system and of S3 to `OutputError`s about the file `name`."""
        ...


class Folder:
    """Files in a folder, which appear by renaming."""

    def __init__(self, folder: str | Path) -> None:
        self.location = os.path.realpath(folder)

    def size_bytes(self, key: str) -> int | None:
        """See `Place`."""
        with suppress(FileNotFoundError):
            return self.path(key).stat().st_size
        return None

    def open(self, key: str) -> BinaryIO:
        """See `Place`."""
        return self.path(key).open("rb")

    def write(self, key: str, content: BinaryIO, digest: str) -> None:
        """See `Place`."""
        with self._whole(self.path(key)) as file:
            copy_checked(content, file, digest)

    def adopt(self, temp: Path, key: str, digest: str) -> None:
        """See `Place`. On the same file system it is a renaming, and nothing is read."""
        target = self._made(self.path(key))
        try:
            os.replace(temp, target)
        except OSError:
            with temp.open("rb") as content:
                self.write(key, content, digest)
            temp.unlink()

    def link(self, key: str, name: str) -> None:
        """See `Place`."""
        source, target = self.path(key), self._made(self.path(name))
        with suppress(FileExistsError):  # another was faster
            try:
                os.link(source, target)
            except (FileExistsError, FileNotFoundError):
                raise
            except OSError:  # a file system without hard links
                with source.open("rb") as content, self._whole(target) as file:
                    shutil.copyfileobj(content, file, CHUNK_BYTES)

    def is_same(self, key: str, name: str) -> bool:
        """See `Place`."""
        return os.path.samefile(self.path(key), self.path(name))

    def write_bytes(self, key: str, content: bytes) -> None:
        """See `Place`."""
        with self._whole(self.path(key)) as file:
            file.write(content)

    def remove(self, key: str) -> None:
        """See `Place`."""
        self.path(key).unlink(missing_ok=True)

    def path(self, key: str) -> Path:
        """The path of a file, which lies in the folder even where one of its folders is a link."""
        folder = Path(self.location)
        path = folder / key
        if not Path(os.path.realpath(path)).is_relative_to(folder):
            raise FarmError(f"files: {brief(key)} leads out of the folder {folder.name}. Remove the link.")
        return path

    @contextmanager
    def errors(self, name: str) -> Iterator[None]:
        """See `Place`."""
        with errors_about(Path(name)):
            try:
                yield
            except FileNotFoundError as error:
                raise _unusable(name, self.location, error.strerror or str(error)) from error

    def _made(self, target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    @contextmanager
    def _whole(self, target: Path) -> Iterator[BinaryIO]:
        with whole(self._made(target), self._made(self.path(f"{WORK}/{uuid4().hex}")).parent) as file:
            yield file


class Bucket:
    """Objects below ``s3://bucket/prefix``, which appear when they are whole: so S3 stores."""

    def __init__(self, url: str) -> None:
        self.location, self._root, self._files = url, _bucket(url), _s3()

    def size_bytes(self, key: str) -> int | None:
        """See `Place`."""
        found = self.facts(key)
        return None if found is None else int(found["size"])

    def facts(self, key: str) -> dict[str, Any] | None:
        """What S3 tells of an object without reading it; None where there is none."""
        with suppress(FileNotFoundError):
            return self._files.info(self._address(key), refresh=True)
        return None

    def open(self, key: str) -> Any:
        """See `Place`."""
        return self._files.open(self._address(key), "rb")

    def write(self, key: str, content: BinaryIO, digest: str) -> None:
        """See `Place`. Large files go up in parts, which together appear at the end."""
        file = self._files.open(self._address(key), "wb", autocommit=False)
        try:
            copy_checked(content, file, digest)
            file.close()
            file.commit()
        except BaseException:
            file.discard()
            file.closed = True  # else its destructor uploads what is left, whenever that is
            raise

    def adopt(self, temp: Path, key: str, digest: str) -> None:
        """See `Place`."""
        with temp.open("rb") as content:
            self.write(key, content, digest)
        temp.unlink()

    def link(self, key: str, name: str) -> None:
        """See `Place`. S3 copies, with the same ETag, by which `is_same` knows it."""
        if self.size_bytes(name) is None:
            self._files.cp_file(self._address(key), self._address(name), preserve_etag=True)

    def is_same(self, key: str, name: str) -> bool:
        """See `Place`."""
        tags = [(self.facts(each) or {}).get("ETag") for each in (key, name)]
        return bool(tags[0]) and tags[0] == tags[1]

    def write_bytes(self, key: str, content: bytes) -> None:
        """See `Place`."""
        self._files.pipe_file(self._address(key), content)

    def remove(self, key: str) -> None:
        """See `Place`."""
        with suppress(FileNotFoundError):
            self._files.rm_file(self._address(key))

    @contextmanager
    def errors(self, name: str) -> Iterator[None]:
        """See `Place`. The texts have no keys and no tokens."""
        try:
            yield
        except Exception as error:
            known = type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp")
            if not known and not isinstance(error, OSError):
                raise
            why = getattr(error, "strerror", None) or (type(error).__name__ if known else str(error))
            raise _unusable(name, self.location, why) from error

    def _address(self, key: str) -> str:
        return f"{self._root}/{key}"


def place_at(location: str | Path) -> Folder | Bucket:
    """The place at a folder, ``file://…`` or ``s3://bucket/prefix``.

    Raises `FarmError` for a location that is none, and for one whose package is missing.
    """
    text = str(location)
    if isinstance(location, Path) or "://" not in text:
        return Folder(text)
    parts = urlsplit(text)
    scheme = parts.scheme.lower()
    if scheme == "file":
        return Folder(parts.netloc + parts.path)
    if scheme == "s3":
        return Bucket(text.rstrip("/"))
    raise FarmError(f"files: {brief(scheme)} is no place for files. Use a folder, or s3://bucket/folder.")


@contextmanager
def whole(target: Path, temp_folder: Path) -> Iterator[BinaryIO]:
    """A file that becomes `target`, on the disk, when the block ends without an error; else nothing is left of it."""
    temp = temp_folder / f".{uuid4().hex}{PART}"  # no other worker's
    try:
        with temp.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temp, target)
    finally:
        temp.unlink(missing_ok=True)


def copy_checked(content: BinaryIO, file: BinaryIO, digest: str) -> None:
    """Copy all of `content`. Raises `FarmError` where its SHA-256 is not `digest`."""
    found = hashlib.sha256()
    while chunk := content.read(CHUNK_BYTES):
        found.update(chunk)
        file.write(chunk)
    if found.hexdigest() != digest:
        raise FarmError(f"files: {digest[:12]}… has another content. It has changed, or is damaged: make it again.")


def _unusable(name: str, location: str, why: str) -> OutputError:
    return OutputError(f"files: cannot use {printable(name)} in {printable(location)}: {why}")


def _bucket(url: str) -> str:
    parts = urlsplit(url)
    if "@" in parts.netloc or ":" in parts.netloc or parts.query or parts.fragment:
        raise FarmError("files: keys and tokens do not belong into an address. Set AWS_ACCESS_KEY_ID and the like.")
    folders = [each for each in parts.path.split("/") if each]
    if not parts.netloc or ".." in folders:
        raise FarmError(f"files: {brief(url)} is no place for files. Use a folder, or s3://bucket/folder.")
    return "/".join([parts.netloc, *folders])


def _s3() -> Any:
    try:
        import s3fs
    except ImportError as error:
        raise FarmError('files: s3:// needs s3fs. Install it with `pip install "sonic-guard[farm]"`.') from error
    # Not cached: another process may have stored what this one did not find a moment ago.
    return s3fs.S3FileSystem(use_listings_cache=False)
