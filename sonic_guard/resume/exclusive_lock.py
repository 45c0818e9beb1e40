"""Locks between processes, by the operating system, which releases them when the process ends for whatever reason.

The path NAME is locked by the file ``NAME.lock`` next to it, so that NAME itself can be removed while it is locked, on
Windows too. The lock is held by the open file: a lock file left by a killed process has no effect. On a file system
without `flock`, filelock writes the process id into the file, and the lock lasts as long as that process.

The lock file is removed on release. Another process that opened it just before would then lock a file without a name,
so lock files are created and removed only under a second lock, ``.lock``, which is never removed.
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
"""Timeout of the second lock; it is held only while a file is opened or removed."""
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock of `path` inside the block.

    Raises `OutputError` with the text `busy`, without waiting, if another run holds it. Creates the folder of `path`
    if it is missing. If the file system has no locks, continues without one, with a warning in the log.
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
        except OutputError as error:  # not raised: the block's result or its own exception is more important
            log.warning("%s could not be removed, which is harmless: %s", lock.lock_file, error)
        finally:
            lock.release()


def remove_stale_locks(folder: Path) -> None:
    """Remove the lock files in `folder` that killed runs have left."""
    for file in folder.glob("?*.lock"):
        with suppress(OutputError), locked(file.with_suffix(""), "in use"):
            pass


@contextmanager
def _moment(folder: Path) -> Iterator[None]:
    """Inside the block, no other run creates or removes a lock file in `folder`."""
    lock = FileLock(folder / ".lock")
    _acquire(lock, _MOMENT_S, f"{folder.name}/.lock: a ComfyUI that makes a long video hangs. Close that one.")
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, timeout_s: float, busy: str) -> None:
    file = Path(lock.lock_file)
    with errors_about(file):
        if kind_of(file) not in ("", "file"):  # filelock follows links, and older versions truncate the target
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
