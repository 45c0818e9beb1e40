"""The time of one pass of the network: what was measured on an NVIDIA H200, and what follows for other cards."""

from dataclasses import replace

import pytest

from sonic_guard.devices.card_catalogue import find_card
from sonic_guard.job import MIN_CHUNK_SIZE, Dtype, Job
from sonic_guard.optimizations import Optimization
from sonic_guard.planning.pass_time import MEASURED_CARD, extra_s, measured_s, span_s, work_of_pass

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
    assert measured_s(job(width, height, window)) == pytest.approx(seconds, rel=0.1)


@pytest.mark.parametrize(("side", "optimizations", "chunks", "seconds"), OPTIMIZED)
def test_optimized_passes_on_the_measured_card_are_within_a_sixth(side, optimizations, chunks, seconds):
    run = job(side, side, 25, optimizations, chunks)
    assert measured_s(run) + extra_s(run) == pytest.approx(seconds, rel=1 / 6)


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
        (256, 256, 25, 23.4, 245),
        (512, 512, 12, 50.4, 477),
        (512, 512, 25, 100.0, 933),
        (512, 512, 50, 195.5, 1810),
        (768, 512, 25, 156.8, 1392),
        (1024, 1024, 25, 509.9, 3685),
    ],
)
def test_the_work_is_that_of_the_real_network(width, height, window, tflop, gbytes):
    assert work_of_pass(job(width, height, window)) == pytest.approx((tflop, gbytes), rel=0.01)


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
    [("H200", 6), ("RTX 4090", 1.9), ("RTX 2080 Ti", 2.5), ("GTX 1080 Ti", 1.1), ("M3 Max 36GB", 1.1)],
)
def test_fp32_takes_longer_by_what_the_card_computes_less_and_moves_more(name, times):
    speed = find_card(name).speed
    half, single = (span_s(replace(job(512, 512), dtype=dtype), speed) for dtype in (Dtype.FP16, Dtype.FP32))
    assert single[0] >= half[0]
    assert times < single[1] / half[1] < 1.5 * times
