"""How long denoising takes: measured on this card, estimated from its speed, or relative to another run."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_guard.devices.budget import Budget, budget_for
from sonic_guard.devices.card_catalogue import all_cards
from sonic_guard.job import MIN_CHUNK_SIZE, Dtype, Job
from sonic_guard.optimizations import REORDERING, Optimization
from sonic_guard.planning.pace import Pace, TimeSource, learn_pace, passes, predict_time
from sonic_guard.planning.pass_time import pass_s

JOB = Job(512, 512, 10.0)
LAYERS = frozenset({Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING})
CARDS = {title: budget_for(title) for title in ("H200", "RTX 4090", "RTX 3060 12GB", "GTX 1080 Ti", "M3 Max 36GB")}


def test_without_runs_there_is_no_pace():
    assert learn_pace([]) is None
    assert learn_pace([(JOB, 0.0)]) is None


def test_a_pace_is_the_median_of_the_runs():
    pace = learn_pace([(JOB, 100.0), (replace(JOB, steps=50), 220.0), (JOB, 900.0)])
    assert pace is not None
    assert pace.runs == 3
    assert predict_time(JOB, CARDS["RTX 4090"], pace).seconds == pytest.approx(110.0)


@pytest.mark.parametrize("optimizations", [frozenset(), LAYERS], ids=["stock", "layers"])
def test_what_a_run_took_is_predicted_for_the_same_run(optimizations):
    job = replace(JOB, optimizations=optimizations)
    time = predict_time(job, CARDS["RTX 3060 12GB"], learn_pace([(job, 1500.0)]))
    assert time.source is TimeSource.MEASURED
    assert time.seconds == pytest.approx(1500.0)
    assert time.low_s < 1500.0 < time.high_s


def test_a_slow_card_is_busy_while_the_cpu_launches_for_it():
    slow, layers = learn_pace([(JOB, passes(JOB) * pass_s(JOB, 20.0))]), replace(JOB, optimizations=LAYERS)
    stock_s, layers_s = (predict_time(each, CARDS["RTX 3060 12GB"], slow).seconds for each in (JOB, layers))
    assert pass_s(layers) > 2 * pass_s(JOB), "the launches show on a fast card"
    assert layers_s == pytest.approx(stock_s, rel=0.05)


def test_a_card_without_runs_has_a_range_from_its_speed():
    time = predict_time(JOB, CARDS["RTX 4090"])
    assert (time.source, time.seconds) == (TimeSource.ESTIMATED, None)
    assert 150 < time.low_s < 300 < time.high_s < 450


def test_a_card_of_which_only_the_memory_is_known_has_no_seconds():
    time = predict_time(replace(JOB, duration_s=20.0), budget_for(12))
    assert time == (TimeSource.RELATIVE, pytest.approx(2.0), None, None, None)
    assert predict_time(JOB, Budget("CPU", 1 << 30, 1 << 30, device="cpu")).relative == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "factor"), [({"steps": 50}, 2), ({"duration_s": 20.0}, 2), ({"duration_s": 0.5}, 0.2)]
)
@pytest.mark.parametrize("pace", [None, Pace(3.0, 1)], ids=["estimated", "measured"])
def test_time_follows_steps_and_windows(change, factor, pace):
    before, after = (predict_time(job, CARDS["RTX 4090"], pace) for job in (JOB, replace(JOB, **change)))
    assert (after.low_s, after.high_s) == pytest.approx((factor * before.low_s, factor * before.high_s))


def test_the_windows_of_all_parts_count():
    assert predict_time(JOB, CARDS["H200"], parts=[JOB.latent_frames] * 3).low_s == pytest.approx(
        3 * predict_time(JOB, CARDS["H200"]).low_s
    )


JOBS = st.builds(
    Job,
    width=st.integers(4, 24).map(lambda n: 64 * n),
    height=st.integers(4, 24).map(lambda n: 64 * n),
    duration_s=st.floats(0.5, 600),
    min_resolution=st.integers(4, 24).map(lambda n: 64 * n),
    fps=st.sampled_from([12.0, 25.0, 60.0]),
    steps=st.integers(1, 50),
    dtype=st.sampled_from(list(Dtype)),
    optimizations=st.frozensets(st.sampled_from(list(Optimization))),
    chunk_size=st.sampled_from([MIN_CHUNK_SIZE, 8 * MIN_CHUNK_SIZE]),
)
BUDGETS = st.one_of(st.sampled_from([*CARDS.values(), budget_for(8)]), st.sampled_from(all_cards()).map(
    lambda card: budget_for(card.title)
))  # fmt: skip
SHARED_PROMPTS = 0.88
"""Time of the network with shared prompts, at the least: with the fewest frames in a window, 12, it is 0.9."""
PACES = st.none() | st.floats(0.2, 100).map(lambda ratio: Pace(ratio, 1))


@given(JOBS, BUDGETS, PACES, st.data())
def test_more_steps_frames_or_pixels_never_take_less_time(job, budget, pace, data):
    change = data.draw(
        st.one_of(
            st.integers(1, 50).map(lambda more: {"steps": job.steps + more}),
            st.floats(0.01, 100).map(lambda more: {"duration_s": job.duration_s + more}),
            st.integers(1, 8).map(lambda more: {"min_resolution": job.min_resolution + 64 * more}),
        )
    )
    less, more = (predict_time(each, budget, pace) for each in (job, replace(job, **change)))
    assert less.source is more.source
    assert less.relative <= more.relative
    if less.low_s is not None:
        assert 0 < less.low_s <= less.high_s
        assert less.low_s <= more.low_s
        assert less.high_s <= more.high_s


@given(JOBS, BUDGETS, st.frozensets(st.sampled_from(list(Optimization))))
def test_no_optimization_makes_a_run_faster_than_shared_prompts_do(job, budget, more):
    # Chunked by layers, a feed-forward layer is cut into no more than it needs.
    before = job.optimizations - {Optimization.FEED_FORWARD_CHUNKING}
    stock, optimized = (predict_time(replace(job, optimizations=each), budget) for each in (before, before | more))
    shared = 1.0 if REORDERING & before or not REORDERING & more else SHARED_PROMPTS
    assert shared * stock.relative <= optimized.relative
    assert shared * (stock.low_s or 0) <= (optimized.low_s or 0)
    assert shared * (stock.high_s or 0) <= (optimized.high_s or 0)
