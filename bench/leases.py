"""Leases under fire: processes that share a card, random runs, `kill -9` at random moments.

``python -m bench.leases [--processes 8] [--jobs 1000] [--kills 200] [--longest-ms 60]`` prints what was seen: whether
the card was ever over its budget, whether anything was stuck or left behind, how long a dead process's lease lasted,
how well the card was used, and what a lease costs a process that is alone: as JSON.
"""

import argparse
import contextlib
import heapq
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

from sonic_guard.farm.admission import Capacity, Waiting, admit
from sonic_guard.farm.leases import CardLeases, CardMemory, LeaseRequest
from sonic_guard.farm.ledger import Ledger, State
from tests.support.lease_jobs import size_and_length

USABLE = 24_000
"""Units of the card's memory."""
LONGEST_MS = 60
"""Length of the longest run. Runs of minutes are far from what looking and starting take; these are near it."""


class Outcome(NamedTuple):
    """What was seen."""

    jobs: int
    killed: int
    most_used: int
    """Most units that runs held at a time."""
    seconds: float
    packing: float
    """Units × seconds of all runs as a share of the card's, from the first to the last."""
    left_behind: int
    """Leases that are still there when every process has ended."""


def run(
    processes: int, jobs: int, kills: int, *, longest_ms: int = LONGEST_MS, seed: int = 1, limit_s: float | None = None
) -> Outcome:
    """Let `processes` take `jobs` leases, and kill one of them `kills` times. Raises `TimeoutError` if it is stuck."""
    limit_s = limit_s or 600.0 + jobs * longest_ms / 1000  # as long as if they ran one after the other
    chance = random.Random(seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as name:
        folder, log = Path(name) / "ledger", Path(name) / "log"
        log.with_suffix(".next").write_bytes(b"0")
        options = map(str, (folder, log, USABLE, 99, jobs, longest_ms))
        command = [sys.executable, "-m", "tests.support.lease_jobs", *options]
        alive = [subprocess.Popen(command) for _ in range(processes)]
        began_s, dead = time.monotonic(), {}
        while any(each.poll() is None for each in alive):
            if time.monotonic() - began_s > limit_s:
                raise TimeoutError("stuck")
            time.sleep(chance.uniform(0, 0.1))
            if len(dead) < kills and (running := [each for each in alive if each.poll() is None]):
                victim = chance.choice(running)
                dead[victim.pid] = time.monotonic_ns()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim.pid, signal.SIGKILL)
                victim.wait()
                alive[alive.index(victim)] = subprocess.Popen(command)
        left = [entry for entry in Ledger(folder).look() if entry.state is not State.HERE]
        return _outcome(log.read_bytes(), dead, len(left))


def _outcome(log: bytes, dead: dict[int, int], left_behind: int) -> Outcome:
    begun: dict[tuple[int, int], tuple[int, int]] = {}
    spans = []
    for line in log.splitlines():
        word, *numbers = line.split()
        moment, pid, number, size = map(int, numbers)
        if word == b"begin":
            begun[pid, number] = moment, size
        else:
            spans.append((*begun.pop((pid, number)), moment))
    spans += [(moment, size, dead[pid]) for (pid, _), (moment, size) in begun.items()]
    changes = sorted([(start, size) for start, size, _ in spans] + [(end, -size) for _, size, end in spans])
    held = most = 0
    for _, size in changes:
        held += size
        most = max(most, held)
    seconds = (changes[-1][0] - changes[0][0]) / 1e9
    area = sum(size * (end - start) / 1e9 for start, size, end in spans)
    return Outcome(len(spans), len(dead), most, seconds, area / (USABLE * seconds), left_behind)


def packing_of_the_rule(processes: int, jobs: int, seed: int = 0) -> float:
    """As `Outcome.packing` of the same jobs if looking and starting took no time: what the rule leaves unused."""
    todo = [size_and_length(number + seed * jobs, USABLE, 1.0) for number in range(jobs)]
    coming = iter(range(jobs))
    waiting = {number: Waiting(number, todo[number][0]) for number in islice(coming, processes)}
    running: list[tuple[float, int]] = []
    now = 0.0
    while waiting or running:
        admission = admit(Capacity(USABLE, runs=99), [todo[each][0] for _, each in running], list(waiting.values()))
        for number in admission.passed:
            waiting[number] = waiting[number]._replace(passed=waiting[number].passed + 1)
        for number in admission.admitted:
            heapq.heappush(running, (now + todo[number][1], number))
            del waiting[number]
        now, _ = heapq.heappop(running)
        for number in islice(coming, 1):
            waiting[number] = Waiting(number, todo[number][0])
    return sum(size * length_s for size, length_s in todo) / (USABLE * now)


def freed_after_kill_s() -> float:
    """Seconds from `kill -9` of a process with a lease until another one has it."""
    code = (
        "import sys, time; from pathlib import Path; from sonic_guard.farm.leases import *; "
        "from sonic_guard.farm.ledger import Ledger\n"
        "leases = CardLeases(Ledger(Path(sys.argv[1])), CardMemory(lambda: 10, lambda: 0, lambda: 0))\n"
        "with leases.lease(LeaseRequest(9)): print('held', flush=True); time.sleep(60)"
    )
    with tempfile.TemporaryDirectory() as folder:
        holder = subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE)
        assert holder.stdout is not None  # noqa: S101
        holder.stdout.readline()
        leases = CardLeases(Ledger(Path(folder)), CardMemory(lambda: 10, lambda: 0, lambda: 0))
        holder.kill()
        killed_s = time.monotonic()
        with leases.lease(LeaseRequest(9)):
            took_s = time.monotonic() - killed_s
        holder.wait()
        leases.close()
    return took_s


def cost_alone_s(times: int = 200) -> float:
    """Seconds that a lease adds to a run of a process that is alone."""
    with tempfile.TemporaryDirectory() as folder:
        leases = CardLeases(Ledger(Path(folder)), CardMemory(lambda: 10, lambda: 0, lambda: 0))
        took = []
        for _ in range(times):
            began_s = time.perf_counter()
            with leases.lease(LeaseRequest(9)):
                pass
            took.append(time.perf_counter() - began_s)
        leases.close()
    return median(took)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--longest-ms", type=int, default=LONGEST_MS)
    options = parser.parse_args()
    seen = run(options.processes, options.jobs, options.kills, longest_ms=options.longest_ms)
    figures = {
        **seen._asdict(), "usable": USABLE, "packing_of_the_rule": packing_of_the_rule(options.processes, options.jobs),
        "freed_after_kill_s": freed_after_kill_s(), "cost_alone_s": cost_alone_s(),
    }  # fmt: skip
    print(json.dumps({name: round(value, 5) for name, value in figures.items()}, indent=1))
