"""How long a case may take, and how much memory: one that takes more fails like one that raises."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

CASE_S = 30
"""Longest a case may take. The slowest honest ones take a second; this is a guard against hangs."""
CASE_BYTES = 512 << 20
"""Most address space a case may take in addition to what the process has; no input is larger than a few megabytes."""


class TooLongError(Exception):
    """A case is not done after `CASE_S`."""


@contextmanager
def bounded() -> Iterator[None]:
    """Raise an error where the block takes more than `CASE_S` or `CASE_BYTES`."""

    def too_long(*_: object) -> None:
        raise TooLongError(f"not done after {CASE_S} s")

    before = signal.signal(signal.SIGALRM, too_long)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    signal.setitimer(signal.ITIMER_REAL, CASE_S)
    try:
        if held := address_space():
            resource.setrlimit(resource.RLIMIT_AS, (held + CASE_BYTES, hard))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def address_space() -> int:
    """Bytes this process has; 0 where the system does not report it (macOS, which has no such limit either)."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0
