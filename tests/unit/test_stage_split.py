"""What a stage is made of: exact sums, and parts that grow as documented."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.job import Dtype, Job
from sonic_guard.memory.constants import constants
from sonic_guard.memory.stage_model import STAGES, predict
from sonic_guard.memory.stage_split import Split, split_stages
from sonic_guard.optimizations import Optimization

JOB = Job(1024, 1024, 10.0)

jobs = st.builds(
    Job,
    width=st.integers(200, 4000),
    height=st.integers(200, 4000),
    duration_s=st.floats(0.08, 3600.0),
    min_resolution=st.integers(2, 32).map(lambda steps: 64 * steps),
    fps=st.floats(5.0, 120.0),
    dtype=st.sampled_from(Dtype),
    interpolate=st.booleans(),
    optimizations=st.frozensets(st.sampled_from(Optimization)),
    vae_dtype=st.sampled_from([Dtype.BF16, Dtype.FP32]),
)


@settings(deadline=None)
@given(jobs, st.none() | st.integers(1, 10**10), st.sampled_from(["cuda", "mps", "cpu"]))
def test_parts_sum_to_what_the_stage_cannot_do_without(job, unet_bytes, device):
    estimate = predict(job, unet_bytes=unet_bytes, device=device)
    parts = split_stages(job, unet_bytes=unet_bytes, device=device)
    needed = {stage: estimate.floors.get(stage, size) for stage, size in estimate.stages.items()}
    assert tuple(parts) == STAGES
    assert {stage: part.total for stage, part in parts.items()} == needed
    assert all(size >= 0 for part in parts.values() for size in part)


@pytest.mark.parametrize(
    "optimizations", [frozenset(), frozenset(Optimization) - {Optimization.TENSOR_OFFLOAD}], ids=["stock", "optimized"]
)
def test_a_longer_clip_grows_in_its_clip_part_only(optimizations):
    short = split_stages(replace(JOB, optimizations=optimizations))
    long = split_stages(replace(JOB, optimizations=optimizations, duration_s=20.0))
    for stage in ("predata", "denoise", "decode", "interpolate"):
        assert long[stage]._replace(clip=0) == short[stage]._replace(clip=0)
        assert long[stage].clip > short[stage].clip


def test_a_clip_in_host_memory_takes_none_of_the_gpu_s_but_while_predata_makes_it():
    parts = split_stages(replace(JOB, optimizations=frozenset(Optimization)))
    assert [stage for stage in STAGES if parts[stage].clip] == ["predata"]


def test_a_larger_picture_leaves_the_weights():
    small, large = split_stages(JOB), split_stages(replace(JOB, min_resolution=1024))
    for stage in ("load", "denoise", "decode", "interpolate"):  # predata's largest moment is another one then
        assert large[stage].weights == small[stage].weights
    assert large["denoise"].window > 3 * small["denoise"].window


@pytest.mark.parametrize(("dtype", "size"), [(Dtype.FP16, 2), (Dtype.FP32, 4)])
def test_loading_is_all_weights(dtype, size):
    unet, rife = constants().unet_parameters * size, constants().rife_bytes
    assert split_stages(replace(JOB, dtype=dtype))["load"] == Split(unet + rife)
    assert split_stages(replace(JOB, dtype=dtype, interpolate=False))["load"] == Split(unet)


def test_a_stage_left_out_is_nothing():
    assert split_stages(replace(JOB, interpolate=False))["interpolate"] == Split(0, 0, 0)


def test_interpolation_is_nearly_all_clip_until_it_is_done_in_pairs():
    stock = split_stages(JOB)["interpolate"]
    streaming = split_stages(replace(JOB, optimizations=frozenset({Optimization.STREAMING_DECODE})))["interpolate"]
    assert stock.clip > 0.8 * stock.total
    assert streaming.clip < 0.2 * streaming.total
