"""The planner: it fits or refuses, changes no more than it must, and gives no less when given more."""

import re
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.devices.budget import Budget, budget_for
from sonic_guard.devices.card_catalogue import GIB
from sonic_guard.errors import PlanError
from sonic_guard.job import MIN_CHUNK_SIZE, Dtype, Job
from sonic_guard.memory.stage_model import predict
from sonic_guard.optimizations import ESCALATION_ORDER, EVERY, Optimization, without_redundant
from sonic_guard.planning.capacity import Capacity, Verdict
from sonic_guard.planning.planner import CHUNK_SIZE, GOOD_RESOLUTION, SPLIT, Policy, make_plan
from sonic_guard.planning.selection import CHUNK_SIZE_FACTORS, STREAMED, largest_chunk_size
from tests.support.installed import PACK

EVERYTHING = frozenset({*ESCALATION_ORDER, SPLIT})

jobs = st.builds(
    Job,
    width=st.integers(200, 2000),
    height=st.integers(200, 2000),
    duration_s=st.floats(0.5, 4000),
    min_resolution=st.integers(2, 20).map(lambda n: 64 * n),
    fps=st.sampled_from([12.0, 25.0, 30.0]),
    dtype=st.sampled_from(Dtype),
    interpolate=st.booleans(),
    vae_dtype=st.sampled_from([Dtype.BF16, Dtype.FP32]),
)
gibs = st.floats(3, 100)
optimizations = st.frozensets(st.sampled_from(sorted(EVERYTHING)))


def _card(gib: float, ram_gib: float | None = None) -> Capacity:
    """A CUDA card with that much memory, in a machine with `ram_gib` of host memory (None: unknown)."""
    return Capacity(budget_for(round(gib, 3)), None if ram_gib is None else int(ram_gib * GIB))


def _fits(job: Job, capacity: Capacity) -> bool:
    """Whether it fits the card by the model: bytes and hard limits."""
    need = predict(job, device=capacity.budget.device)
    return need.peak_bytes <= capacity.budget.usable_bytes and not need.limits


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("README.md", r"ten minutes at (\d+)² fit in (\d+) GiB"),
        ("README_zh.md", r"因此 (\d+) GiB 显存可生成\s*十分钟的 (\d+)²"),
    ],
)
def test_the_smallest_card_that_the_readme_names_is_the_smallest(file, sentence):
    found = re.search(sentence, (PACK / file).read_text(encoding="utf-8"))
    assert found
    gib, side = sorted(map(int, found.groups()))
    job = Job(side, side, 600.0, min_resolution=side, to_file=True, optimizations=STREAMED)
    whole = make_plan(job, _card(gib), available=EVERY)
    assert (whole.fits, whole.job.frame_size, whole.parts) == (True, job.frame_size, 1)
    less = make_plan(job, _card(gib - 1), available=EVERY)
    assert not (less.fits and less.job.frame_size == job.frame_size)


@settings(max_examples=150, deadline=None)
@given(job=jobs, gib=gibs, available=optimizations)
def test_it_fits_or_refuses(job, gib, available):
    plan = make_plan(job, _card(gib), available=available)
    if plan.fits:
        assert plan.risk.verdict is Verdict.SAFE
        assert plan.parts * plan.job.latent_frames >= job.latent_frames
        assert not plan.estimate.limits
        assert plan.job.optimizations == without_redundant(plan.job.optimizations)
    else:
        every = frozenset(map(Optimization, available & set(Optimization)))
        assert plan.job == replace(job, optimizations=without_redundant(every))
        # Not even the smallest settings would have fitted.
        least = replace(
            job,
            min_resolution=128,
            interpolate=False,
            dtype=Dtype.FP16,
            optimizations=without_redundant(every),
        )
        assert not _fits(least, plan.capacity)


@settings(max_examples=100, deadline=None)
@given(job=jobs, gib=gibs, available=optimizations)
def test_what_fits_is_not_changed(job, gib, available):
    capacity = _card(gib)
    plan = make_plan(job, capacity, available=available)
    if plan.fits:
        assert (plan.changes == ()) == _fits(job, capacity)


def test_where_nothing_fits_the_best_attempt_is_shown():
    plan = make_plan(Job(512, 512, 10.0, min_resolution=768), _card(1.5), available=EVERY)
    assert not plan.fits
    assert plan.job.min_resolution == 768
    best = plan.attempt.job
    assert best.min_resolution == 128 and best.optimizations == without_redundant(EVERY)


