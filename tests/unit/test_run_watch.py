"""A watched run: what counts for which stage, the pace, the outcome, and that watching does not affect the run."""

import json
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.history.run_record import Outcome, StageFigures
from sonic_guard.memory.stage_model import STAGES
from sonic_guard.runtime.run_watch import RunWatch
from sonic_guard.runtime.sampler_hooks import follow
from tests.support.fake_card import Card, allocated


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def card():
    return Card()


@pytest.fixture
def clock():
    return Clock()


def test_every_stage_has_its_own_peak_and_the_counters_are_set_back_when_one_begins(card):
    watch = RunWatch(card)
    card.take(7)  # another node's
    with watch.during("load"):
        card.take(30)
        card.pass_through(5)
    card.pass_through(1000)  # another node, between two of Sonic's
    with watch.during("predata"):
        card.pass_through(20)
    watch.enter("denoise")
    watch.enter("denoise")
    card.pass_through(90)
    watch.enter("decode")
    card.take(-37)
    card.pass_through(60)
    watch.finish()
    card.pass_through(2000)
    assert allocated(watch) == {"load": 42, "predata": 57, "denoise": 127, "decode": 60}
    assert watch.figures()["denoise"].reserved_bytes == 2 * 127
    assert watch.peak_bytes == 127
    assert card.resets == 4


@pytest.mark.parametrize(
    ("before", "during", "after", "expected"),
    [
        (60, 0, 0, {"decode": 60, "interpolate": 10}),  # interpolate begins with what is held
        (60, 0, 80, {"decode": 60, "interpolate": 90}),
        (60, 90, 0, {"decode": 60, "interpolate": 100}),  # memory allocated between stages counts for the next one
        (60, 20, 0, {"decode": 60, "interpolate": 10}),  # … as far as the counters show
    ],
)
def test_after_a_lull_what_has_come_meanwhile_is_the_next_stage_s(card, before, during, after, expected):
    watch = RunWatch(card)
    watch.enter("decode")
    card.pass_through(before)
    watch.pause()
    card.take(10)
    card.pass_through(during)
    watch.enter("interpolate")
    card.pass_through(after)
    watch.finish()
    assert allocated(watch) == expected


def test_after_a_lull_the_same_stage_may_go_on(card, clock):
    watch = RunWatch(card, clock=clock)
    watch.enter("decode")
    for size in (60, 70, 50):
        watch.enter("decode")
        card.pass_through(size)
        clock.now += 2
        watch.pause()
        card.pass_through(90)
        watch.sample_device(size)
        clock.now += 1
    watch.finish()
    assert watch.figures() == {"decode": StageFigures(90, 180, 70, 9.0)}
    assert card.resets == 1


def test_seconds_and_samples_of_the_device_go_to_the_stage_they_fall_in(clock):
    watch = RunWatch(clock=clock)
    watch.sample_device(999)  # before anything
    with watch.during("load"):
        clock.now += 5
        for used in (10, 30, None, 20):
            watch.sample_device(used)
    watch.sample_device(888)  # between two nodes
    clock.now += 100
    watch.enter("denoise")
    clock.now += 7
    watch.enter("decode")
    watch.sample_device(40)
    watch.pause()
    clock.now += 3
    watch.sample_device(50)
    watch.enter("interpolate")
    clock.now += 1
    watch.finish()
    clock.now += 50
    assert watch.figures() == {
        "load": StageFigures(device_bytes=30, seconds=5.0),
        "denoise": StageFigures(seconds=7.0),
        "decode": StageFigures(device_bytes=40, seconds=0.0),
        "interpolate": StageFigures(device_bytes=50, seconds=4.0),
    }
    assert watch.elapsed_s == 116.0


def test_a_stage_under_way_shows_what_it_has_taken_so_far(card, clock):
    watch = RunWatch(card, clock=clock)
    watch.enter("denoise")
    card.pass_through(90)
    clock.now += 2
    assert watch.figures() == {"denoise": StageFigures(90, 180, None, 2.0)}
    card.pass_through(95)
    assert (watch.peak_bytes, watch.elapsed_s) == (95, 2.0)


# Steps and pace


@pytest.mark.parametrize(
    ("calls_s", "since_s", "left_s"),
    [
        ([], 1.0, None),
        ([9.0], 1.0, None),  # the first call warms the card up
        ([9.0, 2.0], 0.0, 8 * 2.0),
        ([9.0, 2.0], 1.5, 8 * 2.0 - 1.5),
        ([9.0, 2.0, 2.0, 2.0], 0.0, 6 * 2.0),
        ([9.0, 2.0, 12.0], 0.0, 7 * 4.0),  # a fifth of the way from 2 to 12
        ([9.0, 2.0], 100.0, 0.0),  # never less than nothing
        ([9.0] + [2.0] * 9, 0.0, 0.0),
    ],
)
def test_the_time_left_follows_the_pace_of_the_calls(clock, calls_s, since_s, left_s):
    watch = RunWatch(clock=clock)
    watch.expect(steps=5, calls_per_step=2)
    watch.enter("denoise")
    for seconds in calls_s:
        clock.now += seconds
        watch.call_done()
    clock.now += since_s
    assert watch.left_s == (None if left_s is None else pytest.approx(left_s))
    assert watch.step == len(calls_s) // 2
    watch.enter("decode")
    assert watch.left_s is None


def test_skipped_steps_count_as_done_at_the_pace_of_the_others(clock):
    reported = []
    watch = RunWatch(clock=clock, on_change=lambda watch: reported.append(watch.step))
    watch.enter("denoise")
    watch.expect(steps=5, calls_per_step=2)
    watch.skip_steps(3)
    assert (watch.step, watch.left_s) == (3, None)
    for _ in range(2):
        clock.now += 4.0
        watch.call_done()
    assert (watch.step, watch.left_s) == (4, 8.0)
    clock.now += 8.0
    watch.enter("decode")
    clock.now += 1.0
    watch.finish()
    seconds = {stage: figures.seconds for stage, figures in watch.figures().items()}
    assert seconds == {"denoise": 64.0, "decode": 1.0}, "two calls of the network took 16 s: eight take 64"
    assert reported == [0, 3, 4, 4, 4]


def test_a_step_is_over_with_its_last_call_and_there_are_no_more_than_expected(clock):
    reported = []
    watch = RunWatch(clock=clock, on_change=lambda watch: reported.append(watch.step))
    watch.expect(steps=2, calls_per_step=3)
    assert [watch.call_done() for _ in range(8)] == [False, False, True, False, False, True, False, False]
    assert (watch.step, watch.steps) == (2, 2)
    assert reported == [1, 2]


# The end


class Cancelled(BaseException):
    pass


def caused(error):
    error.__cause__ = RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "done"),
        (Cancelled(), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."), "oom"),
        (caused(ValueError("sampling failed")), "oom"),
        (caused(Cancelled()), "interrupted"),
        (RuntimeError("CUDA error: invalid configuration argument"), "error"),
        (MemoryError(), "error"),
        (SystemExit(), "error"),
    ],
)
def test_how_a_run_ends(card, error, outcome):
    watch = RunWatch(card, interrupted=(Cancelled,))
    watch.enter("predata")
    card.pass_through(50)
    watch.finish(error)
    watch.finish(ValueError("too late"))
    watch.enter("denoise")
    assert (watch.outcome, watch.stage) == (outcome, "predata")
    assert allocated(watch) == {"predata": 50}


def test_an_exception_in_a_node_ends_the_run_there_and_is_raised(card):
    watch = RunWatch(card)
    with pytest.raises(RuntimeError, match="HIP out of memory"), watch.during("load"):
        card.take(9)
        raise RuntimeError("HIP out of memory. Tried to allocate 432.00 MiB.")
    assert (watch.outcome, watch.stage, allocated(watch)) == (Outcome.OUT_OF_MEMORY, "load", {"load": 9})


# The event


def test_the_event_of_a_run_under_way(card, clock):
    watch = RunWatch(card, clock=clock)
    watch.id, watch.nodes["SONICSampler"] = 17, "1:5"
    watch.predicted = dict.fromkeys(STAGES, 1000) | {"interpolate": 0}
    watch.expect(4, 1)
    watch.enter("denoise")
    card.pass_through(900)
    for _ in range(2):
        clock.now += 10
        watch.call_done()
    watch.sample_device(1500)
    stage = {"predicted": 1000, "allocated": None, "reserved": None, "device": None, "seconds": None}
    assert json.loads(json.dumps(watch.to_event())) == {
        "id": 17,
        "outcome": "running",
        "stage": "denoise",
        "step": 2,
        "steps": 4,
        "elapsed_s": 20.0,
        "left_s": 20.0,
        "peak_bytes": 900,
        "nodes": {"SONICSampler": "1:5"},
        "stages": {
            "load": stage,
            "predata": stage,
            "denoise": stage | {"allocated": 900, "reserved": 1800, "device": 1500, "seconds": 20.0},
            "decode": stage,
        },
    }


