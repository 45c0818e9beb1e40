"""The history for the next prediction: read once in a while, by card and wrapper, and again on request."""

import threading
import time
from dataclasses import replace

import pytest

from sonic_guard.devices.environment import RunEnvironment
from sonic_guard.errors import HistoryError
from sonic_guard.history.export import calibrations
from sonic_guard.history.history_cache import MAX_AGE_S, MAX_CARDS, HistoryCache
from sonic_guard.history.history_store import History
from sonic_guard.history.run_record import Outcome, StageFigures
from sonic_guard.job import Dtype, Job
from sonic_guard.memory.stage_model import stage_bytes
from sonic_guard.optimizations import Optimization
from sonic_guard.relatives import Relative

JOB, OTHER = Job(512, 512, 10.0), Job(512, 512, 20.0)
CARD = "NVIDIA GeForce RTX 4060"


PATIENCE_S = 30.0
"""Long after this a thread that does not answer is taken for dead."""


def known_of(*given, glance_s=PATIENCE_S, **more):
    """A `HistoryCache` with a long time limit, for a busy machine."""
    return HistoryCache(*given, glance_s=glance_s, **more)


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "history.db")


def add(history, job=JOB, card=CARD, wrapper="1.0", outcome=Outcome.DONE, seconds=60.0, total_bytes=0):
    predicted = stage_bytes(job)
    environment = RunEnvironment(card, wrapper=wrapper, available_bytes=8 << 30, total_bytes=total_bytes)
    number = history.begin(job, environment, predicted)
    took = {"denoise": StageFigures(predicted["denoise"], predicted["denoise"] + 1000, None, seconds)}
    if outcome is not Outcome.RUNNING:
        history.finish(number, outcome, "" if outcome is Outcome.DONE else "denoise", took)
    return number


def test_without_runs_there_is_nothing_to_learn(history):
    for known in (known_of(lambda: history), known_of(lambda: None)):
        card_history = known.of(CARD)
        assert (card_history.calibration.runs, card_history.pace, card_history.last(JOB)) == (0, None, None)


def test_the_runs_of_relatives_are_apart(history):
    dice = replace(JOB, relative=Relative.DICE_TALK)
    add(history)
    for seconds in (10.0, 11.0):
        add(history, dice, seconds=seconds)
    known = known_of(lambda: history)
    sonic, other = known.of(CARD), known.of(CARD, relative=Relative.DICE_TALK)
    assert (sonic.calibration.runs, sonic.pace.runs, sonic.last(dice)) == (1, 1, None)
    assert (other.pace.runs, other.last(JOB)) == (2, None)
    assert other.last(dice).job == dice


def test_a_card_that_mostly_runs_one_relative_learns_about_the_other(history, monkeypatch):
    """The newest runs of each are read, however many of another are newer."""
    monkeypatch.setattr("sonic_guard.history.history_cache.MAX_RUNS", 2)
    dice = replace(JOB, relative=Relative.DICE_TALK)
    for rare, usual, relative in ((JOB, dice, Relative.SONIC), (dice, JOB, Relative.DICE_TALK)):
        history.clear()
        add(history, rare)
        for number in range(9):
            add(history, replace(usual, duration_s=10.0 + number))
        known = known_of(lambda: history)
        assert known.of(CARD, relative=relative).calibration.runs == 1
        assert known.of(CARD, relative=usual.relative).pace.runs == 4


def test_the_runs_of_each_relative_count_with_the_version_of_its_own_pack(history):
    dice = replace(JOB, relative=Relative.DICE_TALK)
    for job, wrapper in ((JOB, "1.0"), (dice, "1.0"), (dice, "7.0"), (replace(dice, duration_s=20.0), "7.0")):
        add(history, job, wrapper=wrapper)
    known = known_of(lambda: history, {Relative.SONIC: "1.0", Relative.DICE_TALK: "7.0"}.get)
    assert known.of(CARD).calibration.runs == 1
    assert known.of(CARD, relative=Relative.DICE_TALK).pace.runs == 2
    assert {name: each.runs for name, each in calibrations(history, [CARD, "another"]).items()} == {CARD: 2}, (
        "of the pack that ran last"
    )


