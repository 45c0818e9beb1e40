"""The memory model: known figures, what grows with what, and a comparison with the wrapper's own code."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.job import Dtype, Job
from sonic_guard.memory import constants
from sonic_guard.memory.hard_limits import MAX_MPS_ELEMENTS, LimitKind
from sonic_guard.memory.stage_model import STAGES, predict, score_bytes, stage_bytes
from sonic_guard.optimizations import Optimization

GIB = 2**30
ALL = frozenset(Optimization)


@pytest.mark.parametrize(
    ("width", "height", "fps", "dtype", "window_bytes"),
    [
        (256, 256, 25, Dtype.FP16, 4_742_241_792),
        (384, 384, 25, Dtype.FP16, 6_723_784_192),
        (512, 512, 12, Dtype.FP16, 6_629_988_864),
        (512, 512, 25, Dtype.FP16, 9_497_943_552),
        (512, 512, 50, Dtype.BF16, 15_013_240_320),
        (768, 768, 25, Dtype.FP16, 17_424_113_152),
        (1024, 1024, 25, Dtype.FP16, 28_520_750_592),
        (512, 512, 25, Dtype.FP32, 18_995_654_144),
    ],
)
def test_one_window_against_figures_traced_independently(width, height, fps, dtype, window_bytes):
    """Weights, window and a clip of one window: what stays of the clip is under 1 %."""
    job = Job(width, height, fps / 12.5, min_resolution=width, fps=float(fps), dtype=dtype, interpolate=False)
    assert stage_bytes(job)["denoise"] == pytest.approx(window_bytes, rel=0.01)
    assert stage_bytes(job)["denoise"] > window_bytes


@pytest.mark.parametrize(
    ("optimizations", "side", "gib"),
    [
        (set(), 512, 8.85),
        (set(), 768, 16.2),
        (set(), 1024, 26.6),
        ({Optimization.SEQUENTIAL_CFG}, 512, 4.84),
        ({Optimization.SEQUENTIAL_CFG}, 1024, 10.6),
        ({Optimization.FEED_FORWARD_CHUNKING}, 512, 7.31),
        ({Optimization.SEQUENTIAL_CFG, Optimization.FEED_FORWARD_CHUNKING}, 512, 4.21),
        ({Optimization.SEQUENTIAL_CFG, Optimization.FEED_FORWARD_CHUNKING}, 768, 5.78),
        ({Optimization.SEQUENTIAL_CFG, Optimization.FEED_FORWARD_CHUNKING}, 1024, 7.98),
        ({Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING}, 512, 3.45),
        ({Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING}, 768, 3.87),
        ({Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING}, 1024, 4.55),
    ],
)
def test_what_the_optimizations_save(optimizations, side, gib):
    job = Job(side, side, 2.0, min_resolution=side, optimizations=frozenset(optimizations), interpolate=False)
    assert stage_bytes(job)["denoise"] / GIB == pytest.approx(gib, rel=0.02)


def test_interpolation_holds_the_clip_four_times_over():
    short, long = (stage_bytes(Job(512, 512, seconds))["interpolate"] for seconds in (10.0, 20.0))
    per_frame = 4 * 12 * 512 * 512
    assert long - short == pytest.approx(125 * per_frame, rel=0.03)  # and 256 kB of audio prompts each


def test_streaming_interpolation_does_not_grow_with_the_clip():
    """Without `host`, its prompts and latents are still there; with it, nothing is."""
    for optimizations, bytes_a_frame in (
        ({Optimization.STREAMING_DECODE}, 330_000),
        ({Optimization.STREAMING_DECODE, Optimization.TENSOR_OFFLOAD}, 0),
    ):
        jobs = (Job(512, 512, seconds, optimizations=frozenset(optimizations)) for seconds in (10.0, 20.0))
        short, long = (stage_bytes(job)["interpolate"] for job in jobs)
        assert long - short <= 125 * bytes_a_frame


def test_decode_can_do_with_one_frame_at_a_time():
    estimate = predict(Job(1024, 1024, 10.0, min_resolution=1024, optimizations=ALL))
    assert estimate.floors["decode"] < estimate.stages["decode"] / 10
    assert estimate.peak_stage == "predata", "what needs most is something else"


@pytest.mark.parametrize("field", ["steps", "expand_ratio", "dynamic_scale"])
def test_what_costs_no_memory(field):
    job = Job(512, 512, 10.0)
    assert stage_bytes(replace(job, **{field: 2 * getattr(job, field)})) == stage_bytes(job)


jobs = st.builds(
    Job,
    width=st.integers(64, 3000),
    height=st.integers(64, 3000),
    duration_s=st.floats(0.5, 10_000),
    min_resolution=st.integers(2, 24).map(lambda n: 64 * n),
    fps=st.floats(5, 120),
    dtype=st.sampled_from(Dtype),
    interpolate=st.booleans(),
    optimizations=st.frozensets(st.sampled_from(Optimization)),
    vae_dtype=st.sampled_from([Dtype.BF16, Dtype.FP32]),
)


@settings(max_examples=300, deadline=None)
@given(job=jobs)
def test_what_holds_for_every_prediction(job):
    estimate = predict(job)
    assert tuple(estimate.stages) == STAGES
    assert all(isinstance(size, int) and size >= 0 for size in estimate.stages.values())
    assert estimate.peak_bytes == max(map(estimate.required, STAGES))
    longer = stage_bytes(replace(job, duration_s=job.duration_s + 10))
    larger = stage_bytes(replace(job, min_resolution=job.min_resolution + 64))
    for stage, size in estimate.stages.items():
        assert longer[stage] >= size
        assert larger[stage] >= size
    sequential = stage_bytes(replace(job, optimizations=job.optimizations | {Optimization.SEQUENTIAL_CFG}))
    assert sequential["denoise"] <= estimate.stages["denoise"]


def test_the_score_matrix_counts_on_mps_as_reported():
    """512×896, 3 s: "Invalid buffer size: 71.78 GiB" for one matrix of fp32 scores."""
    job = Job(512, 896, 3.0)
    cuda, mps = predict(job), predict(job, device="mps")
    assert mps.stages["denoise"] - cuda.stages["denoise"] == 75 * 5 * 7168**2 * 4
    assert (mps.peak_stage, round(mps.peak_bytes / GIB) > 71) == ("denoise", True)
    assert {**mps.stages, "denoise": 0} == {**cuda.stages, "denoise": 0}


@pytest.mark.parametrize(
    ("optimizations", "frames"),
    [
        ({Optimization.SEQUENTIAL_CFG}, 25),  # one branch of three
        ({Optimization.LAYER_CHUNKING}, 1),  # a group of one
        ({Optimization.LAYER_CHUNKING, Optimization.SEQUENTIAL_CFG}, 1),
        ({Optimization.FEED_FORWARD_CHUNKING, Optimization.TENSOR_OFFLOAD}, 75),
    ],
)
def test_optimizations_divide_the_score_matrix(optimizations, frames):
    job = Job(512, 896, 3.0, optimizations=frozenset(optimizations))
    sizes = [stage_bytes(job, device=device)["denoise"] for device in ("mps", "cuda")]
    assert sizes[0] - sizes[1] == frames * 5 * 7168**2 * 4


@settings(max_examples=300, deadline=None)
@given(job=jobs)
def test_what_holds_for_every_prediction_on_mps(job):
    cuda, mps = (stage_bytes(job, device=device) for device in ("cuda", "mps"))
    scores = score_bytes(job, "mps")
    assert {**mps, "denoise": 0} == {**cuda, "denoise": 0}
    assert scores > 0
    assert max(scores, cuda["denoise"]) <= mps["denoise"] <= cuda["denoise"] + scores
    assert stage_bytes(job, device="cpu") == cuda
    assert score_bytes(replace(job, duration_s=2 * job.duration_s), "mps") == scores
    for each in (Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING):
        assert score_bytes(replace(job, optimizations=job.optimizations | {each}), "mps") <= scores
    meets_limit = any(limit.kind is LimitKind.MPS_INDEX for limit in predict(job, device="mps").limits)
    assert meets_limit is (scores > 4 * MAX_MPS_ELEMENTS), "the limit and the bytes count the same scores"


def test_constants_say_where_they_come_from():
    source = constants.constants().source
    assert {"wrapper", "comfyui", "torch", "method", "date"} <= source.keys()
