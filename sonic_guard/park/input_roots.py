"""Where a job file's portraits and voices may be: folders, and prefixes of buckets, as the user has named them."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from ..errors import FarmError, brief
from .content import inputs_folder
from .files import Location
from .places import CHUNK_BYTES, Bucket, Folder, place_at, whole


class Root(Protocol):
    """A place below which a job file may name files."""

    @property
    def url(self) -> str:
        """With a slash at its end; names that begin with it are those of files here."""
        ...

    def find(self, what: str, name: str, most_bytes: int) -> Path | None:
        """The file `name`; None where there is none. Raises `FarmError` for one that is elsewhere or too large."""
        ...


class FolderRoot(NamedTuple):
    """A folder."""

    folder: Path

    @property
    def url(self) -> str:
        """See `Root`."""
        return f"file://{self.folder.as_posix()}/"

    def find(self, what: str, name: str, most_bytes: int) -> Path | None:
        """See `Root`. Links are followed, and may not lead out of the folder."""
        path = Path(os.path.realpath(self.folder / name))
        if not path.is_relative_to(self.folder):
            raise FarmError(f"{what}: {brief(name)} leads out of its folder.")
        return path if path.exists() else None


class BucketRoot(NamedTuple):
    """A prefix of a bucket."""

    bucket: Bucket

    @property
    def url(self) -> str:
        """See `Root`."""
        return f"{self.bucket.location}/"

    def find(self, what: str, name: str, most_bytes: int) -> Path | None:
        """See `Root`. The object is copied to this machine, unless it was before and has not changed since."""
        with self.bucket.errors(name):
            facts = self.bucket.facts(name)
        if facts is None or facts["type"] != "file":
            return None
        size = int(facts["size"])
        if not 0 < size <= most_bytes:
            raise FarmError(f"{what}: {brief(name)} has {size} bytes; 1 to {most_bytes} are taken.")
        version = f"{self.url}{name}\n{facts.get('ETag')}\n{facts.get('LastModified')}\n{size}"
        folder = inputs_folder() / hashlib.sha256(version.encode()).hexdigest()[:32]
        copy = folder / Path(name).name
        if not copy.exists():
            folder.mkdir(exist_ok=True)
            with self.bucket.errors(name), self.bucket.open(name) as content, whole(copy, folder) as file:
                while chunk := content.read(CHUNK_BYTES):
                    file.write(chunk)
        os.utime(folder)
        return copy


def root_at(location: Location) -> Root:
    """The root at a folder, ``file://…`` or ``s3://bucket/prefix``. Raises `FarmError` for any other location."""
    place = place_at(location)
    return FolderRoot(Path(place.location)) if isinstance(place, Folder) else BucketRoot(place)


def below(roots: Sequence[Root], name: str) -> tuple[str, Sequence[Root]]:
    """A name relative to roots, and those in which it may be: of a URL below one of them, that one alone."""
    for root in roots:
        if name.startswith(root.url):
            return name.removeprefix(root.url), (root,)
    return name, roots
