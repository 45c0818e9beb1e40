"""One run at a time: locks of the operating system, which end with the process that holds them, however it ends.

NAME is locked by the file ``NAME.lock`` beside it: NAME can be removed while it is locked, on Windows too. A file that
a process holds counts, not one that exists: what a killed run has left means nothing. On a disk without `flock`
filelock puts the process's number into the file, and the file counts while that process lives.

The file is removed at the end. A process that had opened it just before would then lock a file without a name, so it
is made and removed under a second lock, ``.lock``, which stays.
"""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..atomic_files import discard, errors_about, kind_of
from ..errors import OutputError

log = logging.getLogger(__name__)

_MOMENT_S = 30
"""What the second lock is waited for; it is held while a file is opened or removed."""
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@contextmanager
def alone(path: Path, busy: str) -> Iterator[None]:
    """Have `path` to oneself. Raises `OutputError`, saying `busy`, at once if another run has it.

    The folder of `path` is made if it is missing. A disk that knows no locks gets a line in the log and no lock.
    """
    with errors_about(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    with _moment(path.parent):
        _acquire(lock, 0, busy)
    try:
        yield
    finally:
        try:
            with _moment(path.parent):
                lock.release()
                discard(Path(lock.lock_file))
        except OutputError as error:  # the video is there, or another error is on its way
            log.warning("%s stays, and means nothing: %s", lock.lock_file, error)
        finally:
            lock.release()


def tidy(folder: Path) -> None:
    """Remove the files of locks in `folder` that killed runs have left."""
    for file in folder.glob("?*.lock"):
        with suppress(OutputError), alone(file.with_suffix(""), "in use"):
            pass


@contextmanager
def _moment(folder: Path) -> Iterator[None]:
    """In which no other run makes or removes a lock's file in `folder`."""
    lock = FileLock(folder / ".lock")
    _acquire(lock, _MOMENT_S, f"{folder.name}/.lock: a ComfyUI that makes a long video hangs. Close that one.")
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, timeout_s: float, busy: str) -> None:
    file = Path(lock.lock_file)
    with errors_about(file):
        if kind_of(file) not in ("", "file"):  # filelock opens what a link leads to, and older ones empty it
            log.warning("%s is no plain file, and is removed.", file)
            discard(file)
        try:
            lock.acquire(timeout=timeout_s)
        except Timeout:
            raise OutputError(busy) from None
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
                raise
            log.warning("%s: this disk knows no locks (%s). Do not make one video twice at a time.", file, error)