def test_runs_of_the_card_and_the_wrapper_count(history):
    add(history, seconds=50.0)
    add(history, OTHER, seconds=70.0)
    add(history, card="another")
    add(history, replace(JOB, fps=12.0), wrapper="2.0", seconds=9.0)
    card_history = known_of(lambda: history, lambda _relative: "1.0").of(CARD)
    assert card_history.calibration.runs == 2
    assert card_history.pace
    assert card_history.pace.runs == 2
    assert known_of(lambda: history).of(CARD).calibration.runs == 3


def test_cards_of_one_name_with_different_memory_are_told_apart(history):
    """An RTX 3060 has 8 or 12 GB, and one history may be that of several machines."""
    sizes = {"8 GB": 8188 << 20, "12 GB": 12288 << 20}
    add(history, seconds=50.0, total_bytes=sizes["8 GB"])
    add(history, OTHER, seconds=50.0, total_bytes=sizes["8 GB"])
    add(history, seconds=200.0, total_bytes=sizes["12 GB"])
    known = known_of(lambda: history)
    eight, twelve, any_size = (known.of(CARD, None, size) for size in (8192 << 20, 12282 << 20, 0))
    assert [each.calibration.runs for each in (eight, twelve, any_size)] == [2, 1, 2]
    assert twelve.pace.ratio > 3 * eight.pace.ratio
    assert eight.last(OTHER)
    assert not twelve.last(OTHER)
    assert known.of(CARD, None, 24 << 30).calibration.runs == 0


def test_it_reads_again_on_request(history):
    known = known_of(lambda: history)
    assert known.of(CARD).calibration.runs == 0
    add(history)
    assert known.of(CARD).calibration.runs == 0
    known.forget()
    assert known.of(CARD).calibration.runs == 1


def test_after_a_run_its_figures_are_waited_for_and_the_old_ones_are_kept_meanwhile(history):
    add(history)
    gate, opened = threading.Event(), threading.Semaphore(0)
    gate.set()

    def slow():
        opened.release()
        assert gate.wait(PATIENCE_S)
        return history

    known = known_of(slow, glance_s=0.01)
    assert known.of(CARD, PATIENCE_S).calibration.runs == 1
    gate.clear()
    add(history, OTHER)
    known.renew()
    assert known.of(CARD).calibration.runs == 1, "a prediction goes on with what was known"
    threading.Timer(0.2, gate.set).start()
    assert known.of(CARD, PATIENCE_S).calibration.runs == 2, "a node waits for the run that has ended"
    assert known.of(CARD).calibration.runs == 2
    assert [opened.acquire(blocking=False) for _ in range(3)] == [True, True, False]


def test_it_reads_again_after_a_while_without_blocking(history):
    clock, read = Clock(), threading.Semaphore(0)

    def opened():
        read.release()
        return history

    known = known_of(opened, clock=clock)
    known.of(CARD)
    add(history)
    clock.now_s = MAX_AGE_S
    assert known.of(CARD).calibration.runs == 0
    assert [read.acquire(timeout=30) for _ in range(2)] == [True, True]
    for _ in range(3000):
        if known.of(CARD).calibration.runs:
            break
        time.sleep(0.01)
    assert known.of(CARD).calibration.runs == 1
    assert not read.acquire(blocking=False)


def test_the_last_run_of_the_same_settings_is_the_newest_that_ended(history):
    add(history)
    newest = add(history, outcome=Outcome.OUT_OF_MEMORY)
    add(history, outcome=Outcome.RUNNING)
    last = known_of(lambda: history).of(CARD).last(JOB)
    assert last
    assert last.id == newest


