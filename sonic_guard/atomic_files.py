"""A file appears under its name only when it is whole: temp file beside it, fsync, rename.

What is cut off in the middle, by an error, the user or a power cut, leaves at most ``.NAME.part``, which the next
attempt at the same name clears.
"""

import errno
import logging
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from .errors import OutputError
from .plain_files import shown

log = logging.getLogger(__name__)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR}
_JUNCTION = 0xA0000003
"""Windows' tag of a folder that leads elsewhere and counts as no symbolic link."""


def temp_for(target: Path) -> Path:
    """Where `target` grows until it is whole."""
    return target.with_name(f".{target.name}.part")


def begin(target: Path, *, overwrite: bool = False) -> Path:
    """Clear what an earlier attempt left, try that the folder takes a file, and return the (empty) temp file.

    Raises `OutputError` if the name is taken and not to be overwritten, or nothing can be written there.
    """
    temp = temp_for(target)
    with errors_about(target):
        if not overwrite and target.exists():
            raise taken(target)
        temp.unlink(missing_ok=True)
        temp.touch()
    return temp


def try_out(target: Path, *, overwrite: bool = False) -> None:
    """Raise the `OutputError` that writing `target` would end in, as far as it can be known before."""
    begin(target, overwrite=overwrite).unlink()


def commit(target: Path, *, overwrite: bool = False) -> None:
    """Give the finished temp file of `target` its name, so that no crash can undo or halve it."""
    temp = temp_for(target)
    with errors_about(target):
        with temp.open("rb+") as file:
            os.fsync(file.fileno())
        if not overwrite and target.exists():
            raise taken(target)
        os.replace(temp, target)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def write_text(target: Path, text: str) -> None:
    """Put `text` into the file `target`: the old or the new content is there at any moment, never a part of one."""
    temp = begin(target, overwrite=True)
    with errors_about(target):
        temp.write_text(text, encoding="utf-8")
    commit(target, overwrite=True)


def write_file(path: Path, content: Iterable[bytes]) -> None:
    """Put the parts of `content` into the file `path`; where that fails, on a full disk for one, it stays as it was.

    A link stays one, and a file its permissions. A device or a pipe takes what it is given.
    Raises `OutputError` if nothing can be written there.
    """
    with errors_about(path):
        if path.exists():
            with path.open("r+b" if path.is_file() else "wb") as file:  # is it write-protected, or a folder?
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
    """What lies under the name `path`, links not followed; "" is nothing, "other" a FIFO, a socket or a device."""
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
    """Remove a file or folder that is no longer needed; where another program holds it open, say so in the log.

    Of a link, the link itself.
    """
    try:
        if kind_of(path) == "folder":
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s is no longer needed and cannot be removed: %s", path, error)


def taken(target: Path) -> OutputError:
    """The error for a name that is in use."""
    return fault(target, "there is a file of that name. Choose another name, or move the file away.")


def fault(target: Path, text: str) -> OutputError:
    """The error that says `text` of `target`. A page may get it: where the file is stands beside the text."""
    return OutputError(f"{shown(target)}: {text}", path=target)


@contextmanager
def errors_about(target: Path) -> Iterator[None]:
    """Turn the system's and libav's errors into `OutputError`s about `target` that say what to do."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and not type(error).__module__.startswith("av."):
            raise
        # By name: PyAV's errors have OSError's fields and are not all of its type, and this module works without PyAV.
        log.warning("%s: %s", target, getattr(error, "strerror", None) or error)
        raise fault(target, _advice(error, target)) from error


def _advice(error: Exception, target: Path) -> str:
    number = getattr(error, "errno", None)
    if number in _FULL:
        return "there is no room left on this disk. Free some, or choose a folder on another one, and run again."
    if number in _FORBIDDEN:
        return "the folder or the file is write-protected. Choose another folder, or change its permissions."
    if number in _NO_FOLDER:
        return f"there is no folder {shown(target.parent)}. Create it, or choose another."
    return f"could not be written ({getattr(error, 'strerror', None) or error}). Try another folder or format."
