"""One finished part of a long video in one file, so that another machine can join it with the others.

A ZIP archive without compression: ``part.json`` with the numbers of `Part`, then its files by their roles. Whoever made
it is not trusted: names and sizes are checked, and nothing else is unpacked.
"""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ..atomic_files import begin, commit, discard, errors_about
from ..errors import OutputError, PartError
from ..job import LATENT_FPS
from ..media.audio import Sound
from ..media.cancellation import Check, nothing
from ..media.video_file import VideoInfo, verify
from ..media.video_writer import Encoding
from .joining import FinishedParts, join_parts
from .part_plan import Part

SUFFIX = ".zip"
ROLES = ("head", "body", "tail")
MAX_BYTES = 64 << 30
"""Of one file."""
_HEADER = "part.json"
_MAX_HEADER = 4096
_DATE = (1980, 1, 1, 0, 0, 0)
"""Of all entries: no clock is in a bundle."""
_PART = TypeAdapter(dict[str, Annotated[int, Field(ge=-(1 << 32), le=1 << 32)]], config=ConfigDict(strict=True))


def write_bundle(target: Path, part: Part, files: Mapping[str, Path]) -> None:
    """Write the files of `part`, by role, into the file `target`. Raises `OutputError`."""
    temp = begin(target)
    with errors_about(target), zipfile.ZipFile(temp, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        archive.writestr(zipfile.ZipInfo(_HEADER, _DATE), json.dumps(asdict(part), sort_keys=True))
        for role, path in files.items():
            entry = zipfile.ZipInfo(f"{role}{path.suffix}", _DATE)
            entry.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(entry, "w") as into:
                shutil.copyfileobj(source, into, 1 << 20)
    commit(target)


def part_of(path: Path) -> Part:
    """The part in the bundle `path`. Raises `PartError` for what is no whole bundle."""
    with _opened(path) as archive:
        return _part(path, archive)


def unpack(path: Path, folder: Path) -> tuple[Part, dict[str, Path]]:
    """The part in the bundle `path`, and its files by role, written to `folder`, which is created.

    Raises `PartError` for what is no whole bundle, and where a file has other frames than the part says, `OutputError`
    where it cannot be written.
    """
    with _opened(path) as archive:
        part = _part(path, archive)
        files = {}
        with errors_about(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for entry in archive.infolist()[1:]:
            role = entry.filename.partition(".")[0]
            target = files[role] = folder / entry.filename
            with errors_about(target), archive.open(entry) as source, target.open("wb") as into:
                shutil.copyfileobj(source, into, 1 << 20)
            if _frames(target) != part.counts[role]:
                discard(target)
                raise _damaged(path)
    return part, files


def join_bundles(
    bundles: Sequence[Path],
    sound: Sound,
    encoding: Encoding,
    target: Path,
    folder: Path,
    *,
    notify: Callable[[float], None] = lambda share: None,
    check: Check = nothing,
) -> VideoInfo:
    """Join the bundles of all parts of a video, in order, with its `sound` into the file `target`.

    It is the file that `rendering.run` makes of the same parts, byte by byte with the same libav, but for the
    random id that every Matroska file has. `folder` receives the parts' files; `notify` the share
    that is done, 0 … 1. Raises `PartError` for parts that do not follow each other, and what `unpack` raises.
    """
    unpacked = []
    for number, bundle in enumerate(bundles):
        check()
        unpacked.append(unpack(bundle, folder / str(number)))
    parts = [part for part, _ in unpacked]
    _check_order(parts, target)
    # With interpolation, pictures come twice as often as latent frames.
    made = FinishedParts(
        parts, lambda part, role: unpacked[part.index][1][role], encoding, Fraction(LATENT_FPS) * _rate(parts[0])
    )
    return join_parts(made, sound, target, folder, notify=lambda done: notify(done / made.frames), check=check)


def _check_order(parts: Sequence[Part], target: Path) -> None:
    """Raise `PartError` unless each part begins at the moment at which the one before ends."""
    at, fits = 0, bool(parts) and not parts[0].head and not parts[-1].tail
    for index, part in enumerate(parts):
        fits = fits and part.index == index and at == _rate(part) * part.start + part.skip
        at += part.head + part.body
    if not fits or any(not 0 < before.tail < after.head for before, after in pairwise(parts)):
        raise PartError(f"{target.name}: its parts were cut differently. Use servers with one version of this pack.")


def _rate(part: Part) -> int:
    """Output frames for a latent frame."""
    return 2 if part.made > part.latent_frames else 1


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with errors_about(path), zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, RuntimeError, NotImplementedError) as error:
        raise _damaged(path) from error


def _part(path: Path, archive: zipfile.ZipFile) -> Part:
    """The part of an archive whose entries are its files and nothing else."""
    entries = archive.infolist()
    plain = all(each.compress_type == zipfile.ZIP_STORED and each.file_size <= MAX_BYTES for each in entries)
    if not entries or entries[0].filename != _HEADER or entries[0].file_size > _MAX_HEADER or not plain:
        raise _damaged(path)
    try:
        part = Part(**_PART.validate_json(archive.read(entries[0])))
    except (ValidationError, TypeError) as error:
        raise _damaged(path) from error
    if [each.filename.partition(".")[0] for each in entries[1:]] != list(part.counts):
        raise _damaged(path)
    if not all(_is_plain(each.filename) for each in entries[1:]):
        raise _damaged(path)
    return part


def _is_plain(name: str) -> bool:
    role, _, suffix = name.partition(".")
    return role in ROLES and suffix.isascii() and suffix.isalnum()


def _frames(video: Path) -> int:
    """Frames of a video; -1 for what is none."""
    try:
        return verify(video).frames
    except OutputError:
        return -1


def _damaged(path: Path) -> PartError:
    return PartError(f"{path.name}: this is not a whole part of a video. It is made again.", path=path)
