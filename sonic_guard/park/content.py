"""Files by their content: the folder of a farm's outputs, in which a file's name is the digest of what is in it."""

import contextlib
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from ..atomic_files import discard, errors_about, fault, write_text

WORK = ".sonic-guard"
"""Folder below a farm's outputs with its journal and the videos by content."""
_OBJECTS = "videos"
_BLOCK = 1 << 20
_DIGEST = re.compile("[0-9a-f]{64}")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def objects_folder(out: Path) -> Path:
    """Where the videos of the farm with outputs in `out` are, by content. Raises `OutputError` if it cannot be."""
    folder = out / WORK / _OBJECTS
    with errors_about(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def object_path(out: Path, digest: str, suffix: str) -> Path:
    """The video of that content."""
    return out / WORK / _OBJECTS / f"{digest}{suffix}"


def keep(temp: Path, task: str, digest: str, size_bytes: int, suffix: str) -> None:
    """Give the synced file `temp`, in the folder of objects, the name of its content, and note whose it is.

    Twice does no harm. After the note, nobody makes the task again, even if nobody hears that it is done.
    """
    os.replace(temp, temp.with_name(f"{digest}{suffix}"))
    write_text(temp.with_name(f"{task}.made"), json.dumps([digest, size_bytes]))


def made_before(out: Path, task: str, suffix: str) -> tuple[str, int] | None:
    """Digest and bytes of the video of a task, where it has been made and is there."""
    try:
        digest, size_bytes = json.loads((out / WORK / _OBJECTS / f"{task}.made").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return None
    return (digest, size_bytes) if is_whole(out, digest, size_bytes, suffix) else None


def publish(out: Path, name: str, digest: str, suffix: str) -> Path:
    """Have ``NAME.suffix`` in `out` be the video of that content, without a copy where the disk has links.

    Raises `OutputError`, also where there is another file of that name, which is left alone.
    """
    source, target = object_path(out, digest, suffix), out / f"{name}{suffix}"
    with errors_about(target):
        if target.exists():
            if target.stat().st_size == source.stat().st_size and file_digest(target) == digest:
                return target
            raise fault(target, "there is a file of that name. Choose another name, or move the file away.")
        temp = out / WORK / f"{digest}.{os.getpid()}.link"
        temp.unlink(missing_ok=True)
        try:
            os.link(source, temp)
        except OSError:  # a disk without links
            shutil.copyfile(source, temp)
        os.replace(temp, target)
        with contextlib.suppress(FileNotFoundError):  # of two names of one file, a rename does nothing
            temp.unlink()
    return target


def sweep(out: Path) -> None:
    """Remove what killed processes have left half done. Only when nothing is being made."""
    for half in (*(out / WORK).glob("*.link"), *(out / WORK / _OBJECTS).glob(".*.part")):
        discard(half)


def is_whole(out: Path, digest: str, size_bytes: int, suffix: str) -> bool:
    """Whether the video of that content is there; its size is compared, not its content."""
    try:
        return object_path(out, digest, suffix).stat().st_size == size_bytes
    except OSError:
        return False
