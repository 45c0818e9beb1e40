"""Opens files named by the user, and rejects everything that is not a plain file, with a reason.

A pipe, a device or a socket may block, be endless, or be readable only once, so they are rejected before they are
opened. Error texts contain the file's name without its folder, because they may be shown on a page.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO
from unicodedata import category

from .errors import SonicGuardError

MAX_SHOWN = 100
"""Most characters of a file's name in a message."""

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
"""Binary mode on Windows; elsewhere, opening a terminal does not make it the controlling terminal."""


def shown(path: str | os.PathLike[str]) -> str:
    """The name of a file for messages: without its folder, in one line, at most `MAX_SHOWN` characters."""
    path = Path(path)
    name = printable((path.name or str(path))[: MAX_SHOWN + 1])
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…"


def printable(text: str) -> str:
    """`text` with escapes for characters that cannot be displayed: control characters, and bytes that are not UTF-8."""
    # Unicode spaces are not printable for Python, but are kept: macOS and Chinese keyboards put them into names.
    return "".join(each if each.isprintable() or category(each) == "Zs" else ascii(each)[1:-1] for each in text)


def plain_file(path: str | os.PathLike[str], error: type[SonicGuardError], what: str) -> Path:
    """The absolute path of the plain file `path`, which may be a link to one. The file is not opened.

    `what` names the expected kind in messages: "a picture", "a sound file". Raises `error` if the file does not exist
    or is not accessible, and for a folder, a pipe, a device or a socket.
    """
    file = Path(path).absolute()
    try:
        mode = os.stat(file).st_mode
    except (OSError, ValueError) as fault:
        raise error(f"{shown(file)}: {_reason(file, fault)}", path=file) from fault
    _check(mode, file, error, what)
    return file


def open_plain(path: str | os.PathLike[str], error: type[SonicGuardError], what: str) -> BinaryIO:
    """The plain file `path`, opened for reading. Raises as `plain_file` does.

    The opened file is checked again, and opening does not block: the file may have been replaced by a pipe meanwhile.
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
    """Why a file is not accessible, for the message."""
    if not isinstance(fault, OSError):  # a zero byte, or characters outside the file system's encoding
        return "this is not the name of a file. Check the path."
    if fault.errno == errno.ENOENT and os.path.islink(file):
        return "this is a link to a file that is not there. Choose the file itself."
    return _REASONS.get(fault.errno or 0, f"cannot be read ({fault.strerror or fault}).")
