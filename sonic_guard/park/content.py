"""A farm's files as its processes use them: what was made, whose it is, and the portraits and voices from elsewhere.

A farm's outputs are in a folder that all its machines see, or in a bucket (`files.Location`). With a bucket, whatever
a machine needs as a file is in its own folder (`home_folder`), and may be removed there whenever no farm runs.
"""

import hashlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..atomic_files import discard, errors_about
from ..errors import FarmError, OutputError
from .files import INPUTS, VIDEOS, FileStore, Location, Stored, key_of
from .places import PART, WORK

log = logging.getLogger(__name__)

HOME = "SONIC_GUARD_FARM_FOLDER"
"""Environment variable with the folder for copies of what is in buckets, and for journals of farms in buckets."""
KEPT_S = 7 * 86400.0
"""Seconds after its last use for which a copy is kept."""
_BLOCK = 1 << 20
_DIGEST = re.compile("[0-9a-f]{64}")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def home_folder() -> Path:
    """This user's folder on this machine for farms whose files are in buckets."""
    if named := os.environ.get(HOME):
        return Path(named).absolute()
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "sonic-guard" / "farm"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "sonic-guard" / "farm"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "sonic-guard" / "farm"


def work_folder(out: Location) -> Path:
    """Where the journal and the local processes of a farm are: below its outputs, or for a bucket on this machine."""
    if isinstance(out, Path):
        return out / WORK
    return home_folder() / "farms" / hashlib.sha256(out.rstrip("/").encode()).hexdigest()[:16]


# ---- what was made


def objects_folder(out: Location) -> Path:
    """A folder on this machine for a video that is on its way into the store. Raises `OutputError`."""
    return _folder(out / WORK / VIDEOS if isinstance(out, Path) else home_folder() / VIDEOS)


def object_path(out: Path, digest: str, suffix: str) -> Path:
    """The video of that content, in a farm whose outputs are in a folder."""
    return out / key_of(digest, suffix)


def object_file(out: Location, digest: str, suffix: str) -> Path:
    """The video of that content as a file on this machine, copied from the bucket if it is not there.

    Raises `OutputError`.
    """
    if isinstance(out, Path):
        return object_path(out, digest, suffix)
    copy, key = objects_folder(out) / f"{digest}{suffix}", key_of(digest, suffix)
    return _fetched(out, key, copy)


def remove(out: Location, digest: str, suffix: str) -> None:
    """Remove the video of that content, which nobody wants any more. What cannot be removed stays."""
    try:
        FileStore(out).remove(key_of(digest, suffix))
    except (FarmError, OutputError) as error:
        log.warning("%s", error)


def keep(out: Location, temp: Path, task: str, digest: str, size_bytes: int, suffix: str) -> None:
    """Store the synced file `temp`, of `objects_folder`, and note whose it is.

    Twice does no harm. After the note, nobody makes the task again, even if nobody hears that it is done.
    """
    with _output_errors():
        store = FileStore(out)
        store.adopt(temp, Stored(key_of(digest, suffix), size_bytes))
        store.write_text(_note(task), json.dumps([digest, size_bytes]))


def made_before(out: Location, task: str, suffix: str) -> tuple[str, int] | None:
    """Digest and bytes of the video of a task, where it has been made and is there."""
    try:
        digest, size_bytes = json.loads(FileStore(out).read_text(_note(task)) or "")
    except (ValueError, TypeError):
        return None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return None
    return (digest, size_bytes) if is_whole(out, digest, size_bytes, suffix) else None


def publish(out: Location, name: str, digest: str, suffix: str) -> None:
    """Have ``NAME.suffix`` be the video of that content, without a copy where the disk has links.

    Raises `OutputError`, also where there is another file of that name, which is left alone.
    """
    with _output_errors():
        FileStore(out).publish(key_of(digest, suffix), f"{name}{suffix}")


def is_whole(out: Location, digest: str, size_bytes: int, suffix: str) -> bool:
    """Whether the video of that content is there; its size is compared, not its content."""
    return FileStore(out).size_bytes(key_of(digest, suffix)) == size_bytes


def has_arrived(out: Location, digest: str, size_bytes: int, suffix: str) -> bool:
    """As `is_whole`, and False where the outputs cannot be used at the moment."""
    try:
        return is_whole(out, digest, size_bytes, suffix)
    except OutputError:
        return False


def try_outputs(out: Location) -> None:
    """Raise `OutputError` if nothing can be written there."""
    FileStore(out).write_text(f"{WORK}/try", "")


def sweep(out: Location) -> None:
    """Remove what killed processes have left half done. Only when nothing is being made."""
    if isinstance(out, Path):
        for half in (out / WORK).rglob(f".*{PART}"):
            discard(half)
    _remove_old()


# ---- portraits and voices


def inputs_folder() -> Path:
    """This machine's copies of portraits and voices. Raises `OutputError` where there cannot be such a folder."""
    return _folder(home_folder() / INPUTS)


def share_input(out: Location, path: Path) -> str:
    """Bring a portrait or a voice to where every worker finds it, and return what the journal calls it.

    What is in a folder stays there if the outputs are in one as well: all machines see both.
    """
    if isinstance(out, Path):
        is_copy = path.is_relative_to(home_folder())
        return str(out / FileStore(out).put(path, INPUTS).key) if is_copy else str(path)
    return FileStore(out).put(path, INPUTS).key.rpartition("/")[2]


def input_path(name: str) -> Path:
    """The file of what the journal calls `name`: for what is in a bucket, this machine's copy."""
    path = Path(name)
    return path if path.is_absolute() else inputs_folder() / name


def input_file(out: Location, path: Path, digest: str) -> Path:
    """A portrait or voice on this machine, copied from the bucket if it is not there. Raises `OutputError`."""
    if isinstance(out, Path):
        return path
    copy, key = inputs_folder() / f"{digest}{path.suffix.lower()}", key_of(digest, path.suffix, INPUTS)
    return _fetched(out, key, copy)


def _fetched(out: Location, key: str, copy: Path) -> Path:
    try:
        os.utime(copy)
    except FileNotFoundError:
        with _output_errors():
            FileStore(out).get(key, copy)
    return copy


def _note(task: str) -> str:
    return f"{WORK}/{VIDEOS}/{task}.made"


def _folder(folder: Path) -> Path:
    with errors_about(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _remove_old() -> None:
    """Remove copies that nobody has used for long, and halves of them."""
    for folder in (home_folder() / VIDEOS, home_folder() / INPUTS):
        for path in folder.glob("*"):
            try:
                is_old = time.time() - path.stat().st_mtime > KEPT_S
            except FileNotFoundError:
                continue
            if is_old:
                discard(path)


@contextmanager
def _output_errors() -> Iterator[None]:
    """What cannot be stored is an output's error, whatever the reason."""
    try:
        yield
    except FarmError as error:
        raise OutputError(str(error), path=error.path) from error
