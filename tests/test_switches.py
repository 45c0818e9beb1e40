"""Which levers are pulled: what the switches say, and the cheapest that are enough."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_guard.errors import LeverError
from sonic_guard.job import PIECE, Job, Lever
from sonic_guard.low_vram import EXACT
from sonic_guard.planning.planner import SPLIT
from sonic_guard.planning.capabilities import LONG_VIDEO, LOW_VRAM, NOTHING, Reach, reach_of
from sonic_guard.planning.selection import DEFAULT, DEFAULTS, LADDER, NONE, STREAMED, Switches, largest_piece, parse_levers, read_switches, say_levers
from sonic_guard.devices.budget import budget_for
from sonic_guard.devices.card_catalogue import GIB
from sonic_guard.memory.stage_model import predict
from sonic_guard.planning.capacity import Verdict, assess

JOB = Job(512, 512, 10.0)
levers = st.frozensets(st.sampled_from(Lever))


def fits_with(needed):
    """Fits where all of `needed` are pulled."""
    return lambda job: needed <= job.levers


def test_every_lever_has_its_place_in_the_ladder_and_its_switch():
    assert sorted(LADDER) == sorted(Lever)
    assert set(DEFAULTS) == set(Lever)
    assert read_switches({}) == DEFAULT
    assert DEFAULT.on | DEFAULT.auto == EXACT, "nothing changes a pixel unasked"


@given(levers, levers, levers)
def test_the_cheapest_that_are_enough_are_pulled(on, auto, needed):
    switches = Switches(on, auto - on)
    chosen = switches.choose(JOB, fits_with(needed))
    assert on <= chosen <= on | auto
    assert chosen == (on | needed if needed <= on | auto else on | auto)


@pytest.mark.parametrize(
    ("enough", "chosen"),
    [
        (lambda job: True, ""),
        (lambda job: len(job.levers) >= 2, "pairwise+park"),
        (lambda job: job.levers & {Lever.BRANCH, Lever.BLOCK}, "branch"),
        (lambda job: Lever.BLOCK in job.levers or {Lever.BRANCH, Lever.FF} <= job.levers, "branch+ff"),
        (lambda job: False, "pairwise+park+host+branch+ff+block"),
    ],
)
def test_cheaper_ones_come_first(enough, chosen):
    assert say_levers(Switches(auto=EXACT).choose(JOB, enough)) == chosen


def test_pieces_are_as_large_as_fit():
    job = Job(512, 512, 10.0, levers=frozenset({Lever.BLOCK}))
    assert largest_piece(job, lambda _: True) == 16 * PIECE
    assert largest_piece(job, lambda candidate: candidate.piece <= 5 * PIECE) == 4 * PIECE
    assert largest_piece(job, lambda _: False) == PIECE
    assert largest_piece(JOB, lambda _: True) == PIECE, "without block-wise order there are none"


@given(levers)
def test_levers_are_said_and_read(some):
    assert parse_levers(say_levers(some)) == some


@pytest.mark.parametrize("text", ["branch+", "branch + ff", " ", ""])
def test_spaces_and_loose_ends_are_no_harm(text):
    assert parse_levers(text) <= {Lever.BRANCH, Lever.FF}


def test_what_is_no_lever_is_said():
    with pytest.raises(LeverError, match="levers: unknown turbo; known are pairwise, park"):
        parse_levers("branch+turbo")
    with pytest.raises(LeverError, match="branch: there is no 'perhaps'; choose one of auto, on, off"):
        read_switches({"branch": "perhaps"})


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ({}, NOTHING),
        ({"KSampler": {"branch": "on"}}, NOTHING),
        ({LOW_VRAM: {}}, Reach(DEFAULT)),
        ({LONG_VIDEO: {}}, Reach(DEFAULT, to_file=True)),
        ({LOW_VRAM: dict.fromkeys(Lever, "off")}, Reach(NONE)),
        (
            {LOW_VRAM: dict.fromkeys(Lever, "off") | {"ff": "on"}, LONG_VIDEO: {}},
            Reach(Switches(frozenset({Lever.FF})), to_file=True),
        ),
        ({LOW_VRAM: {"branch": ["7", 0]}}, Reach(Switches(DEFAULT.on, DEFAULT.auto - {Lever.BRANCH}))),
    ],
)  # fmt: skip
def test_a_graph_can_do_what_its_nodes_can(nodes, expected):
    assert reach_of(nodes) == expected


def test_parts_are_to_be_had_where_a_file_is_written():
    assert Reach(NONE, to_file=True).available == {SPLIT}
    assert reach_of({LOW_VRAM: {}}).available == DEFAULT.auto


def test_a_reach_pulls_what_a_budget_needs():
    lean = Reach(DEFAULT).run(Job(1024, 1024, 10.0, min_resolution=1024), budget_for(8))
    assert {Lever.PARK, Lever.BRANCH} <= lean.levers
    assert lean.piece > PIECE
    assert predict(lean).peak_bytes <= budget_for(8).usable_bytes
    assert Reach(DEFAULT).run(JOB, budget_for(80)) == replace(JOB, levers=DEFAULT.on)


def test_what_streams_pulls_the_levers_of_a_stream_first():
    """They are pulled whatever the switches say, so nothing else may be pulled in their stead."""
    switches = Switches(auto=frozenset(Lever) - STREAMED)
    assert Reach(switches, to_file=True).run(Job(512, 512, 120.0), budget_for(12)).levers == STREAMED


@pytest.mark.parametrize("ram_gib", [16, None])
def test_a_sound_too_long_for_one_pass_is_judged_by_its_longest_part(ram_gib):
    """Of an hour, host memory is what has no room."""
    hour, budget = Job(512, 512, 3600.0), budget_for(12)
    run = Reach(DEFAULT, to_file=True).run(hour, budget, ram_gib and ram_gib * GIB)
    assert run.to_file
    assert (run.duration_s < hour.duration_s) is (ram_gib is not None)
    assert assess(predict(run), budget, ram_gib and ram_gib * GIB).verdict is not Verdict.FAIL
    assert Reach(DEFAULT).run(hour, budget, ram_gib and ram_gib * GIB).duration_s == hour.duration_s