@pytest.mark.parametrize("setting", ["dtype", "interpolate", CHUNK_SIZE])
def test_a_setting_that_the_graph_cannot_change_stays(setting):
    job = Job(512, 512, 60.0, min_resolution=1024, dtype=Dtype.FP32)
    free = make_plan(job, _card(6), available=EVERY)
    kept = make_plan(job, _card(6), available=EVERY, fixed=[setting])
    assert getattr(kept.job, setting) == getattr(job, setting)
    assert kept.job == free.job or setting != "interpolate"


def test_a_cpu_keeps_fp32():
    """It has no fast half precision."""
    cpu = Capacity(replace(budget_for(8), device="cpu", bf16=False))
    plan = make_plan(Job(512, 512, 10.0, min_resolution=1024, dtype=Dtype.FP32), cpu, available=EVERY)
    assert plan.fits and plan.job.dtype is Dtype.FP32


@settings(max_examples=60, deadline=None)
@given(job=jobs, gib=gibs)
def test_layers_run_in_the_largest_chunks_that_fit(job, gib):
    plan = make_plan(job, _card(gib), available=EVERY)
    larger = replace(plan.job, chunk_size=2 * plan.job.chunk_size)
    if plan.fits and Optimization.LAYER_CHUNKING in plan.job.optimizations:
        assert plan.job.chunk_size == CHUNK_SIZE_FACTORS[0] * MIN_CHUNK_SIZE or not _fits(larger, plan.capacity)
    else:
        assert plan.job.chunk_size == MIN_CHUNK_SIZE


@settings(max_examples=60, deadline=None)
@given(job=jobs, gib=gibs, available=optimizations)
def test_a_plan_is_its_own_plan(job, gib, available):
    plan = make_plan(job, _card(gib), available=available)
    if plan.fits:
        again = make_plan(plan.job, plan.capacity, available=available)
        assert (again.job, again.changes) == (plan.job, ())
    assert make_plan(job, _card(gib), available=available) == plan


@settings(max_examples=100, deadline=None)
@given(job=jobs, gib=gibs, available=optimizations)
def test_every_change_is_needed(job, gib, available):
    plan = make_plan(job, _card(gib), available=available)
    for change in plan.changes:
        undone = {
            SPLIT: lambda: replace(plan.job, duration_s=job.duration_s),
            **{
                optimization: lambda optimization=optimization: replace(
                    plan.job, optimizations=plan.job.optimizations - {optimization}
                )
                for optimization in ESCALATION_ORDER
            },
        }.get(change.name, lambda change=change: replace(plan.job, **{change.name: getattr(job, change.name)}))()
        sized = replace(undone, chunk_size=largest_chunk_size(undone, plan.capacity.fits))
        slower = change.name in ESCALATION_ORDER and plan.capacity.slowdown(sized) > plan.capacity.slowdown(plan.job)
        assert slower or not _fits(undone, plan.capacity), change


@settings(max_examples=100, deadline=None)
@given(job=jobs, gib=gibs, ram_gib=st.floats(6, 64), to_file=st.booleans())
def test_nothing_that_can_be_seen_is_given_up_where_some_optimizations_are_enough(job, gib, ram_gib, to_file):
    """Some optimizations use host memory: where that is short, fewer of them may fit and all may not."""
    job, capacity = replace(job, to_file=to_file), _card(gib, ram_gib)
    plan = make_plan(job, capacity, available=EVERYTHING)
    lossless = (
        replace(job, optimizations=without_redundant(frozenset(some)))
        for count in range(len(ESCALATION_ORDER) + 1)
        for some in combinations(ESCALATION_ORDER, count)
    )
    if any(_fits(each, capacity) and predict(each).host_ram_bytes <= ram_gib * GIB for each in lossless):
        assert plan.fits
        assert {change.name for change in plan.changes} <= set(ESCALATION_ORDER)


def test_an_optimization_that_uses_host_memory_is_left_out_where_that_is_short():
    """Half an hour at 512² on 16 GiB, the machine having as much: with every optimization it would be two parts."""
    job = Job(512, 512, 1800.0, to_file=True, optimizations=STREAMED)
    plan = make_plan(job, _card(16, 16), available=EVERYTHING)
    assert [change.name for change in plan.changes] == [Optimization.SEQUENTIAL_CFG]


