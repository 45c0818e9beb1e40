"""The time of one pass of the network: what was measured on an NVIDIA H200, and what follows for other cards."""

from dataclasses import replace

import pytest

from sonic_guard.devices.card_catalogue import find_card
from sonic_guard.job import MIN_CHUNK_SIZE, Dtype, Job
from sonic_guard.optimizations import Optimization
from sonic_guard.planning.pass_time import (
    MEASURED_CARD,
    exposed_s,
    launches,
    pace_of,
    pass_s,
    slowdown,
    span_s,
    work_of_pass,
)

BRANCH = Optimization.SEQUENTIAL_CFG
FF = Optimization.FEED_FORWARD_CHUNKING
LAYERS = Optimization.LAYER_CHUNKING
HOST = Optimization.TENSOR_OFFLOAD
STOCK = [
    # width, height, window, seconds: torch 2.11, cu130, fp16, warm, both allocators
    (256, 256, 25, 0.115),
    (384, 384, 25, 0.240),
    (512, 512, 12, 0.234),
    (512, 512, 25, 0.412),
    (512, 512, 25, 0.427),
    (512, 512, 50, 0.796),
    (768, 512, 25, 0.645),
    (640, 640, 25, 0.651),
    (768, 768, 25, 1.000),
    (576, 1024, 25, 0.997),
    (1024, 1024, 25, 1.925),
]
OPTIMIZED = [
    # side, optimizations, chunks in units of the smallest, seconds
    (512, {BRANCH}, 1, 0.480),
    (512, {BRANCH, FF}, 1, 0.511),
    (512, {BRANCH, LAYERS, HOST}, 1, 0.888),
    (512, {BRANCH, LAYERS, FF}, 1, 1.471),
    (768, {BRANCH}, 1, 1.071),
    (768, {BRANCH, FF}, 1, 1.104),
    (768, {BRANCH, LAYERS}, 4, 1.114),
    (1024, {BRANCH}, 1, 2.028),
    (1024, {FF}, 1, 1.924),
    (1024, {BRANCH, FF}, 1, 2.066),
    (1024, {LAYERS}, 1, 2.632),
    (1024, {BRANCH, LAYERS, HOST}, 1, 3.149),
    (1024, {BRANCH, LAYERS, HOST}, 1, 3.556),
    (1024, {BRANCH, LAYERS}, 2, 2.353),
    (1024, {BRANCH, LAYERS}, 8, 1.961),
    (1024, {BRANCH, LAYERS, FF}, 1, 4.802),
]


def job(width, height, window=25, optimizations=(), chunks=1):
    return Job(
        width,
        height,
        10.0,
        min_resolution=min(width, height),
        fps=float(window),
        optimizations=frozenset(optimizations),
        chunk_size=chunks * MIN_CHUNK_SIZE,
    )


@pytest.mark.parametrize(("width", "height", "window", "seconds"), STOCK)
def test_stock_passes_on_the_measured_card_are_within_a_tenth(width, height, window, seconds):
    assert pass_s(job(width, height, window)) == pytest.approx(seconds, rel=0.1)


@pytest.mark.parametrize(("side", "optimizations", "chunks", "seconds"), OPTIMIZED)
def test_optimized_passes_on_the_measured_card_are_within_a_seventh(side, optimizations, chunks, seconds):
    """They were measured before their prompts were shared."""
    assert pass_s(job(side, side, 25, optimizations, chunks)) == pytest.approx(seconds, rel=1 / 7)


@pytest.mark.parametrize(
    ("run", "seconds"),
    [(job(*shape), seconds) for *shape, seconds in STOCK]
    + [(job(side, side, 25, *rest), seconds) for side, *rest, seconds in OPTIMIZED],
)
def test_the_range_holds_what_was_measured(run, seconds):
    low, high = span_s(run, find_card("H200").speed)
    assert low <= seconds <= high


def test_the_measured_card_has_the_figures_of_the_catalogue():
    assert find_card("H200").speed == pytest.approx(MEASURED_CARD, rel=0.01)


@pytest.mark.parametrize(
    ("width", "height", "window", "tflop", "gbytes"),
    [  # counted in the real network by bench.pass_work
        (256, 256, 25, 23.4, 134.3),
        (384, 384, 25, 54.1, 295.2),
        (512, 512, 12, 50.4, 264.8),
        (512, 512, 25, 100.0, 520.5),
        (512, 512, 50, 195.5, 1012.4),
        (768, 512, 25, 156.8, 778.0),
        (768, 768, 25, 250.7, 1164.2),
        (1024, 1024, 25, 509.9, 2065.3),
    ],
)
def test_the_work_is_that_of_the_real_network(width, height, window, tflop, gbytes):
    assert work_of_pass(job(width, height, window)) == pytest.approx((tflop, gbytes), rel=0.01)