@pytest.mark.parametrize(
    ("job", "same"),
    [
        (replace(JOB, width=2048, height=2048, duration_s=10.04, expand_ratio=0.15), True),
        (replace(JOB, min_resolution=448), False),
        (replace(JOB, duration_s=11.0), False),
        (replace(JOB, dtype=Dtype.FP32), False),
        (replace(JOB, fps=12.0), False),
        (replace(JOB, steps=30), False),
        (replace(JOB, interpolate=False), False),
        (replace(JOB, optimizations=frozenset({Optimization.SEQUENTIAL_CFG})), False),
        (replace(JOB, optimizations=frozenset({Optimization.UNET_OFFLOAD})), False),
    ],
)
def test_the_same_settings_are_those_that_take_the_same(history, job, same):
    add(history)
    assert (known_of(lambda: history).of(CARD).last(job) is not None) is same


def not_there():
    raise HistoryError("history: the folder is read-only.")


@pytest.mark.parametrize("how", ["cannot be opened", "cannot be read"])
def test_a_history_that_fails_is_not_used_and_is_logged_once(tmp_path, caplog, how):
    known = known_of(not_there if how == "cannot be opened" else lambda: History(tmp_path / "no.db", existing=True))
    for _ in range(5):
        assert known.of(CARD).calibration.runs == 0
    assert len(caplog.records) == 1
    assert "from the model alone" in caplog.text


class Held:
    """A history locked by another program: a reader waits until the lock is released, and then fails."""

    def __init__(self):
        self.asked, self.let_go = [], threading.Event()

    def runs(self, card=None, wrapper=None, limit=None, *, relative=None):
        self.asked.append(card)
        assert self.let_go.wait(PATIENCE_S)
        raise HistoryError(f"history: the database of {id(self)} is locked.")


def test_a_locked_history_delays_a_prediction_only_briefly():
    held = Held()
    known = known_of(lambda: held, glance_s=0.01)
    try:
        for card in (CARD, "another", CARD, "a third"):
            assert known.of(card).calibration.runs == 0
        assert held.asked == [CARD], "one query at a time"
    finally:
        held.let_go.set()


def test_what_could_not_be_read_is_not_asked_for_at_every_prediction(caplog):
    clock, held = Clock(), Held()
    held.let_go.set()
    known = known_of(lambda: held, clock=clock)
    for card in ("A", "B", "A", "C"):
        known.of(card)
    assert held.asked == ["A"]
    clock.now_s = MAX_AGE_S
    known.of("A")
    known.of("D")
    assert held.asked == ["A", "A"]
    known.forget()
    known.of("B")
    assert held.asked == ["A", "A", "B"]
    own = [record for record in caplog.records if str(id(held)) in record.getMessage()]
    assert len(own) == 3, "another test's reader may still write its own"


def test_a_history_that_comes_late_is_taken_up(history):
    add(history)
    late = threading.Event()

    def opened():
        assert late.wait(PATIENCE_S)
        return history

    known = known_of(opened, glance_s=0.01)
    assert known.of(CARD).calibration.runs == 0
    late.set()
    for _ in range(3000):
        if known.of(CARD).calibration.runs:
            break
        time.sleep(0.01)
    assert known.of(CARD).calibration.runs == 1


def test_known_runs_are_kept_when_a_query_fails(history):
    add(history)
    clock, fails = Clock(), []

    def opened():
        if fails:
            fails.append(1)
            raise HistoryError("history: the database is locked.")
        return history

    known = known_of(opened, clock=clock)
    assert known.of(CARD).calibration.runs == 1
    fails.append(0)
    clock.now_s = MAX_AGE_S
    for _ in range(3000):
        assert known.of(CARD).calibration.runs == 1
        if len(fails) > 1:
            break
        time.sleep(0.01)
    assert len(fails) == 2
    assert known.of(CARD).calibration.runs == 1


def test_any_number_of_names_may_be_asked_for(history):
    add(history)
    known = known_of(lambda: history)
    for number in range(MAX_CARDS + 3):
        assert known.of(f"card {number}").calibration.runs == 0
    assert known.of(CARD).calibration.runs == 1