@settings(max_examples=60, deadline=None)
@given(job=jobs, gib=gibs, more=st.floats(1.0, 3.0), available=optimizations)
def test_a_larger_card_never_gets_a_smaller_picture(job, gib, more, available):
    small, large = (make_plan(job, _card(size), available=available) for size in (gib, gib * more))
    assert large.fits or not small.fits
    if small.fits:
        assert _rank(large.job, job) >= _rank(small.job, job)


def _rank(chosen: Job, requested: Job) -> tuple[bool, int, int]:
    """How much of the request is left: a mouth that can be seen, then the frame rate before pixels; else pixels."""
    good = chosen.min_resolution >= min(GOOD_RESOLUTION, requested.min_resolution)
    rate, pixels = chosen.interpolate, chosen.min_resolution
    return (good, rate, pixels) if good else (good, pixels, rate)


@pytest.mark.parametrize(
    ("side", "gib", "available", "expected"),
    [
        (512, 24, (), ()),
        (512, 10, (), ("min_resolution",)),
        (512, 8, EVERYTHING, ("sequential_cfg",)),
        (512, 6, EVERYTHING, ("unet_offload", "sequential_cfg", "layer_chunking")),
        (768, 7, EVERYTHING, ("sequential_cfg", "layer_chunking")),
        (1024, 7, EVERYTHING, ("streaming_decode", "tensor_offload", "sequential_cfg", "layer_chunking")),
        (
            1024,
            6,
            EVERYTHING,
            ("streaming_decode", "unet_offload", "sequential_cfg", "stream_weights", "layer_chunking"),
        ),
    ],
)
def test_the_mildest_change_comes_first(side, gib, available, expected):
    plan = make_plan(Job(side, side, 10.0, min_resolution=side), _card(gib), available=available)
    assert tuple(change.name for change in plan.changes) == expected
    assert plan.fits


@pytest.mark.parametrize(
    ("available", "optimization"),
    [((), "interpolate"), ((Optimization.STREAMING_DECODE,), "streaming_decode"), ((SPLIT,), "split")],
)
def test_a_long_clip_on_a_large_card_is_limited_by_interpolation(available, optimization):
    plan = make_plan(Job(512, 512, 300.0), _card(24), available=available)
    assert [change.name for change in plan.changes] == [optimization]


def test_host_memory_can_be_what_is_short():
    job = Job(1024, 1024, 600.0, min_resolution=1024, interpolate=False)
    assert make_plan(job, _card(60)).fits
    short = make_plan(job, _card(60, 32))
    assert [change.name for change in short.changes] == ["min_resolution"]
    split = make_plan(job, _card(60, 32), available=[SPLIT])
    assert [change.name for change in split.changes] == ["split"]
    assert split.parts > 1


def test_fp32_gives_way_before_the_picture_does():
    plan = make_plan(Job(512, 512, 10.0, dtype=Dtype.FP32, vae_dtype=Dtype.FP32), _card(16))
    assert [(change.name, change.before, change.after) for change in plan.changes] == [("dtype", "fp32", "fp16")]


def test_each_change_has_the_memory_it_saves():
    plan = make_plan(Job(768, 768, 10.0, min_resolution=768), _card(6), available=EVERYTHING)
    for before, after in zip(plan.changes, plan.changes[1:], strict=False):
        assert before.after_bytes == after.before_bytes
    assert plan.changes[0].before_bytes == predict(Job(768, 768, 10.0, min_resolution=768)).peak_bytes
    assert plan.changes[-1].after_bytes == plan.estimate.peak_bytes


def test_when_nothing_fits_it_names_the_smallest_card_that_would():
    plan = make_plan(Job(512, 512, 10.0), _card(3))
    assert not plan.fits
    assert plan.risk.verdict is Verdict.FAIL
    assert plan.smallest_card is not None
    assert make_plan(Job(512, 512, 10.0), Capacity(budget_for(plan.smallest_card.title))).fits


@pytest.mark.parametrize(
    ("gib", "resolution", "steps", "after"),
    [(6, 1024, 30, (768, 20)), (6, 512, 30, (512, 20)), (7.9, 896, 15, (768, 15)), (8, 1024, 30, (1024, 30))],
)
def test_the_article_s_policy_is_the_article_s(gib, resolution, steps, after):
    job = Job(1024, 1024, 10.0, min_resolution=resolution, steps=steps)
    plan = make_plan(job, _card(gib), Policy.ARTICLE)
    assert (plan.job.min_resolution, plan.job.steps) == after


