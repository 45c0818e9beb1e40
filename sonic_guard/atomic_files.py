"""Writes files atomically: to a temporary file in the same folder, which is synced to disk and renamed.

If writing is interrupted by an error, the user or a power cut, at most ``.NAME.part`` is left, which the next attempt
with the same name removes.
"""

import errno
import logging
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from .errors import OutputError
from .plain_files import shown

log = logging.getLogger(__name__)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR}
_JUNCTION = 0xA0000003
"""Windows' reparse tag of a directory junction, which is not a symbolic link but points to another folder."""


def temp_for(target: Path) -> Path:
    """The temporary file of `target`."""
    return target.with_name(f".{target.name}.part")


def begin(target: Path, *, overwrite: bool = False) -> Path:
    """Create the empty temporary file of `target`, replacing one of an earlier attempt, and return its path.

    Raises `OutputError` if `target` exists and `overwrite` is not set, or if the folder is not writable.
    """
    temp = temp_for(target)
    with errors_about(target):
        if not overwrite and target.exists():
            raise taken(target)
        temp.unlink(missing_ok=True)
        temp.touch()
    return temp


def try_out(target: Path, *, overwrite: bool = False) -> None:
    """Raise the `OutputError` that `begin` would raise for `target`, without leaving a file."""
    begin(target, overwrite=overwrite).unlink()


def commit(target: Path, *, overwrite: bool = False) -> None:
    """Sync the finished temporary file of `target` to disk and rename it. Raises `OutputError`."""
    temp = temp_for(target)
    with errors_about(target):
        with temp.open("rb+") as file:
            os.fsync(file.fileno())
        if not overwrite and target.exists():
            raise taken(target)
        os.replace(temp, target)
        _sync_folder(target.parent)


def _sync_folder(path: Path) -> None:
    """Sync the names in a folder to disk, where the system can: the file itself is whole and in its place already."""
    if os.name != "posix":  # a folder cannot be opened on Windows
        return
    with suppress(OSError):  # some network drives refuse it, and a folder may be written to but not read
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_text(target: Path, text: str) -> None:
    """Replace the content of the file `target` by `text`, atomically. Raises `OutputError`."""
    temp = begin(target, overwrite=True)
    with errors_about(target):
        temp.write_text(text, encoding="utf-8")
    commit(target, overwrite=True)


def write_file(path: Path, content: Iterable[bytes]) -> None:
    """Write the parts of `content` to the file `path`. If that fails, for example on a full disk, it is unchanged.

    If `path` is a link, its target is replaced. A file's permissions are kept. Devices and pipes are written directly.
    Raises `OutputError` if the file cannot be written.
    """
    with errors_about(path):
        if path.exists():
            with path.open("r+b" if path.is_file() else "wb") as file:  # raises if it is write-protected or a folder
                if not path.is_file():
                    file.writelines(content)
                    return
    target = Path(os.path.realpath(path))
    temp = begin(target, overwrite=True)
    try:
        with errors_about(path):
            with temp.open("wb") as file:
                file.writelines(content)
            if target.exists():
                shutil.copymode(target, temp)
        commit(target, overwrite=True)
    except BaseException:
        discard(temp)
        raise


def kind_of(path: Path) -> Literal["", "file", "folder", "link", "other"]:
    """The kind of `path`, without following links; "" if it does not exist, "other" for a FIFO, socket or device."""
    try:
        info = path.lstat()
    except FileNotFoundError:
        return ""
    if stat.S_ISLNK(info.st_mode) or getattr(info, "st_reparse_tag", 0) == _JUNCTION:
        return "link"
    if stat.S_ISDIR(info.st_mode):
        return "folder"
    return "file" if stat.S_ISREG(info.st_mode) else "other"


def discard(path: Path) -> None:
    """Remove a file or folder; of a link, the link itself. If that fails, it is left, with a warning in the log."""
    try:
        if kind_of(path) == "folder":
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s is no longer needed and cannot be removed: %s", path, error)


def same_file(one: Path, other: Path) -> bool:
    """Whether two names lead to one file, also by links, or would once it is there."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def taken(target: Path) -> OutputError:
    """The error for a name that already exists."""
    return fault(target, "there is a file of that name. Choose another name, or move the file away.")


def fault(target: Path, text: str) -> OutputError:
    """The error with `text` about `target`. The text has only the file's name; the error's `path` the full path."""
    return OutputError(f"{shown(target)}: {text}", path=target)


@contextmanager
def errors_about(target: Path) -> Iterator[None]:
    """Convert errors of the system and of libav inside the block to `OutputError`s about `target`, with advice."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and not type(error).__module__.startswith("av."):
            raise
        # By module name: not all of PyAV's errors are OSErrors, and this module has to work without PyAV.
        log.warning("%s: %s", target, getattr(error, "strerror", None) or error)
        raise fault(target, _advice(error, target)) from error


def _advice(error: Exception, target: Path) -> str:
    number = getattr(error, "errno", None)
    if number in _FULL:
        return "there is no space left on this disk. Free some, or choose a folder on another one, and run again."
    if number in _FORBIDDEN:
        return "the folder or the file is write-protected. Choose another folder, or change its permissions."
    if number in _NO_FOLDER:
        return f"there is no folder {shown(target.parent)}. Create it, or choose another."
    return f"could not be written ({getattr(error, 'strerror', None) or error}). Try another folder or format."
