"""Leases between real processes: never more than the card has, in turn, and nothing left behind by the dead."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from bench.leases import USABLE, freed_after_kill_s, packing_of_the_rule, run
from sonic_guard.errors import LeaseError
from sonic_guard.farm.admission import MAX_PASSED
from sonic_guard.farm.leases import CardLeases, CardMemory, LeaseRequest, Place
from sonic_guard.farm.ledger import Ledger, State

FAST_S = 0.01


def leases(folder: Path, usable: int = 10, used: int = 0, own: int = 0, runs: int = 2) -> CardLeases:
    made = CardLeases(Ledger(folder), CardMemory(lambda: usable, lambda: used, lambda: own), runs)
    opened.append(made)
    return made


opened: list[CardLeases] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Leases that a test leaves open would note their use for as long as the process lives."""
    yield
    while opened:
        opened.pop().close()


def refusal(asked: CardLeases, request: LeaseRequest) -> str:
    with pytest.raises(LeaseError) as caught, asked.lease(request):
        pytest.fail("it began")
    return str(caught.value)


def test_processes_that_are_killed_at_any_moment(tmp_path: Path) -> None:
    seen = run(processes=6, jobs=150, kills=30, limit_s=120)
    assert seen.most_used <= USABLE
    assert seen.left_behind == 0
    assert seen.jobs >= 150 - 30, "a job whose process is killed before it begins is lost, and no other"


def test_the_lease_of_a_killed_process_is_free_within_two_seconds() -> None:
    assert freed_after_kill_s() < 2


def test_the_rule_uses_nine_tenths_of_the_card() -> None:
    """Of its bytes × seconds: no order of the jobs, with all of them known beforehand, uses more than all of them."""
    assert fmean(packing_of_the_rule(8, 1000, seed) for seed in range(1, 9)) >= 0.9


