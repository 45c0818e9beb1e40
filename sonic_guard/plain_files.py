"""Files that a user names: is it a plain file, and if not, what is it?

A pipe, a device or a socket may block for ever, has no end, or gives its bytes only once. They are refused before they
are opened. What is said names the file, never the folder it is in: the text may go to a page.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO
from unicodedata import category

from .errors import SonicGuardError

MAX_SHOWN = 100
"""Longest part of a name in characters that is repeated in a message."""

_NO_FILE = "there is no such file. Check the path."
_REASONS = {
    errno.ENOENT: _NO_FILE,
    errno.ENOTDIR: _NO_FILE,
    errno.ELOOP: "this is a link that leads in a circle. Choose the file itself.",
    errno.ENAMETOOLONG: "no file has so long a name. Check the path.",
    errno.EACCES: "it may not be read. Change its permissions, or those of its folder.",
    errno.EPERM: "it may not be read. Change its permissions, or those of its folder.",
}

_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
"""Bytes as they are on Windows; elsewhere, a terminal that is opened by its name is not taken over."""


def shown(path: str | os.PathLike[str]) -> str:
    """The name of a file as a message shows it: without its folder, in one line, at most `MAX_SHOWN` characters."""
    path = Path(path)
    name = printable((path.name or str(path))[: MAX_SHOWN + 1])
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…"


def printable(text: str) -> str:
    """`text` with escapes for what no screen can show: control characters, and bytes of a name that are no UTF-8."""
    # Of the other spaces, none of which Python calls printable, macOS and Chinese keyboards put some into names.
    return "".join(each if each.isprintable() or category(each) == "Zs" else ascii(each)[1:-1] for each in text)


def plain_file(path: str | os.PathLike[str], error: type[SonicGuardError], what: str) -> Path:
    """The absolute path of the file `path`, which may be a link to one. Nothing is opened.

    `what` says what was expected there: "a picture", "a sound file". Raises `error` with a sentence where there is
    no such file, where it cannot be reached, and for a folder, a pipe, a device or a socket.
    """
    file = Path(path).absolute()
    try:
        mode = os.stat(file).st_mode
    except (OSError, ValueError) as fault:
        raise error(f"{shown(file)}: {_reason(file, fault)}", path=file) from fault
    _check(mode, file, error, what)
    return file


def open_plain(path: str | os.PathLike[str], error: type[SonicGuardError], what: str) -> BinaryIO:
    """`path` opened for reading, if it is what `plain_file` takes; it raises as that does.

    What is opened is looked at once more, and opening does not block: the file may have been replaced by a pipe since.
    """
    file = plain_file(path, error, what)
    no_wait = getattr(os, "O_NONBLOCK", 0)
    flags = os.O_RDONLY | no_wait | _FLAGS
    try:
        number = os.open(file, flags)
    except OSError as fault:
        raise error(f"{shown(file)}: {_reason(file, fault)}", path=file) from fault
    try:
        _check(os.fstat(number).st_mode, file, error, what)
        if no_wait:
            os.set_blocking(number, True)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def _check(mode: int, file: Path, error: type[SonicGuardError], what: str) -> None:
    """Raise `error` unless `mode` is that of a plain file."""
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        text = f"this is a folder, not {what}."
    elif stat.S_ISFIFO(mode):
        text = "a pipe cannot be read twice: save it to a file."
    elif stat.S_ISSOCK(mode):
        text = f"this is a socket, not {what}."
    else:
        text = f"this is a device, not {what}."
    raise error(f"{shown(file)}: {text}", path=file)


def _reason(file: Path, fault: OSError | ValueError) -> str:
    """Why a file cannot be reached, in words."""
    if not isinstance(fault, OSError):  # a zero byte, or characters that the file system's encoding does not have
        return "this is not the name of a file. Check the path."
    if fault.errno == errno.ENOENT and os.path.islink(file):
        return "this is a link to a file that is not there. Choose the file itself."
    return _REASONS.get(fault.errno or 0, f"cannot be read ({fault.strerror or fault}).")
