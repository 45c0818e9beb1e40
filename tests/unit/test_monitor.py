"""The monitor's thread: when it reads, at which rate, for whom, and what it survives. The clock is the test's."""

import logging
import queue
import threading
import time

import pytest

from sonic_guard.devices.memory_reader import MemorySnapshot
from sonic_guard.devices.nvml import Card
from sonic_guard.runtime.monitor import LEASE_S, MAX_WATCHERS, THREAD_NAME, Monitor
from sonic_guard.runtime.run_watch import RunWatch

PATIENCE_S = 30.0
"""Long after this a thread that does not answer is taken for dead."""


class Bench:
    """A monitor with a stopped clock, and everything it does in a queue."""

    def __init__(self):
        self.now = 100.0
        self.done = queue.Queue()
        self.used = 0
        self.fails = {}
        self.there = None
        self.monitor = Monitor(self.read, self.push, self.rest, lambda: self.now, self.is_there)

    def is_there(self, client):
        return self.there is None or client in self.there

    def read(self):
        self.done.put(("read", self.now))
        self.fail("read")
        card = Card(0, "NVIDIA GeForce RTX 4060", "GPU-1", self.used, 8 << 30)
        return MemorySnapshot(card, (card,), None, None, 1, 2, "nvml")

    def push(self, snapshot, clients):
        self.done.put(("push", snapshot.device_bytes, clients))
        self.fail("push")

    def rest(self):
        self.done.put(("rest",))
        self.fail("rest")

    def fail(self, what):
        if what in self.fails:
            raise self.fails[what]

    def next(self, *expected):
        """Wait for `expected` to be what is done next."""
        for deed in expected:
            assert self.done.get(timeout=PATIENCE_S)[0] == deed

    def advance(self, seconds):
        """Let time pass, wake the thread as a renewed lease would, and wait until it sleeps again."""
        self.now += seconds
        changed, deadline = self.monitor._changed, time.monotonic() + PATIENCE_S
        with changed:
            changed.notify()
        while not changed._waiters and time.monotonic() < deadline:
            time.sleep(0.001)


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.monitor.close()


def threads():
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def test_without_watcher_or_run_there_is_no_thread(bench):
    assert bench.monitor.watch("page", 0) == 0.0
    bench.monitor.run_ends(RunWatch())
    assert threads() == []


def test_a_client_gets_a_snapshot_at_once_and_one_per_period(bench):
    assert bench.monitor.watch("page", 2) == LEASE_S
    assert bench.done.get(timeout=PATIENCE_S) == ("read", 100.0)
    assert bench.done.get(timeout=PATIENCE_S) == ("push", 0, ("page",))
    bench.used = 5
    bench.advance(0.25)
    assert bench.done.empty()
    bench.advance(0.25)
    assert bench.done.get(timeout=PATIENCE_S) == ("read", 100.5)
    assert bench.done.get(timeout=PATIENCE_S) == ("push", 5, ("page",))
    assert len(threads()) == 1
    assert threads()[0].daemon


@pytest.mark.parametrize(
    ("rates_hz", "period_s"),
    [([2], 0.5), ([0.2, 4, 1], 0.25), ([1000], 0.1), ([10, 10], 0.1), ([0.001], 5.0)],
)
def test_the_highest_rate_asked_for_counts_within_bounds(bench, rates_hz, period_s):
    for number, rate_hz in enumerate(rates_hz):
        bench.monitor.watch(f"page {number}", rate_hz)
    bench.next("read", "push")
    while not bench.done.empty():  # a page that came later has its own first snapshot
        bench.next("read", "push")
    bench.advance(1.1 * period_s)
    bench.next("read", "push")
    bench.advance(0.9 * period_s)
    assert bench.done.empty()
    bench.advance(0.2 * period_s)
    bench.next("read", "push")
    assert bench.done.empty()


def test_a_higher_rate_counts_from_now_on_not_after_the_present_period(bench):
    bench.monitor.watch("page", 0.2)
    bench.next("read", "push")
    bench.now += 0.5
    bench.monitor.watch("page", 2)
    assert bench.done.get(timeout=PATIENCE_S) == ("read", 100.5)


def test_new_pages_do_not_raise_the_rate_over_the_highest(bench):
    bench.monitor.watch("page", 1)
    bench.next("read", "push")
    for number in range(20):
        bench.monitor.watch(f"page {number}", 1)
    bench.advance(0.1)
    bench.next("read", "push")
    assert bench.done.empty()


