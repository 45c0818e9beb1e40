"""A process that takes leases one after the other, and writes down when it has them: the truth, for a test.

``python -m tests.support.lease_jobs FOLDER LOG USABLE RUNS JOBS LONGEST_MS`` in units of 1 byte; ends when the job
numbers in the file LOG.next are used up.
"""

import fcntl
import os
import random
import sys
import time
from pathlib import Path

from sonic_guard.farm.leases import LOOK_INTERVAL_S, CardLeases, CardMemory, LeaseRequest
from sonic_guard.farm.ledger import Ledger


def next_job(counter: Path, jobs: int) -> int | None:
    """The number of a job that nobody else gets; None when all are taken."""
    with counter.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        number = int(file.read() or b"0")
        file.seek(0)
        file.write(b"%d" % (number + 1))
    return number if number < jobs else None


def size_and_length(number: int, usable: int, longest_s: float) -> tuple[int, float]:
    """Of a job, the same in every process: 4 % to 60 % of the card, up to `longest_s`."""
    chance = random.Random(number)  # noqa: S311
    return chance.randint(usable // 25, usable * 3 // 5), chance.uniform(longest_s / 6, longest_s)


def main(folder: Path, log: Path, usable: int, runs: int, jobs: int, longest_ms: int) -> None:
    held, interval_s = 0, min(LOOK_INTERVAL_S, longest_ms / 30_000)
    memory = CardMemory(lambda: usable, lambda: held, lambda: held)
    leases = CardLeases(Ledger(folder), memory, runs)
    with log.open("ab", buffering=0) as file:
        while (number := next_job(log.with_suffix(".next"), jobs)) is not None:
            size, length_s = size_and_length(number, usable, longest_ms / 1000)
            with leases.lease(LeaseRequest(size, str(number), alone_at_once=False), interval_s=interval_s):
                file.write(b"begin %d %d %d %d\n" % (time.monotonic_ns(), os.getpid(), number, size))
                time.sleep(length_s)
                file.write(b"end %d %d %d %d\n" % (time.monotonic_ns(), os.getpid(), number, size))
    leases.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:7]))