def test_a_child_that_outlives_its_parent_keeps_no_lease(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from tests.integration.test_leases import *\n"
        "with leases(Path(sys.argv[1])).lease(LeaseRequest(9)):\n"
        "    child = os.fork()\n"
        "    if child == 0: time.sleep(30); os._exit(0)\n"
        "    print(child, flush=True); os.kill(os.getpid(), 9)"
    )
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    parent = subprocess.run([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, check=False)
    child = int(parent.stdout)
    try:
        os.kill(child, 0)
        with leases(tmp_path).lease(LeaseRequest(9, timeout_s=2)):
            pass
    finally:
        os.kill(child, 9)


def _wait(folder: Path, seen: "multiprocessing.Queue[Place]", size: int) -> None:
    with leases(folder).lease(LeaseRequest(size), notify=seen.put, interval_s=FAST_S):
        seen.put(Place(0, 0, 0, 0))


def test_a_run_that_waits_knows_its_place_in_line(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    first, second = context.Queue(), context.Queue()
    here = leases(tmp_path)
    with here.lease(LeaseRequest(8)):
        one = context.Process(target=_wait, args=(tmp_path, first, 5))
        one.start()
        assert first.get(timeout=20)[:3] == (1, 1, 2)
        two = context.Process(target=_wait, args=(tmp_path, second, 6))
        two.start()
        assert second.get(timeout=20)[:3] == (2, 1, 2)
    begun = Place(0, 0, 0, 0)
    assert {place.number for place in iter(lambda: first.get(timeout=20), begun)} <= {1}, "the larger may begin first"
    assert {place.number for place in iter(lambda: second.get(timeout=20), begun)} <= {1, 2}
    for process in (one, two):
        process.join(20)


@pytest.mark.skipif(os.name != "posix", reason="Windows stops no process")
def test_a_stopped_process_holds_up_nobody_and_keeps_its_place(tmp_path: Path) -> None:
    """One that waits. The lease of one that has begun goes on: its memory is in use."""
    context = multiprocessing.get_context("spawn")
    places = context.Queue()
    memory = CardMemory(lambda: 10, lambda: 0, lambda: 0)
    here, later = (CardLeases(Ledger(tmp_path), memory, silent_s=3.0) for _ in range(2))
    opened.extend([here, later])
    with here.lease(LeaseRequest(5)):
        stopped = context.Process(target=_wait, args=(tmp_path, places, 9))
        stopped.start()
        assert places.get(timeout=20).number == 1
        os.kill(stopped.pid or 0, signal.SIGSTOP)
        with Ledger(tmp_path).deciding() as entries:  # from now on nobody may pass it
            (entry,) = (each for each in entries if each.state is State.WAITING)
            Ledger(tmp_path).write(replace(entry, passed=MAX_PASSED))
        assert "left no room" in refusal(later, LeaseRequest(3, timeout_s=0.3))
        with later.lease(LeaseRequest(3, timeout_s=20), interval_s=FAST_S):
            (entry,) = (each for each in Ledger(tmp_path).look() if each.state is State.WAITING)
            assert (entry.size_bytes, entry.passed) == (9, MAX_PASSED)
            os.kill(stopped.pid or 0, signal.SIGCONT)
            assert places.get(timeout=20)[:2] == (1, 2), "it looks again, and waits at its place"
            blocked = CardLeases(Ledger(tmp_path), memory, runs=3, silent_s=3.0)
            opened.append(blocked)
            assert "left no room" in refusal(blocked, LeaseRequest(1, timeout_s=0))
    assert places.get(timeout=20).number == 0
    stopped.join(20)


def test_no_more_runs_at_a_time_than_allowed(tmp_path: Path) -> None:
    one, two, three = (leases(tmp_path, runs=2) for _ in range(3))
    with one.lease(LeaseRequest(1)), two.lease(LeaseRequest(1)):
        assert "2 other runs" in refusal(three, LeaseRequest(1, timeout_s=0))
    with three.lease(LeaseRequest(1, timeout_s=0)):
        pass


def test_memory_that_other_programs_take_is_counted(tmp_path: Path) -> None:
    _other = leases(tmp_path)
    assert "0 other runs" in refusal(leases(tmp_path, used=4), LeaseRequest(7, timeout_s=0))
    with leases(tmp_path, used=3).lease(LeaseRequest(7, timeout_s=0)):
        pass
    with leases(tmp_path, used=6, own=4).lease(LeaseRequest(8, timeout_s=0)):
        pass  # 4 of the 6 are its own, and are within its 8


def test_what_a_running_lease_holds_is_not_counted_twice(tmp_path: Path) -> None:
    one, two = leases(tmp_path, used=4, own=4), leases(tmp_path, used=4)
    with one.lease(LeaseRequest(5)), two.lease(LeaseRequest(5, timeout_s=0)):
        pass


def test_a_process_that_is_alone_does_not_wait(tmp_path: Path) -> None:
    with leases(tmp_path, usable=10, used=9).lease(LeaseRequest(12)):
        pass
    with pytest.raises(LeaseError, match="needs"), leases(tmp_path).lease(LeaseRequest(12, alone_at_once=False)):
        pytest.fail("it is larger than the card")


def test_a_wait_can_be_cancelled_and_leaves_nothing(tmp_path: Path) -> None:
    one, two = leases(tmp_path), leases(tmp_path)
    cancelled = threading.Event()

    def check() -> None:
        if cancelled.is_set():
            raise KeyboardInterrupt

    with one.lease(LeaseRequest(9)):
        threading.Timer(0.1, cancelled.set).start()
        with pytest.raises(KeyboardInterrupt), two.lease(LeaseRequest(9), check=check, interval_s=FAST_S):
            pytest.fail("it began")
        assert sorted(entry.state for entry in Ledger(tmp_path).look()) == [State.HERE, State.RUNNING]


def test_an_exception_in_a_run_ends_its_lease(tmp_path: Path) -> None:
    one = leases(tmp_path)
    with pytest.raises(ZeroDivisionError), one.lease(LeaseRequest(9)):
        raise ZeroDivisionError
    with leases(tmp_path).lease(LeaseRequest(9, timeout_s=0)):
        pass


@pytest.mark.parametrize(
    "junk", [b"", b"{", b'{"state": "flying"}', b"\xff\xfe", b"[]", b'{"id": 7, "state": "running"}']
)
def test_a_damaged_entry_stops_nobody(tmp_path: Path, junk: bytes) -> None:
    here = leases(tmp_path)
    (tmp_path / "dead.json").write_bytes(junk)
    (tmp_path / "dead.lock").touch()
    with here.lease(LeaseRequest(9, timeout_s=1)):
        pass
    assert not (tmp_path / "dead.json").exists()


def test_a_ledger_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LeaseError, match="ledger"):
        leases(tmp_path / "file" / "ledger")


def test_waiting_takes_no_time_of_the_processor(tmp_path: Path) -> None:
    one, two = leases(tmp_path), leases(tmp_path)
    began_s = time.process_time()
    with one.lease(LeaseRequest(9)), pytest.raises(LeaseError), two.lease(LeaseRequest(9, timeout_s=1.0)):
        pytest.fail("it began")
    assert time.process_time() - began_s < 0.5


def shown(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "sonic_guard", "leases", *options]
    environment = {**os.environ, "SONIC_GUARD_LEASES": str(folder), "COLUMNS": "140"}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout


def test_the_command_line_shows_who_uses_a_card(tmp_path: Path) -> None:
    assert shown(tmp_path) == "No process uses leases.\n"
    holder = leases(tmp_path / "GPU-1", usable=8 << 30, own=1 << 30)
    with holder.lease(LeaseRequest(5 << 30, "Sonic 512×512, 5 s")):
        table = shown(tmp_path)
        assert all(
            each in table for each in ("GPU-1", str(os.getpid()), "running", "5.0 GiB", "1.0 GiB", "Sonic 512×512")
        )
        assert "运行中" in shown(tmp_path, "--lang", "zh")
        [entry] = json.loads(shown(tmp_path, "--json"))["GPU-1"]
    assert (entry["state"], entry["size_bytes"], entry["label"]) == ("running", 5 << 30, "Sonic 512×512, 5 s")
    holder.close()
    assert shown(tmp_path, "--json") == "{}\n"


def test_threads_of_a_process_do_not_decide_at_once(tmp_path: Path) -> None:
    """The thread that notes a run's use, and the one that ends the run: else the older entry may be written last."""
    ledger, inside = Ledger(tmp_path), []

    def decide(_: int) -> None:
        with ledger.deciding():
            inside.append(len(inside))
            assert inside == [0]
            time.sleep(0.01)
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decide, range(40)))