def test_a_lease_runs_out_and_can_be_renewed_and_given_back(bench):
    bench.monitor.watch("one", 1)
    bench.monitor.watch("two", 1)
    bench.next("read")
    bench.advance(LEASE_S - 1)
    bench.monitor.watch("two", 1)
    bench.advance(1)
    while (deed := bench.done.get(timeout=PATIENCE_S))[0] != "push" or deed[2] != ("two",):
        pass
    bench.monitor.watch("two", 0)
    bench.advance(1)
    while bench.done.get(timeout=PATIENCE_S)[0] != "rest":
        pass
    bench.monitor.watch("three", 1)
    bench.next("read", "push")
    bench.advance(LEASE_S)
    bench.next("rest")


@pytest.mark.parametrize("rate_hz", [0, -1, float("nan")])
def test_a_rate_that_is_none_ends_the_lease(bench, rate_hz):
    bench.monitor.watch("page", 10)
    bench.next("read", "push")
    bench.monitor.watch("page", rate_hz)
    bench.advance(10)
    bench.next("rest")


def test_a_run_without_clients_is_read_twice_a_second(bench):
    run = RunWatch()
    run.enter("denoise")
    bench.used = 7
    with bench.monitor.during(run):
        bench.next("read")
        bench.used = 9
        bench.advance(0.5)
        bench.next("read")
        bench.used = 8
        bench.advance(0.5)
        bench.next("read")
    bench.advance(0.5)
    bench.next("rest")
    assert run.figures()["denoise"].device_bytes == 9


def pushed_to(bench):
    """The clients that the next snapshot is pushed to."""
    bench.advance(1)
    while not bench.done.empty():
        deed, *what = bench.done.get()
    assert deed == "push"
    return what[1]


def test_the_number_of_clients_is_limited_and_none_replaces_another(bench):
    leases = [bench.monitor.watch(f"page {number}", 1) for number in range(MAX_WATCHERS + 5)]
    assert leases == [LEASE_S] * MAX_WATCHERS + [0.0] * 5
    assert bench.monitor.watch("page 0", 1) == LEASE_S, "a client that is served keeps its lease"
    assert pushed_to(bench) == tuple(f"page {number}" for number in range(MAX_WATCHERS))
    bench.monitor.watch("page 3", 0)
    assert bench.monitor.watch("late", 1) == LEASE_S


def test_a_disconnected_client_is_replaced_by_a_connected_one(bench):
    bench.there = {"page", "other page"}
    bench.monitor.watch("page", 1)
    for number in range(MAX_WATCHERS):
        bench.monitor.watch(f"name {number}", 1)
    assert bench.monitor.watch("another name", 1) == 0.0
    assert bench.monitor.watch("other page", 1) == LEASE_S
    assert pushed_to(bench) == ("page", "other page")


def test_an_expired_lease_is_replaced(bench):
    for number in range(MAX_WATCHERS):
        bench.monitor.watch(f"page {number}", 1)
    bench.now += LEASE_S
    assert bench.monitor.watch("late", 1) == LEASE_S


@pytest.mark.parametrize("what", ["read", "push", "rest"])
def test_a_failure_is_reported_once_per_kind_and_the_thread_continues(bench, caplog, what):
    bench.fails = {what: OSError("no")}
    expected = ["read"] if what == "read" else ["read", "push"]
    caplog.set_level(logging.INFO)
    for turn in range(6):
        if turn == 4:
            bench.fails = {what: ValueError("neither")}
        bench.monitor.watch("page", 10)
        bench.advance(0.1)
        bench.next(*expected)
        bench.monitor.watch("page", 0)
        bench.advance(0)
        bench.next("rest")
    bench.fails = {}
    bench.monitor.watch("page", 10)
    bench.advance(0.1)
    bench.next("read", "push")
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "OSError" in messages[0]
    assert "ValueError" in messages[1]


def test_when_it_is_closed_the_thread_ends_and_none_begins(bench):
    bench.monitor.watch("page", 1)
    bench.next("read", "push")
    bench.monitor.close()
    bench.next("rest")
    bench.monitor.watch("page", 1)
    bench.monitor.run_begins(RunWatch())
    bench.monitor.close()
    assert threads() == []


def test_any_thread_may_call(bench):
    def churn(number):
        for turn in range(200):
            run = RunWatch()
            bench.monitor.watch(f"page {number} {turn % 3}", 10)
            with bench.monitor.during(run):
                bench.monitor.watch(f"page {number} {turn % 3}", 0)

    callers = [threading.Thread(target=churn, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(PATIENCE_S)
    assert len(threads()) <= 1
    bench.monitor.watch("last", 10)
    bench.advance(0.1)
    while (deed := bench.done.get(timeout=PATIENCE_S))[0] != "push" or deed[2] != ("last",):
        pass