@pytest.mark.parametrize(("side", "tflop", "gbytes"), [(512, 95.34, 504.4), (1024, 491.2, 1980.0)])
def test_shared_prompts_are_less_work(side, tflop, gbytes):
    assert work_of_pass(job(side, side, 25, {BRANCH})) == pytest.approx((tflop, gbytes), rel=0.02)


@pytest.mark.parametrize(
    ("side", "optimizations", "chunks", "counted"),
    [  # by bench.pass_work
        (512, {}, 1, 2433),
        (1024, {}, 1, 2433),
        (512, {BRANCH}, 1, 7204),
        (1024, {FF}, 1, 4161),
        (1024, {BRANCH, FF}, 1, 12388),
        (512, {LAYERS}, 1, 23589),
        (512, {LAYERS}, 4, 8819),
        (512, {LAYERS}, 16, 7065),
        (768, {LAYERS}, 2, 29787),
        (1024, {LAYERS}, 1, 84373),
        (512, {LAYERS, BRANCH}, 1, 31846),
        (512, {LAYERS, BRANCH}, 8, 9118),
        (768, {LAYERS, BRANCH}, 4, 21922),
        (1024, {LAYERS, BRANCH}, 1, 109546),
        (1024, {LAYERS, BRANCH}, 8, 18166),
        (512, {LAYERS, BRANCH, FF}, 1, 56470),
        (1024, {LAYERS, BRANCH, FF}, 1, 202642),
    ],
)
def test_the_launches_are_those_of_the_real_network(side, optimizations, chunks, counted):
    assert launches(job(side, side, 25, optimizations, chunks)) == pytest.approx(counted, rel=0.14)


def test_the_faster_a_card_the_more_of_the_launches_shows():
    smallest = job(1024, 1024, 25, {LAYERS})
    ratios = [slowdown(smallest, find_card(name).speed) for name in ("RTX 3060 12GB", "RTX 4090", "RTX 5090", "H200")]
    assert ratios == sorted(ratios)
    assert ratios[0] < 1.01
    assert ratios[-1] == slowdown(smallest, None) == pytest.approx(2.632 / 1.925, rel=0.1)


@pytest.mark.parametrize(
    ("copies_s", "busy_s", "exposed"),
    [  # calculated by bench.pass_work from the work and the weights of each layer
        (0.26, 0.413, 0.350),
        (0.26, 2.26, 0.014),
        (0.78, 2.26, 0.141),
        (0.52, 11.67, 0.0),
        (1.56, 11.67, 0.015),
        (0.26, 1.91, 0.026),
        (1.56, 1.91, 0.518),
    ],
)
def test_what_is_exposed_of_streamed_weights(copies_s, busy_s, exposed):
    assert exposed_s(copies_s, busy_s) / busy_s == pytest.approx(exposed, abs=0.05)
    assert exposed_s(0.0, busy_s) == 0.0


@pytest.mark.parametrize("run", [job(512, 512), job(512, 512, 25, {BRANCH, LAYERS}), job(1024, 1024, 25, {BRANCH, FF})])
@pytest.mark.parametrize("pace", [1.0, 7.5, 40.0])
def test_a_pace_is_found_again_in_its_passes(run, pace):
    assert pace_of(run, pass_s(run, pace)) == pytest.approx(pace)


def test_a_range_is_between_one_and_a_half_and_five_times():
    for name in ("H200", "RTX 4090", "RTX 3060 12GB", "RTX 2080 Ti", "RX 7900 XTX", "M3 Max 36GB", "Tesla P40"):
        low, high = span_s(job(512, 512), find_card(name).speed)
        assert 1.4 < high / low < 5, name


def test_a_card_that_is_slower_in_both_figures_takes_longer():
    order = ["RTX 5090", "RTX 4090", "RTX 3090", "RTX 3060 12GB", "RTX 3050 6GB"]
    spans = [span_s(job(512, 512), find_card(name).speed) for name in order]
    assert spans == sorted(spans)


@pytest.mark.parametrize(
    ("name", "times"),
    [("H200", 7), ("RTX 4090", 1.9), ("RTX 2080 Ti", 2.5), ("GTX 1080 Ti", 1.05), ("M3 Max 36GB", 1.05)],
)
def test_fp32_takes_longer_by_what_the_card_computes_less_and_moves_more(name, times):
    speed = find_card(name).speed
    half, single = (span_s(replace(job(512, 512), dtype=dtype), speed) for dtype in (Dtype.FP16, Dtype.FP32))
    assert single[0] >= half[0]
    assert times < single[1] / half[1] < 1.5 * times
