"""Which optimizations are enabled: by the switches, and the first that are enough and fast."""

import math
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.devices.budget import budget_for
from sonic_guard.devices.card_catalogue import GIB, all_cards
from sonic_guard.errors import OptimizationError
from sonic_guard.job import MIN_CHUNK_SIZE, Job
from sonic_guard.memory.stage_model import predict
from sonic_guard.optimizations import (
    DEFAULTS,
    ESCALATION_ORDER,
    EVERY,
    OPTIMIZATIONS,
    Optimization,
    without_redundant,
)
from sonic_guard.planning.capabilities import LOW_VRAM, TALKING_HEAD, WRAPPER_ONLY, GraphCapabilities, capabilities_of
from sonic_guard.planning.capacity import Capacity, Verdict
from sonic_guard.planning.planner import SPLIT
from sonic_guard.planning.selection import (
    DEFAULT,
    FAST,
    NONE,
    STREAMED,
    Switches,
    format_optimizations,
    largest_chunk_size,
    read_switches,
)

JOB = Job(512, 512, 10.0)
optimizations = st.frozensets(st.sampled_from(Optimization))


def fits_with(needed):
    """Fits where each of `needed` is enabled, or one that contains it."""
    return lambda job: needed <= with_contained(job.optimizations)


def as_fast(job):
    """The slowdown of optimizations that cost no time."""
    return 1.0


def with_contained(enabled):
    return enabled.union(*(OPTIMIZATIONS[each].contains for each in enabled))


def test_every_optimization_is_in_the_escalation_order_and_has_a_switch():
    assert sorted(ESCALATION_ORDER) == sorted(Optimization)
    assert set(DEFAULTS) == set(Optimization)
    assert read_switches() == DEFAULT
    assert DEFAULT.on | DEFAULT.auto == EVERY, "nothing changes a pixel unasked"


@given(optimizations, optimizations, optimizations)
def test_no_more_than_enough_is_enabled(on, auto, needed):
    fits, switches = fits_with(needed), Switches(on, auto - on)
    chosen = switches.choose(JOB, as_fast, fits)
    assert chosen <= on | auto
    assert on <= with_contained(chosen)
    assert chosen == without_redundant(chosen)
    if needed <= with_contained(on | auto):
        assert fits(replace(JOB, optimizations=chosen))
        assert not any(fits(replace(JOB, optimizations=chosen - {each})) for each in chosen - on)
    else:
        assert chosen == without_redundant(on | auto)


@pytest.mark.parametrize(
    ("enough", "chosen"),
    [
        (lambda job: True, ""),
        (lambda job: len(job.optimizations) >= 2, "streaming_decode+unet_offload"),
        (lambda job: job.optimizations & {Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING}, "sequential_cfg"),
        (
            lambda job: (
                Optimization.LAYER_CHUNKING in job.optimizations
                or {Optimization.SEQUENTIAL_CFG, Optimization.FEED_FORWARD_CHUNKING} <= job.optimizations
            ),
            "sequential_cfg+feed_forward_chunking",
        ),
        (
            lambda job: False,
            "streaming_decode+unet_offload+tensor_offload+sequential_cfg+stream_weights+layer_chunking",
        ),
    ],
)
def test_cheaper_ones_come_first(enough, chosen):
    assert format_optimizations(Switches(auto=EVERY).choose(JOB, as_fast, enough)) == chosen


def test_what_is_slow_gives_way_to_the_next_that_fits():
    slow = {Optimization.SEQUENTIAL_CFG: 1.3, Optimization.STREAM_WEIGHTS: 1.2, Optimization.LAYER_CHUNKING: 1.04}

    def slowdown(job):
        return math.prod(slow.get(each, 1.0) for each in job.optimizations)

    def chosen(auto):
        return format_optimizations(
            Switches(auto=auto).choose(JOB, slowdown, lambda job: job.optimizations & set(slow))
        )

    assert chosen(frozenset(slow)) == "layer_chunking"
    assert chosen(frozenset(slow) - {Optimization.LAYER_CHUNKING}) == "stream_weights", "the fastest where none is fast"
    assert chosen(frozenset({Optimization.SEQUENTIAL_CFG})) == "sequential_cfg"


