"""The folder of one piece of long work: named after a digest of its content, locked, and swept when it is unused.

Only complete plain files are left in it when it is opened.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from ..atomic_files import discard, errors_about, fault, kind_of
from ..errors import OutputError
from .exclusive_lock import locked, remove_stale_locks
from .manifest import content_key

log = logging.getLogger(__name__)

KEY_LENGTH = 16
"""Digits of a key in the names of folders and files."""
KEPT_DAYS = 14
"""Days after which unfinished work that was not continued is deleted, at the earliest."""
_UNUSED = "unused"
"""Name of the file that marks a folder unused for long: see `sweep`."""


@contextmanager
def work_folder(work: Path, key: str, target: Path, busy: str) -> Iterator[Path]:
    """The folder of `key` below `work`, clean; it and the name `target` are locked for the duration of the block.

    Raises `OutputError`, without waiting, if another run has locked one of them, with the text `busy` for the folder,
    or if the disk fails.
    """
    folder = work.absolute() / key[:KEY_LENGTH]
    same_name = (
        f"{target.name}: another run is making a video of this name right now. Choose another name, or wait for it."
    )
    name = content_key(os.path.normcase(os.path.realpath(target)))[:KEY_LENGTH]
    with locked(folder, busy), locked(folder.with_name(f"name-{name}"), same_name):
        _clean(folder)
        try:
            yield folder
        finally:
            with suppress(OSError):  # there is work in it, or it is gone with the finished video
                folder.rmdir()


def _clean(folder: Path) -> None:
    """Create `folder`, and remove everything but complete files from it: unfinished ones, links, folders."""
    with errors_about(folder):
        if kind_of(folder) == "link":
            log.warning("%s is a link, and is removed; what it leads to stays as it is.", folder)
            discard(folder)
        elif kind_of(folder) not in ("", "folder"):
            raise fault(folder, "what has this name is no folder. Move it away, and run again.")
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            if (kind := kind_of(path)) != "file":
                log.warning("%s is no plain file but a %s, and is removed.", path, kind)
                discard(path)
            elif path.match(".*.part") or path.name == _UNUSED:
                path.unlink()


def sweep(work: Path, days: float) -> None:
    """Remove folders below `work` that have not been used for twice `days` days.

    A folder unused for `days` is only marked at first, which renews its time stamp; it is removed `days` later. So a
    clock that is wrong once deletes nothing. Folders in use, and those dated in the future, are kept. A folder that
    cannot be removed, for example because another program holds a file open, is kept with a warning in the log.
    """
    for folder in work.glob("[0-9a-f]" * KEY_LENGTH):
        if kind_of(folder) != "folder":
            continue
        try:
            with locked(folder, "a run is using it"), errors_about(folder):
                newest = max(path.lstat().st_mtime for path in (folder, *folder.iterdir()))
                if _now(work) - newest > days * 86_400:
                    if kind_of(mark := folder / _UNUSED):
                        discard(folder)
                    else:
                        mark.touch()
        except OutputError as error:
            log.warning("%s stays: %s", folder, error)
    remove_stale_locks(work)


def _now(folder: Path) -> float:
    """The time in seconds by the clock of the file system of `folder`, which may be another machine's."""
    with TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime
