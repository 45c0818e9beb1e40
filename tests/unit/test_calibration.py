"""Calibration: which runs count, how much, and the result."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.calibration_quality import estimate_of
from sonic_guard.devices.card_catalogue import GIB
from sonic_guard.devices.environment import RunEnvironment
from sonic_guard.history.calibration import (
    MAX_RUNS,
    PRIOR_RUNS,
    Calibration,
    Point,
    calibrate,
    calibrate_points,
    denoise_times,
    peaks,
    point_of,
)
from sonic_guard.history.export import csv_parts
from sonic_guard.history.history_store import Page
from sonic_guard.history.run_record import Outcome, Run, StageFigures
from sonic_guard.job import Job
from sonic_guard.memory.overhead import overhead
from sonic_guard.memory.stage_model import predict, stage_bytes
from sonic_guard.optimizations import Optimization
from sonic_guard.planning.pace import learn_pace, passes
from sonic_guard.planning.pass_time import pace_of

JOB = Job(512, 512, 10.0)
TENSORS = stage_bytes(JOB)
FIXED, WORKSPACE = overhead().fixed_bytes, overhead().workspace_bytes
SIZE = 10 * GIB
ESTIMATE = estimate_of(SIZE)
STARTED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def run(number=1, outcome=Outcome.DONE, stage="", job=JOB, available=12 * GIB, predicted=None, **reserved):
    """A run that reserved so many bytes by stage; `denoise=1.1` stands for 1.1 times the tensors."""
    sizes = stage_bytes(job) if predicted is None else predicted
    taken = {
        name: StageFigures(reserved_bytes=int(share * sizes[name]) + (WORKSPACE if share else 0), seconds=60.0)
        for name, share in reserved.items()
    }
    environment = RunEnvironment("RTX 4060", available_bytes=available)
    return Run(number, STARTED + timedelta(hours=number), job, environment, sizes, taken, outcome, stage)


def points(*ratios, size=SIZE):
    """Points of so many tensors with these ratios, newest first; a ratio in a list is one that ran out of memory."""
    return [
        Point(size, round(size * ratio[0]), out_of_memory=True)
        if isinstance(ratio, list)
        else Point(size, round(size * ratio))
        for ratio in ratios
    ]


ORDINARY = {"load": 1.02, "predata": 1.05, "denoise": 1.1, "decode": 2.0, "interpolate": 5.8}


@pytest.mark.parametrize(
    ("given", "ratio"),
    [
        (run(**ORDINARY), 1.1),
        (run(denoise=1.1), 1.1),  # loader and predata were cached
        (run(decode=3.0, denoise=0.97), 0.97),  # decode takes what is free: it does not count
        (run(**{**ORDINARY, "denoise": 0.0}), None),  # not measured
        (run(load=1.02, predata=1.05), None),
        (run(load=3.4, denoise=1.1), None),  # the cache of an earlier run: it did not grow in denoise
        (run(outcome=Outcome.INTERRUPTED, stage="decode", **ORDINARY), 1.1),
        (run(outcome=Outcome.ERROR, stage="interpolate", **ORDINARY), 1.1),
        (run(outcome=Outcome.KILLED, stage="decode", denoise=1.1), 1.1),
        (run(outcome=Outcome.INTERRUPTED, stage="denoise", **ORDINARY), None),  # its peak may not have been reached
        (run(outcome=Outcome.ERROR, stage="", denoise=1.1), None),
        (run(outcome=Outcome.RUNNING, stage="denoise", denoise=1.1), None),
        (run(), None),
        # A long sound: interpolation decides.
        (run(job=Job(512, 512, 120.0), denoise=1.1, interpolate=1.3), 1.3),
        (run(job=Job(512, 512, 120.0), outcome=Outcome.INTERRUPTED, stage="interpolate", denoise=1.1), None),
        # With a low-VRAM network that waits on the GPU predata does.
        (
            run(
                job=replace(JOB, optimizations=frozenset({Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING})),
                predata=1.2,
                denoise=1.3,
            ),
            1.2,
        ),
    ],
)
def test_which_runs_count_and_how(given, ratio):
    point = point_of(given)
    assert (point and round(point.ratio, 6)) == ratio
    assert point is None or not point.out_of_memory


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        (run(outcome=Outcome.OUT_OF_MEMORY, stage="denoise", available=12 * GIB), 12 * GIB - FIXED),
        (run(outcome=Outcome.OUT_OF_MEMORY, stage="denoise", available=1, denoise=1.2), int(1.2 * TENSORS["denoise"])),
        (run(outcome=Outcome.OUT_OF_MEMORY, stage="predata", available=8 * GIB), 8 * GIB - FIXED),
        # Not even the tensors fitted: nothing is learnt about the overhead on top of them.
        (run(outcome=Outcome.OUT_OF_MEMORY, stage="denoise", available=8 * GIB, denoise=0.7), None),
        (run(outcome=Outcome.OUT_OF_MEMORY, stage="decode", available=12 * GIB), None),
        (run(outcome=Outcome.OUT_OF_MEMORY, stage="", available=12 * GIB), None),
    ],
)  # fmt: skip
def test_a_run_that_ran_out_of_memory_is_a_lower_bound(given, bound):
    assert point_of(given) == (bound and Point(TENSORS[given.stage], bound, out_of_memory=True))


def test_what_a_run_is_held_against_is_today_s_model_with_its_own_checkpoint():
    smaller = predict(JOB, unet_bytes=2 * GIB)
    old_model = {"load": smaller.stages["load"], "denoise": 5 * GIB}
    point = point_of(run(predicted=old_model, denoise=2.0))
    assert point == Point(smaller.stages["denoise"], 10 * GIB)


def test_without_runs_the_prediction_is_that_of_the_model():
    nothing = Calibration()
    assert calibrate([]) == nothing
    for job in (JOB, Job(768, 1024, 33.3, optimizations=frozenset({Optimization.FEED_FORWARD_CHUNKING}))):
        assert nothing.corrected(predict(job)) == predict(job).peak_bytes
    assert (nothing.upper(ESTIMATE), nothing.probability(ESTIMATE, 1), nothing.runs) == (None, None, 0)
    assert (nothing.median_error_model, nothing.median_error, nothing.upper_factor) == (None, None, None)


@pytest.mark.parametrize("count", [5, 10, 18])
def test_the_correction_is_the_median_drawn_towards_the_model(count):
    found = calibrate_points(points(*[1.2] * count))
    shipped = overhead().fraction
    own = shipped + count / (count + PRIOR_RUNS) * (0.20 - shipped)
    assert found.overhead == overhead()._replace(fraction=pytest.approx(own))
    assert found.corrected(ESTIMATE) == pytest.approx(FIXED + (1 + own) * SIZE)
    assert found.median_error_model == pytest.approx((0.20 - shipped) * SIZE / (1.2 * SIZE + FIXED))
    left_out = (count - 1) / (count - 1 + PRIOR_RUNS)
    assert found.median_error == pytest.approx((1 - left_out) * found.median_error_model)


@pytest.mark.parametrize(
    "ratios",
    [
        (1.2,),
        (1.2, 1.2),
        (0.96, 1.06),
        (1.0, 1.01, 1.02) * 3,
        (0.99, 1.03) * 9,
        (0.98, 0.96, 1.11, 1.0, 1.06),
        ([1.0],) * 9,
    ],
    ids=lambda ratios: f"{len(ratios)} of {ratios[:2]}",
)
def test_what_gains_no_more_than_chance_would_is_not_used(ratios):
    found = calibrate_points(points(*ratios))
    assert found.corrected(ESTIMATE) == pytest.approx(ESTIMATE.peak_bytes, rel=1e-9)
    assert found.overhead == overhead()._replace(fraction=pytest.approx(overhead().fraction))
    assert found.median_error == pytest.approx(found.median_error_model, abs=1e-9)


def test_one_run_gone_wrong_does_not_matter():
    calm, one_wild = points(*[1.2] * 15), points(*[1.2] * 15, 9.0)
    assert calibrate_points(one_wild).corrected(ESTIMATE) == pytest.approx(
        calibrate_points(calm).corrected(ESTIMATE), rel=0.01
    )


def test_runs_out_of_memory_below_the_prediction_raise_it():
    found = calibrate_points(points(*[[1.3]] * 6))
    assert ESTIMATE.peak_bytes < found.corrected(ESTIMATE) < FIXED + 1.3 * SIZE
    assert found.median_error < found.median_error_model


def rising(count):
    """So many ratios from 1.001 up, by thousandths, well mixed."""
    return [1 + (1 + index * 5 % count) / 1000 for index in range(count)]


@pytest.mark.parametrize(
    ("count", "largest"),
    [(18, None), (19, 19), (39, 38), (59, 57), (99, 95), (399, 380)],
)
def test_the_bound_is_the_rank_that_leaves_one_in_twenty_above(count, largest):
    found = calibrate_points(points(*rising(count)))
    if largest is None:
        assert (found.upper(ESTIMATE), found.probability(ESTIMATE, 11 * GIB)) == (None, None)
    else:
        assert found.upper(ESTIMATE) == pytest.approx(FIXED + (1 + largest / 1000) * SIZE, abs=1)
        assert found.upper_factor * (1 + found.overhead.fraction) == pytest.approx(1 + largest / 1000)


@pytest.mark.parametrize(("count", "counted"), [(19, 19), (38, 19), (39, 39), (58, 39), (398, 379), (450, 399)])
def test_the_bound_counts_the_newest_with_which_the_rank_is_whole(count, counted):
    old, new = [3.0] * (count - counted), [1.1] * counted
    assert calibrate_points(points(*new, *old)).upper(ESTIMATE) == pytest.approx(FIXED + 1.1 * SIZE, abs=1)


def test_what_is_long_ago_is_forgotten():
    new_driver = points(*[1.2] * MAX_RUNS)
    assert calibrate_points(new_driver + points(*[1.0] * 5000)) == calibrate_points(new_driver)


def job(number, **settings):
    """A job of its own for each number, all of nearly the same tensors."""
    return Job(512, 512, 10.0 + 0.08 * number, **settings)


@pytest.mark.parametrize("order", [1, -1])
def test_newest_are_the_runs_with_the_highest_ids(order):
    runs = [run(number, job=job(number), denoise=3.0 if number <= 10 else 1.1) for number in range(1, 30)][::order]
    assert calibrate(runs).upper(ESTIMATE) == pytest.approx(FIXED + 1.1 * SIZE, rel=1e-6)


def test_a_job_run_again_counts_once_with_its_newest_run():
    once = [run(number, job=job(number), denoise=1.1 + number / 1000) for number in range(1, 20)]
    earlier = [run(-number, job=job(7, steps=number, dynamic_scale=1.2), denoise=3.0) for number in range(1, 30)]
    assert calibrate([*once, *earlier]) == calibrate(once)
    assert calibrate(once).runs == 19


@pytest.mark.parametrize(
    ("available_ratio", "at_least"),
    [(1.0005, 19), (1.001, 19), (1.0015, 18), (1.0185, 1), (1.019, 1), (1.0195, 0), (5, 0)],
)
def test_the_probability_counts_the_runs_that_needed_as_much(available_ratio, at_least):
    found = calibrate_points(points(*rising(19)))
    available = FIXED + int(available_ratio * SIZE)
    assert found.probability(ESTIMATE, available) == pytest.approx((1 + at_least) / 20)


def test_the_probability_of_a_card_with_nothing_free_is_one():
    assert calibrate_points(points(*rising(19))).probability(ESTIMATE, 0) == 1


def test_a_run_that_ran_out_of_memory_counts_as_one_of_those_above_it():
    """Worked out by hand: its one part goes to the runs above it and to the run to come, in equal shares."""
    ratios = [*rising(17), [1.0155], 1.1]
    found = calibrate_points(points(*ratios))
    share = 1 + 1 / 4  # above it: 1.016, 1.017, 1.1 and the run to come

    def chance(ratio):
        return found.probability(ESTIMATE, FIXED + int(ratio * SIZE))

    assert chance(1.0005) == pytest.approx(1)
    assert chance(1.0154) == pytest.approx(5 / 20)
    assert chance(1.0165) == pytest.approx(3 * share / 20)
    assert chance(1.5) == pytest.approx(share / 20)
    assert found.upper(ESTIMATE) is None, "95 % lies beyond all that was measured"


def test_a_failed_run_below_all_others_does_not_change_the_bound():
    plain, more = calibrate_points(points(*rising(39))), calibrate_points(points([0.5], *rising(39)[:38]))
    assert plain.upper(ESTIMATE) <= more.upper(ESTIMATE) <= FIXED + 1.04 * SIZE


@given(
    st.lists(st.tuples(st.floats(0.5, 3), st.booleans(), st.integers(GIB, 40 * GIB)), max_size=60),
    st.integers(GIB, 40 * GIB),
)
def test_what_always_holds(found, size):
    calibration = calibrate_points([Point(tensors, int(tensors * ratio), out) for ratio, out, tensors in found])
    estimate = estimate_of(size)
    corrected, upper = calibration.corrected(estimate), calibration.upper(estimate)
    assert corrected > 0
    assert upper is None or corrected <= upper
    assert (len(found) < 19) == (calibration.probability(estimate, 8 * GIB) is None)
    if len(found) >= 19:
        chances = [calibration.probability(estimate, step * GIB // 2) for step in range(1, 200)]
        assert all(0 < chance <= 1 for chance in chances)
        assert chances == sorted(chances, reverse=True)
    if upper is not None:
        assert calibration.probability(estimate, upper + size // 10**6) <= 0.05 + 1e-9
    if calibration.median_error is not None:
        assert calibration.median_error <= calibration.median_error_model


def test_the_pace_is_learnt_from_runs_that_are_done():
    runs = [run(1, **ORDINARY), run(2, outcome=Outcome.ERROR, stage="decode", **ORDINARY), run(3, load=1.0)]
    assert denoise_times(runs) == [(JOB, 60.0)]
    assert learn_pace(denoise_times(runs)).ratio == pytest.approx(pace_of(JOB, 60.0 / passes(JOB)))


def test_peaks_leave_out_what_takes_what_is_free():
    assert peaks(run(**ORDINARY)) == (
        predict(JOB).peak_bytes,
        max(int(1.1 * TENSORS["denoise"]), int(5.8 * TENSORS["interpolate"])) + FIXED,
    )
    assert peaks(run(decode=9.0)) == (predict(JOB).peak_bytes, None)
    assert peaks(run(predicted={})) == (None, None)


def table(*runs):
    """The rows of the table for spreadsheets, as a CSV reader parses them."""
    parts = "".join(csv_parts([Page([given], 0, None) for given in runs]))
    return list(csv.DictReader(io.StringIO(parts.removeprefix("\ufeff"), newline="")))


def test_the_table_for_spreadsheets():
    job = replace(JOB, optimizations=frozenset({Optimization.FEED_FORWARD_CHUNKING, Optimization.SEQUENTIAL_CFG}))
    done, bare = run(7, job=job, **ORDINARY), run(8, outcome=Outcome.OUT_OF_MEMORY, stage="denoise")
    rows = table(done, bare)
    assert [row["id"] for row in rows] == ["7", "8"]
    assert rows[0]["optimizations"] == "feed_forward_chunking sequential_cfg"
    assert rows[0]["started"] == "2026-11-22T19:00:00+00:00"
    assert rows[0]["interpolate"] == "True"
    assert int(rows[0]["denoise_reserved_bytes"]) == done.stages["denoise"].reserved_bytes
    assert int(rows[0]["actual_peak_bytes"]) == peaks(done)[1]
    assert (rows[1]["outcome"], rows[1]["stage"], rows[1]["denoise_reserved_bytes"]) == ("oom", "denoise", "")


@pytest.mark.parametrize("sign", [*"=+-@", *"＝＋－＠", *"﹦﹢﹣﹫", "−", "⁼", "⁻"])
@pytest.mark.parametrize(
    "before",
    ["", "\t", "\r", "\n", " ", "\r\n  ", "\u00a0", "\u3000", "\ufeff", "\u200b", "\u202e", "\0", "\x1f", '"', ' "'],
)
def test_no_text_becomes_a_formula(sign, before):
    given = run(**ORDINARY)
    evil = replace(
        given, environment=replace(given.environment, card=f"{before}{sign}1", driver=f"{sign}cmd|' /C calc'!A0")
    )
    (row,) = table(evil)
    assert (row["card"], row["driver"]) == (f"{before}'{sign}1", f"'{sign}cmd|' /C calc'!A0")


@pytest.mark.parametrize("end", [*",;|\t\r\n", "; ", ';"'])
def test_nor_does_what_another_country_takes_for_the_next_cell(end):
    given = run(**ORDINARY)
    (row,) = table(replace(given, environment=replace(given.environment, driver=f"580{end}=1+1")))
    assert row["driver"] == f"580{end}'=1+1"


@pytest.mark.parametrize("text", ["NVIDIA GeForce RTX 4060", "2.11.0+cu130", "8556234 0f3a", "显卡 - 4060", 'x"=1', ""])
def test_other_texts_stay_as_they_are(text):
    given = run(**ORDINARY)
    (row,) = table(replace(given, environment=replace(given.environment, card=text)))
    assert row["card"] == text


def test_a_negative_number_stays_a_number():
    given = run(**ORDINARY)
    (row,) = table(replace(given, environment=replace(given.environment, total_bytes=-1)))
    assert row["total_bytes"] == "-1"