def test_a_set_is_as_slow_as_the_chunks_that_fit_with_it():
    """Alone layers would have to run in the smallest chunks; with streamed weights there is room for larger ones."""
    layers, weights = Optimization.LAYER_CHUNKING, Optimization.STREAM_WEIGHTS

    def fits(job):
        most = 8 if weights in job.optimizations else 1
        return layers in job.optimizations and job.chunk_size <= most * MIN_CHUNK_SIZE

    run = Switches(auto=frozenset({layers, weights}))
    chosen = run.choose(JOB, lambda job: 1 + MIN_CHUNK_SIZE / job.chunk_size / 4, fits)
    assert chosen == {layers, weights}
    assert run.chunk_size(replace(JOB, optimizations=chosen), fits) == 8 * MIN_CHUNK_SIZE


def test_the_choice_follows_the_speed_of_the_card():
    """A card that needs small chunks is busy for longer than their launches take; as much of an H200 is not."""
    job = Job(1024, 1024, 10.0, min_resolution=1024, optimizations=STREAMED, to_file=True)
    small, fast = Capacity(budget_for("RTX 3050 6GB")), Capacity(budget_for("6 GiB"))
    on_small, on_fast = DEFAULT.enable(job, small), DEFAULT.enable(job, fast)
    assert Optimization.STREAM_WEIGHTS not in on_small.optimizations
    assert on_small.chunk_size == 2 * MIN_CHUNK_SIZE
    assert small.slowdown(on_small) < FAST
    assert Optimization.STREAM_WEIGHTS in on_fast.optimizations
    assert fast.slowdown(on_fast) < fast.slowdown(on_small)
    assert small.fits(on_small) and fast.fits(on_fast)


NVIDIA = [card.title for card in all_cards() if card.vendor == "NVIDIA" and card.speed and card.total_bytes < 25 * GIB]


@pytest.mark.parametrize("side", [512, 768, 1024])
@pytest.mark.parametrize("duration_s", [10.0, 600.0])
def test_what_is_planned_for_a_card_of_that_size_is_as_fast_as_stock(side, duration_s):
    job = Job(side, side, duration_s, min_resolution=side, optimizations=STREAMED, to_file=True)
    runs = [(capacity, DEFAULT.enable(job, capacity)) for capacity in (Capacity(budget_for(title)) for title in NVIDIA)]
    slowdowns = [capacity.slowdown(run) for capacity, run in runs if capacity.fits(run)]
    assert len(slowdowns) > 100
    assert max(slowdowns) < 1.03


def test_chunks_are_as_large_as_fit():
    job = Job(512, 512, 10.0, optimizations=frozenset({Optimization.LAYER_CHUNKING}))
    assert largest_chunk_size(job, lambda _: True) == 64 * MIN_CHUNK_SIZE
    assert largest_chunk_size(job, lambda candidate: candidate.chunk_size <= 5 * MIN_CHUNK_SIZE) == 4 * MIN_CHUNK_SIZE
    assert largest_chunk_size(job, lambda _: False) == MIN_CHUNK_SIZE
    assert largest_chunk_size(JOB, lambda _: True) == MIN_CHUNK_SIZE, "without block-wise order there are none"


def test_what_is_no_optimization_is_reported():
    with pytest.raises(OptimizationError, match="mode: there is no 'turbo'; choose one of auto, least_memory, off"):
        read_switches("turbo")
    expected = "sequential_cfg: there is no 'perhaps'; choose one of mode, auto, on, off"
    with pytest.raises(OptimizationError, match=expected):
        read_switches(values={"sequential_cfg": "perhaps"})


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("auto", {}, DEFAULT),
        ("off", {}, NONE),
        ("least_memory", {}, Switches(on=EVERY, smallest_chunks=True)),
        ("off", {"sequential_cfg": "on"}, Switches(on=frozenset({Optimization.SEQUENTIAL_CFG}))),
        ("off", {"stream_weights": "auto"}, Switches(auto=frozenset({Optimization.STREAM_WEIGHTS}))),
        ("auto", {"unet_offload": "off", "sequential_cfg": "mode"}, Switches(auto=DEFAULT.auto)),
    ],
)
def test_a_mode_sets_all_and_a_switch_sets_one(mode, values, expected):
    assert read_switches(mode, values) == expected


def test_the_least_memory_is_what_the_smallest_chunks_need():
    job, capacity = Job(512, 512, 10.0, min_resolution=1024), Capacity(budget_for(80))
    least = read_switches("least_memory").enable(job, capacity)
    assert least.optimizations == without_redundant(EVERY)
    assert least.chunk_size == MIN_CHUNK_SIZE
    assert capacity.estimate(least).peak_bytes <= capacity.estimate(DEFAULT.enable(job, capacity)).peak_bytes


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ({}, WRAPPER_ONLY),
        ({"KSampler": {"sequential_cfg": "on"}}, WRAPPER_ONLY),
        ({LOW_VRAM: {}}, GraphCapabilities(DEFAULT)),
        ({TALKING_HEAD: {}}, GraphCapabilities(DEFAULT, to_file=True)),
        ({TALKING_HEAD: {"mode": "off"}}, GraphCapabilities(NONE, to_file=True)),
        ({LOW_VRAM: {"mode": "least_memory"}, TALKING_HEAD: {"mode": "off"}},
         GraphCapabilities(read_switches("least_memory"), to_file=True)),
        ({LOW_VRAM: {"mode": ["7", 0]}}, GraphCapabilities(NONE)),
        ({LOW_VRAM: dict.fromkeys(Optimization, "off")}, GraphCapabilities(NONE)),
        (
            {LOW_VRAM: dict.fromkeys(Optimization, "off") | {"feed_forward_chunking": "on"}, TALKING_HEAD: {}},
            GraphCapabilities(Switches(frozenset({Optimization.FEED_FORWARD_CHUNKING})), to_file=True),
        ),
        (
            {LOW_VRAM: {"sequential_cfg": ["7", 0]}},
            GraphCapabilities(Switches(DEFAULT.on, DEFAULT.auto - {Optimization.SEQUENTIAL_CFG})),
        ),
    ],
)  # fmt: skip
def test_a_graph_can_do_what_its_nodes_can(nodes, expected):
    assert capabilities_of(nodes) == expected


def test_parts_are_available_where_a_file_is_written():
    assert GraphCapabilities(NONE, to_file=True).available == {SPLIT}
    assert capabilities_of({LOW_VRAM: {}}).available == DEFAULT.auto


def test_a_graph_enables_what_a_card_needs():
    optimized = GraphCapabilities(DEFAULT).run(Job(1024, 1024, 10.0, min_resolution=1024), Capacity(budget_for(6)))
    assert {Optimization.UNET_OFFLOAD, Optimization.SEQUENTIAL_CFG} <= optimized.optimizations
    assert optimized.chunk_size > MIN_CHUNK_SIZE
    assert predict(optimized).peak_bytes <= budget_for(6).usable_bytes
    assert GraphCapabilities(DEFAULT).run(JOB, Capacity(budget_for(80))) == replace(JOB, optimizations=DEFAULT.on)


def test_what_streams_enables_the_optimizations_of_a_stream_first():
    """They are enabled whatever the switches say, so nothing else may be enabled in their stead."""
    switches = Switches(auto=frozenset(Optimization) - STREAMED)
    run = GraphCapabilities(switches, to_file=True).run(Job(512, 512, 120.0), Capacity(budget_for(12)))
    assert run.optimizations == STREAMED