def test_the_event_of_a_run_of_which_nothing_is_known():
    event = RunWatch().to_event()
    assert (event["stage"], event["peak_bytes"], event["stages"], event["left_s"]) == ("", None, {}, None)


# What must not disturb a run


class Broken:
    def __init__(self):
        self.asked = 0

    def read(self):
        self.asked += 1
        raise RuntimeError("CUDA error: unspecified launch failure")

    reset = read


def test_counters_that_fail_are_reported_once_and_not_asked_again(caplog):
    broken = Broken()
    watch = RunWatch(broken)
    with watch.during("load"):
        watch.sample_device(10)
    watch.enter("denoise")
    watch.finish()
    assert list(watch.figures()) == ["load", "denoise"]
    assert watch.peak_bytes is None
    assert broken.asked == len(caplog.records) == 1


def test_a_listener_that_fails_is_reported_once(caplog):
    reported = []

    def fail(watch):
        reported.append(watch.stage)
        raise OSError("the page is gone")

    watch = RunWatch(on_change=fail)
    for stage in STAGES:
        watch.enter(stage)
    watch.finish()
    assert reported == [*STAGES, "interpolate"]
    assert (len(caplog.records), watch.outcome) == (1, Outcome.DONE)


def test_it_can_be_read_while_it_changes():
    watch, failed, over = RunWatch(Card()), [], threading.Event()

    def read():
        try:
            while not over.is_set():
                watch.sample_device(5)
                json.dumps(watch.to_event())
        except Exception as error:
            failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(2000):
        watch.enter(STAGES[turn % 5])
        watch.pause()
        watch.call_done()
    over.set()
    for reader in readers:
        reader.join()
    assert failed == []


deeds = st.one_of(
    st.tuples(st.just("enter"), st.sampled_from(STAGES)),
    st.sampled_from([("pause",), ("leave",), ("call_done",), ("finish",), ("finish", ValueError())]),
    st.tuples(st.just("sample_device"), st.none() | st.integers(0, 2**40)),
    st.tuples(st.just("expect"), st.integers(0, 5), st.integers(0, 3)),
)


@given(st.lists(st.tuples(deeds, st.integers(0, 100), st.integers(0, 10)), max_size=30))
@settings(deadline=None)
def test_figures_are_correct_for_any_events_in_any_order(story):
    card, clock = Card(), Clock()
    watch, highest = RunWatch(card, clock=clock), 0
    for (name, *args), size, seconds in story:
        getattr(watch, name)(*args)
        card.pass_through(size)
        clock.now += seconds
        highest = max(highest, size)
        event = watch.to_event()
        assert event["left_s"] is None or event["left_s"] >= 0
        assert event["peak_bytes"] is None or event["peak_bytes"] <= highest
    figures = watch.figures().values()
    assert sum(stage.seconds for stage in figures) <= watch.elapsed_s
    assert all(stage.allocated_bytes <= highest for stage in figures if stage.allocated_bytes is not None)


@given(st.lists(st.integers(0, 2), max_size=12), st.sampled_from(["check", "progress", "change", "peaks", ""]))
@settings(deadline=None, max_examples=40)
def test_in_whatever_order_the_networks_are_called_only_the_check_can_stop_them(calls, broken):
    torch = pytest.importorskip("torch")
    unet, decoder, flownet = networks = [torch.nn.Identity() for _ in range(3)]
    model = SimpleNamespace(pipe=SimpleNamespace(unet=unet), rife=SimpleNamespace(flownet=flownet), use_interframe=True)
    vae = SimpleNamespace(first_stage_model=SimpleNamespace(decoder=decoder))
    data = {"vae": vae, "audio_tensor_list": [None] * 30}

    def fail(*_):
        raise ZeroDivisionError

    watch = RunWatch(Broken() if broken == "peaks" else None, on_change=fail if broken == "change" else None)
    hooks = {name: fail for name in ("check", "progress") if name == broken}
    through = []
    try:
        with follow(model, data, watch, fps=25.0, steps=4, **hooks):
            for index in calls:
                through.append(networks[index](index))
    except ZeroDivisionError:
        assert broken == "check"
        assert watch.outcome is Outcome.ERROR
    else:
        assert watch.outcome is Outcome.DONE
        assert through == calls
        assert watch.step == min(calls.count(0) // 2, 4)
    assert not any(network._forward_hooks or network._forward_pre_hooks for network in networks)
