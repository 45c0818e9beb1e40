"""Which levers are pulled: what the switches say, and the cheapest that are enough."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_guard.devices.budget import budget_for
from sonic_guard.devices.card_catalogue import GIB
from sonic_guard.errors import OptimizationError
from sonic_guard.job import MIN_CHUNK_SIZE, Job
from sonic_guard.memory.stage_model import predict
from sonic_guard.optimizations import DEFAULTS, ESCALATION_ORDER, EXACT, Optimization
from sonic_guard.planning.capabilities import LONG_VIDEO, LOW_VRAM, WRAPPER_ONLY, GraphCapabilities, capabilities_of
from sonic_guard.planning.capacity import Verdict, assess
from sonic_guard.planning.planner import SPLIT
from sonic_guard.planning.selection import (
    DEFAULT,
    NONE,
    STREAMED,
    Switches,
    format_optimizations,
    largest_chunk_size,
    parse_optimizations,
    read_switches,
)

JOB = Job(512, 512, 10.0)
optimizations = st.frozensets(st.sampled_from(Optimization))


def fits_with(needed):
    """Fits where all of `needed` are pulled."""
    return lambda job: needed <= job.optimizations


def test_every_optimization_has_its_place_in_the_escalation_order_and_its_switch():
    assert sorted(ESCALATION_ORDER) == sorted(Optimization)
    assert set(DEFAULTS) == set(Optimization)
    assert read_switches({}) == DEFAULT
    assert DEFAULT.on | DEFAULT.auto == EXACT, "nothing changes a pixel unasked"


@given(optimizations, optimizations, optimizations)
def test_the_cheapest_that_are_enough_are_enabled(on, auto, needed):
    switches = Switches(on, auto - on)
    chosen = switches.choose(JOB, fits_with(needed))
    assert on <= chosen <= on | auto
    assert chosen == (on | needed if needed <= on | auto else on | auto)


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
            "streaming_decode+unet_offload+tensor_offload+sequential_cfg+feed_forward_chunking+layer_chunking",
        ),
    ],
)
def test_cheaper_ones_come_first(enough, chosen):
    assert format_optimizations(Switches(auto=EXACT).choose(JOB, enough)) == chosen


def test_chunks_are_as_large_as_fit():
    job = Job(512, 512, 10.0, optimizations=frozenset({Optimization.LAYER_CHUNKING}))
    assert largest_chunk_size(job, lambda _: True) == 16 * MIN_CHUNK_SIZE
    assert largest_chunk_size(job, lambda candidate: candidate.chunk_size <= 5 * MIN_CHUNK_SIZE) == 4 * MIN_CHUNK_SIZE
    assert largest_chunk_size(job, lambda _: False) == MIN_CHUNK_SIZE
    assert largest_chunk_size(JOB, lambda _: True) == MIN_CHUNK_SIZE, "without block-wise order there are none"


@given(optimizations)
def test_optimizations_are_reported_and_read(some):
    assert parse_optimizations(format_optimizations(some)) == some


@pytest.mark.parametrize("text", ["sequential_cfg+", "sequential_cfg + feed_forward_chunking", " ", ""])
def test_spaces_and_loose_ends_are_no_harm(text):
    assert parse_optimizations(text) <= {Optimization.SEQUENTIAL_CFG, Optimization.FEED_FORWARD_CHUNKING}


def test_what_is_no_optimization_is_reported():
    with pytest.raises(
        OptimizationError, match="optimizations: unknown turbo; known are streaming_decode, unet_offload"
    ):
        parse_optimizations("sequential_cfg+turbo")
    with pytest.raises(OptimizationError, match="sequential_cfg: there is no 'perhaps'; choose one of auto, on, off"):
        read_switches({"sequential_cfg": "perhaps"})


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ({}, WRAPPER_ONLY),
        ({"KSampler": {"sequential_cfg": "on"}}, WRAPPER_ONLY),
        ({LOW_VRAM: {}}, GraphCapabilities(DEFAULT)),
        ({LONG_VIDEO: {}}, GraphCapabilities(DEFAULT, to_file=True)),
        ({LOW_VRAM: dict.fromkeys(Optimization, "off")}, GraphCapabilities(NONE)),
        (
            {LOW_VRAM: dict.fromkeys(Optimization, "off") | {"feed_forward_chunking": "on"}, LONG_VIDEO: {}},
            GraphCapabilities(Switches(frozenset({Optimization.FEED_FORWARD_CHUNKING})), to_file=True),
        ),
        ({LOW_VRAM: {"sequential_cfg": ["7", 0]}}, GraphCapabilities(Switches(DEFAULT.on, DEFAULT.auto - {Optimization.SEQUENTIAL_CFG}))),
    ],
)  # fmt: skip
def test_a_graph_can_do_what_its_nodes_can(nodes, expected):
    assert capabilities_of(nodes) == expected


def test_parts_are_to_be_had_where_a_file_is_written():
    assert GraphCapabilities(NONE, to_file=True).available == {SPLIT}
    assert capabilities_of({LOW_VRAM: {}}).available == DEFAULT.auto


def test_a_capabilities_enables_what_a_budget_needs():
    optimized = GraphCapabilities(DEFAULT).run(Job(1024, 1024, 10.0, min_resolution=1024), budget_for(8))
    assert {Optimization.UNET_OFFLOAD, Optimization.SEQUENTIAL_CFG} <= optimized.optimizations
    assert optimized.chunk_size > MIN_CHUNK_SIZE
    assert predict(optimized).peak_bytes <= budget_for(8).usable_bytes
    assert GraphCapabilities(DEFAULT).run(JOB, budget_for(80)) == replace(JOB, optimizations=DEFAULT.on)


def test_what_streams_enables_the_optimizations_of_a_stream_first():
    """They are pulled whatever the switches say, so nothing else may be pulled in their stead."""
    switches = Switches(auto=frozenset(Optimization) - STREAMED)
    assert GraphCapabilities(switches, to_file=True).run(Job(512, 512, 120.0), budget_for(12)).optimizations == STREAMED


@pytest.mark.parametrize("ram_gib", [16, None])
def test_a_sound_too_long_for_one_pass_is_judged_by_its_longest_part(ram_gib):
    """Of an hour, host memory is what has no room."""
    hour, budget = Job(512, 512, 3600.0), budget_for(12)
    run = GraphCapabilities(DEFAULT, to_file=True).run(hour, budget, ram_gib and ram_gib * GIB)
    assert run.to_file
    assert (run.duration_s < hour.duration_s) is (ram_gib is not None)
    assert assess(predict(run), budget, ram_gib and ram_gib * GIB).verdict is not Verdict.FAIL
    assert GraphCapabilities(DEFAULT).run(hour, budget, ram_gib and ram_gib * GIB).duration_s == hour.duration_s