@pytest.mark.parametrize("ram_gib", [16, None])
def test_a_sound_too_long_for_one_pass_is_judged_by_its_longest_part(ram_gib):
    """An hour exceeds host memory, not the card."""
    hour, capacity = Job(512, 512, 3600.0), Capacity(budget_for(12), ram_gib and ram_gib * GIB)
    run = GraphCapabilities(DEFAULT, to_file=True).run(hour, capacity)
    assert run.to_file
    assert (run.duration_s < hour.duration_s) is (ram_gib is not None)
    assert capacity.assess(predict(run)).verdict is not Verdict.FAIL
    assert GraphCapabilities(DEFAULT).run(hour, capacity).duration_s == hour.duration_s


@pytest.mark.parametrize(
    ("ram_gib", "chosen"), [(12, "streaming_decode+unet_offload"), (14, "unet_offload"), (None, "unet_offload")]
)
def test_low_vram_counts_host_memory(ram_gib, chosen):
    """A 12 GiB card is large enough either way; the whole clip in host memory needs 13.7 GiB, streamed 11.6."""
    minute, capacity = Job(512, 512, 60.0), Capacity(budget_for(12), ram_gib and ram_gib * GIB)
    run = DEFAULT.enable(minute, capacity)
    assert format_optimizations(run.optimizations) == chosen
    assert round(predict(run).host_ram_bytes / GIB, 1) == (11.6 if ram_gib == 12 else 13.7)


@pytest.mark.parametrize("gib", [12, 24])
def test_where_no_choice_has_the_host_memory_it_needs_the_least_of_it_is_taken(gib):
    """Streaming costs no time and takes 2 GiB of host memory less; nothing that the GPU does not need is added."""
    run = DEFAULT.enable(Job(512, 512, 60.0), Capacity(budget_for(gib), 10 * GIB))
    assert format_optimizations(run.optimizations) == "streaming_decode+unet_offload"


def test_a_hard_limit_cuts_no_sound_into_parts():
    """It follows the size and not the length: parts would only add seams to a run that fails or not."""
    large, capacity = Job(1280, 1152, 120.0, min_resolution=1152), Capacity(budget_for(141))
    streamed = GraphCapabilities(Switches(on=STREAMED), to_file=True).run(large, capacity)
    assert capacity.estimate(streamed).limits
    assert streamed.duration_s == large.duration_s


def test_host_memory_that_no_part_has_cuts_no_sound_into_parts():
    ten_minutes, capacity = Job(512, 512, 600.0), Capacity(budget_for(24), 8 * GIB)
    assert GraphCapabilities(DEFAULT, to_file=True).run(ten_minutes, capacity).duration_s == ten_minutes.duration_s


@pytest.mark.parametrize("switches", [Switches(on=EVERY), Switches(auto=EVERY), DEFAULT], ids=["on", "auto", "default"])
@pytest.mark.parametrize("gib", [4, 6, 12])
def test_an_optimization_that_another_contains_is_never_enabled_with_it(switches, gib):
    run = GraphCapabilities(switches).run(Job(1024, 1024, 10.0, min_resolution=1024), Capacity(budget_for(gib)))
    assert run.optimizations == without_redundant(run.optimizations)


@settings(deadline=None, max_examples=50)
@given(optimizations, st.integers(2, 8).map(lambda n: 64 * n), st.sampled_from([12.0, 25.0, 60.0]))
def test_a_set_that_fits_is_found_where_there_is_one(auto, side, fps):
    """To a thousandth. At small sizes feed-forward chunks save more than layer chunks, which are left out then."""
    job = Job(side, side, 10.0, min_resolution=side, fps=fps)
    needs = {some: predict(replace(job, optimizations=some)).peak_bytes for some in _without_redundant_pairs(auto)}
    least = min(needs.values()) * 1.001
    chosen = Switches(auto=auto).choose(job, as_fast, lambda candidate: predict(candidate).peak_bytes <= least)
    assert needs[chosen] <= least


def _without_redundant_pairs(optimizations):
    sizes = range(len(optimizations) + 1)
    return {without_redundant(frozenset(some)) for size in sizes for some in combinations(optimizations, size)}
