"""The one table of memory optimizations: complete, in order, and all that names them is read from it."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from sonic_guard.comfy.workflow_file import Way, WorkflowSettings, build_workflow
from sonic_guard.devices.budget import budget_for
from sonic_guard.job import Job
from sonic_guard.memory.stage_model import predict
from sonic_guard.messages.advice_messages import advice_sentence
from sonic_guard.messages.plan_messages import why
from sonic_guard.optimizations import (
    DEFAULTS,
    ESCALATION_ORDER,
    EVERY,
    OPTIMIZATIONS,
    Optimization,
    Setting,
    unused,
    without_redundant,
)
from sonic_guard.planning.advice import Advice
from sonic_guard.planning.capabilities import LOW_VRAM, capabilities_of
from sonic_guard.planning.capacity import Capacity
from sonic_guard.planning.planner import Change, make_plan
from sonic_guard.planning.selection import Switches, read_switches
from tests.support.installed import PACK

CHINESE = re.compile(r"[\u4e00-\u9fff]")
JOB = Job(512, 512, 10.0)


def test_every_optimization_has_one_entry():
    assert sorted(OPTIMIZATIONS) == sorted(Optimization)


@pytest.mark.parametrize("optimization", Optimization)
def test_every_entry_has_both_languages(optimization):
    traits = OPTIMIZATIONS[optimization]
    for text in (traits.tooltip, traits.reason):
        assert text.en.endswith(".") and text.en.isascii()
        assert text.zh.endswith("。") and CHINESE.search(text.zh)


@pytest.mark.parametrize("optimization", Optimization)
def test_a_name_is_the_one_on_the_node_and_on_the_card(optimization):
    """In English that of the input; in Chinese the word before it."""
    name = OPTIMIZATIONS[optimization].name
    locale = json.loads((PACK / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
    assert locale["SonicGuardLowVRAM"]["inputs"][optimization]["name"] == f"{name.zh} ({name.en})"
    words = (PACK / "web" / "lib" / "words.mjs").read_text(encoding="utf-8")
    assert f'"optimization.{optimization}": ["{name.en}", "{name.zh}"]' in words
    assert name.en == optimization


def test_order_and_defaults_are_those_of_the_table():
    assert tuple(OPTIMIZATIONS) == ESCALATION_ORDER == tuple(Optimization)
    assert {each: traits.default for each, traits in OPTIMIZATIONS.items()} == DEFAULTS


def test_what_costs_no_time_comes_first():
    assert all(one.time == 1 or other.time != 1 for one, other in pairwise(OPTIMIZATIONS.values()))
    assert all(traits.time is None or traits.time >= 1 for traits in OPTIMIZATIONS.values())


@pytest.mark.parametrize("side", [512, 768, 1024])
def test_then_the_order_follows_the_time_that_a_byte_saved_costs(side):
    """Each one whose time was measured, with those before it; one that is contained gives way to its container."""
    costs, enabled = [], frozenset[Optimization]()
    for each in ESCALATION_ORDER:
        if (time := OPTIMIZATIONS[each].time) is None:
            continue
        before, enabled = enabled, without_redundant(enabled | {each})
        if time > 1:
            sizes = [_denoise_bytes(side, some) for some in (before - OPTIMIZATIONS[each].contains, enabled)]
            costs.append((time - 1) / (1 - sizes[1] / sizes[0]))
    assert len(costs) >= 3
    assert costs == sorted(costs)


@pytest.mark.parametrize("side", [512, 768, 1024])
@pytest.mark.parametrize("container", [each for each, traits in OPTIMIZATIONS.items() if traits.contains])
def test_what_is_contained_saves_next_to_nothing_in_addition(container, side):
    for contained in OPTIMIZATIONS[container].contains:
        sizes = [_denoise_bytes(side, frozenset(some)) for some in ({container}, {container, contained})]
        assert sizes[1] > 0.95 * sizes[0]
        assert OPTIMIZATIONS[contained].time != 1, "else nothing speaks against both"


def _denoise_bytes(side, optimizations):
    return predict(Job(side, side, 10.0, min_resolution=side, optimizations=optimizations)).stages["denoise"]


def test_host_memory_is_used_where_the_table_has_it():
    for each, traits in OPTIMIZATIONS.items():
        long = Job(512, 512, 600.0, to_file=True)
        with_it = predict(replace(long, optimizations=frozenset({each}))).host_ram_bytes
        assert (with_it > predict(long).host_ram_bytes) <= traits.uses_host_memory, each


def test_redundant_ones_are_left_out():
    pair = {Optimization.FEED_FORWARD_CHUNKING, Optimization.LAYER_CHUNKING}
    assert without_redundant(frozenset(pair)) == {Optimization.LAYER_CHUNKING}
    assert without_redundant(EVERY) == EVERY - {Optimization.FEED_FORWARD_CHUNKING}
    assert unused(ESCALATION_ORDER, without_redundant(EVERY)) == []
    assert unused([Optimization.LAYER_CHUNKING], frozenset({Optimization.FEED_FORWARD_CHUNKING})) == [
        Optimization.LAYER_CHUNKING
    ]


@pytest.mark.parametrize("each", Optimization)
def test_an_entry_is_all_that_planning_and_texts_need(each):
    """Every entry alone goes through the switches, the planner, the workflow and the texts."""
    settings = {name: Setting.AUTO if name is each else Setting.OFF for name in OPTIMIZATIONS}
    only = {str(name): str(setting) for name, setting in settings.items()}
    assert read_switches(values=only) == Switches(auto=frozenset({each}))
    assert capabilities_of({LOW_VRAM: only}).available == {each}
    kept = make_plan(replace(JOB, optimizations=frozenset({each})), Capacity(budget_for(80)), available=[each])
    assert kept.fits and kept.job.optimizations == {each}
    change = Change(each, "off", "on", 2, 1, "denoise", 2, 1)
    for lang in ("en", "zh"):
        assert getattr(OPTIMIZATIONS[each].reason, lang) == why(change, lang)
        assert advice_sentence(Advice(False, (change,)), lang=lang)
    values = {Optimization(name): Setting(value) for name, value in only.items()}
    graph = build_workflow(JOB, WorkflowSettings("a.png", "a.wav", way=Way.LOW_VRAM, optimizations=values))
    (node,) = (node for node in graph["nodes"] if node["type"] == LOW_VRAM)
    values = dict(zip(ESCALATION_ORDER, node["widgets_values"][1:], strict=False))
    assert {name for name, value in values.items() if value == Setting.AUTO} == {each}
