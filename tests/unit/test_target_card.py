"""Which card a node plans for: its own, the setting, the one planned with, this machine's."""

import pytest

from sonic_guard.comfy.api_graph import parse_graph
from sonic_guard.comfy.target_card import target_for
from tests.support.graphs import low_vram, low_vram_trio, node, preflight, sources, talking_head

GRAPH = sources() | preflight(target_card="12 GiB") | low_vram() | low_vram_trio()


@pytest.mark.parametrize(
    ("own", "setting", "card"),
    [
        ("8 GiB", "auto", "8 GiB"),
        ("8 GiB", "16 GiB", "8 GiB"),
        ("auto", "16 GiB", "16 GiB"),
        ("auto", "auto", "12 GiB"),
    ],
)
def test_a_card_of_its_own_comes_first_then_the_setting_then_preflights(own, setting, card):
    """Low VRAM and the sampler are not linked to Preflight here: it counts all the same."""
    assert target_for(parse_graph(GRAPH), "10", own, setting) == card


def test_without_a_planner_it_is_this_machine():
    assert target_for(parse_graph(sources() | talking_head()), "11", "auto") == "auto"
    assert target_for({}, "gone", "auto") == "auto"


def test_the_nearest_planner_upstream_counts():
    graph = GRAPH | {"20": preflight(target_card="24 GiB")["3"]}
    graph |= {"21": node("SonicGuardTalkingHead", plan=["20", 0], target_card="auto")}
    assert target_for(parse_graph(graph), "21", "auto") == "24 GiB"
    assert target_for(parse_graph(graph), "7", "auto") == "12 GiB"


def test_a_card_over_a_link_is_not_known_here():
    graph = sources() | preflight(target_card=["9", 0]) | talking_head()
    assert target_for(parse_graph(graph), "11", "auto") == "auto"