def test_what_comfyui_can_give_back_counts_for_the_article_s_policy_too():
    budget = replace(budget_for(24), free_bytes=5 * GIB, reclaimable_bytes=19 * GIB)
    job = Job(1024, 1024, 10.0, min_resolution=1024, steps=30)
    plan = make_plan(job, Capacity(budget), Policy.ARTICLE, available=EVERYTHING)
    assert (plan.job.min_resolution, plan.job.steps) == (1024, 30)


@pytest.mark.parametrize(("gib", "resolution"), [(6, 768), (7.9, 768), (8, 1024), (12, 1024)])
def test_with_optimizations_the_article_s_policy_enables_them(gib, resolution):
    job = Job(1024, 1024, 10.0, min_resolution=1024, steps=30)
    plan = make_plan(job, _card(gib), Policy.ARTICLE, available=EVERYTHING)
    assert plan.fits
    assert plan.job.min_resolution == resolution
    assert plan.job.optimizations
    assert not _fits(replace(plan.job, optimizations=frozenset()), plan.capacity)
    assert plan.changes[-1].after_bytes == plan.estimate.peak_bytes


def test_the_article_s_policy_cuts_what_is_too_long():
    job = Job(1024, 1024, 20_000.0, min_resolution=1024, optimizations=STREAMED, to_file=True)
    plan = make_plan(job, _card(6), Policy.ARTICLE, available={*EVERYTHING, SPLIT})
    assert plan.fits
    assert plan.parts > 1
    assert plan.job.min_resolution == 768


def test_where_nothing_fits_the_article_s_policy_keeps_what_it_has_changed():
    job = Job(1024, 1024, 10.0, min_resolution=1024, steps=30)
    plan = make_plan(job, _card(6), Policy.ARTICLE)
    assert not plan.fits
    assert (plan.job.min_resolution, plan.job.steps, plan.job.optimizations) == (768, 20, frozenset())
    assert [change.name for change in plan.changes] == ["min_resolution", "steps"]


def test_a_number_format_gives_way_before_the_sound_is_cut():
    long = Job(512, 512, 20_000.0, dtype=Dtype.FP32, optimizations=STREAMED, to_file=True)
    needs = [predict(replace(long, dtype=dtype)).peak_bytes for dtype in (Dtype.FP16, Dtype.FP32)]
    between = Budget("card", sum(needs) // 2, sum(needs) // 2, reserve=0.0)
    plan = make_plan(long, Capacity(between), available={SPLIT})
    assert [change.name for change in plan.changes] == ["dtype"]


def test_steps_are_not_touched_for_memory():
    plan = make_plan(Job(1024, 1024, 10.0, min_resolution=1024, steps=100), _card(8))
    assert plan.job.steps == 100


def test_without_a_policy_the_request_is_only_judged():
    job = Job(1024, 1024, 10.0, min_resolution=1024)
    plan = make_plan(job, _card(8), None)
    assert (plan.job, plan.changes, plan.risk.verdict) == (job, (), Verdict.FAIL)


@pytest.mark.parametrize(
    ("settings_", "message"), [({"policy": "bold"}, "policy"), ({"available": ["magic"]}, "magic")]
)
def test_unknown_words_are_refused(settings_, message):
    with pytest.raises(PlanError, match=message):
        make_plan(Job(512, 512, 10.0), _card(8), **settings_)


def test_where_only_a_shorter_sound_helps_its_length_is_reported():
    plan = make_plan(Job(512, 512, 3 * 3600.0), _card(8))
    assert not plan.fits
    assert plan.longest_s is not None
    assert make_plan(Job(512, 512, plan.longest_s), _card(8)).fits


def test_no_card_helps_where_host_memory_is_short():
    plan = make_plan(Job(512, 512, 10.0), _card(80, 8))
    assert (plan.fits, plan.risk.short_of_host_ram, plan.smallest_card) == (False, True, None)


@pytest.mark.parametrize(("seconds", "gib"), [(600.0, 12), (300.0, 8), (180.0, 9)])
def test_below_the_floor_pixels_are_worth_more_than_the_frame_rate(seconds, gib):
    plan = make_plan(Job(512, 512, seconds), _card(gib))
    wider = replace(plan.job, min_resolution=plan.job.min_resolution + 64, interpolate=False)
    assert plan.fits
    assert not _fits(wider, plan.capacity)
