"""The button of a card: what it does to the graph makes the advice come true, or there is no button."""

import numpy as np
import pytest

from sonic_guard.comfy.api_graph import Graph, Link, parse_graph
from sonic_guard.devices.card_catalogue import GIB
from sonic_guard.history.history_cache import CardHistory
from sonic_guard.optimizations import ESCALATION_ORDER
from sonic_guard.preview.answer import answer
from sonic_guard.preview.evaluation import preview
from tests.support.graphs import (
    after_preflight,
    low_vram,
    low_vram_trio,
    machine,
    node,
    preflight,
    sources,
    talking_head,
    trio,
    write_files,
)
from tests.support.sound_files import RATE, encode_tracks


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return machine(write_files(tmp_path_factory.mktemp("input")))


def ask(graph: Graph, asked: str, here, target: str = "auto", lang: str = "en"):
    return answer(preview(graph, asked, here, target), CardHistory(), lang, (graph, asked))


def primitive(kind, value):
    return {"20": node(kind, value=value)}


def insert(sampler, **values):
    return [{"do": "insert_low_vram", "sampler": sampler, "values": values}]


def put(node_id, name, value):
    return [{"do": "set", "node": node_id, "input": name, "value": value}]


OFF = dict.fromkeys(ESCALATION_ORDER, "off")


def after_warning(card):
    return sources() | preflight(preset="hd", target_card=card, on_risk="warn", reserve=0.2)


@pytest.mark.parametrize(
    ("graph", "asked", "target", "actions"),
    [
        (sources() | trio(min_resolution=768), "7", "8 GiB", insert("7")),
        (sources() | trio(min_resolution=768), "6", "8 GiB", insert("7")),
        (after_preflight(preset="hd", target_card="8 GiB"), "3", "auto", insert("7")),
        (after_preflight(preset="hd", target_card="8 GiB", on_risk="warn"), "3", "auto", insert("7")),
        (after_preflight(target_card="3 GiB"), "3", "auto", insert("7")),
        (sources() | preflight(preset="hd", target_card="8 GiB"), "3", "auto", []),
        (sources() | low_vram(stream_weights="off") | low_vram_trio(), "7", "4 GiB", put("10", "stream_weights", "on")),
        (sources() | low_vram(stream_weights="off") | low_vram_trio(), "10", "4 GiB",
         put("10", "stream_weights", "on")),
        (sources() | low_vram(stream_weights=["20", 0]) | low_vram_trio() | primitive("PrimitiveString", "off"),
         "7", "4 GiB", put("20", "value", "on")),
        (sources() | low_vram(**OFF) | low_vram_trio(min_resolution=768),
         "7", "12 GiB", put("6", "min_resolution", 512)),
        (sources() | talking_head(mode="off"), "11", "4 GiB", put("11", "mode", "auto")),
        (sources() | talking_head(mode="off"), "11", "8 GiB", put("11", "mode", "auto")),
        (sources() | trio(), "7", "2 GiB", []),
        (sources() | trio(min_resolution=256), "7", "24 GiB", put("6", "min_resolution", 512)),
        (sources() | trio(min_resolution=["20", 0]) | primitive("PrimitiveInt", 256), "7", "24 GiB",
         put("20", "value", 512)),
        (sources() | trio(min_resolution=["20", 0]) | {"20": node("Reroute", **{"": ["21", 0]}),
         "21": node("PrimitiveInt", value=256)}, "7", "24 GiB", put("21", "value", 512)),
        (sources() | low_vram(**OFF) | low_vram_trio(min_resolution=["20", 0])
         | {"20": node("SomeOtherPack", value=768)}, "7", "8 GiB", []),
    ],
    ids=[
        "stock", "predata", "made smaller by Preflight", "kept by Preflight", "3 GiB after Preflight",
        "Preflight alone", "a switch", "a switch, asked of Low VRAM", "a switch of a primitive", "a size",
        "Talking Head on 4 GiB",
        "Talking Head without optimizations", "no remedy", "a larger size", "a primitive's", "through a reroute",
        "of a node that computes it",
    ],
)  # fmt: skip
def test_the_actions(graph, asked, target, actions, here):
    advice = ask(parse_graph(graph), asked, here, target)["advice"]
    assert advice["actions"] == actions
    assert bool(advice["button"]) is bool(actions)


@pytest.mark.parametrize(
    ("name", "value", "graph"),
    [
        ("on_risk", "downgrade", low_vram() | low_vram_trio() | after_warning("3.5 GiB")),
        ("policy", "lossless_first", low_vram() | after_preflight(preset="hd", target_card="6 GiB", policy="article")),
    ],
)
def test_a_planner_in_the_graph_does_it_itself(name, value, graph, here):
    assert ask(parse_graph(graph), "3", here)["advice"]["actions"] == put("3", name, value)


WARNED = {"preset": "hd", "target_card": "3 GiB", "on_risk": "warn"}


@pytest.mark.parametrize(
    ("graph", "asked", "sentence", "actions"),
    [
        (
            sources() | talking_head(**WARNED | {"target_card": "2.5 GiB"}), "11",
            "on_risk “downgrade” makes it fit: min_resolution 832", put("11", "on_risk", "downgrade"),
        ),
        (
            after_preflight(**WARNED), "3",
            "on_risk downgrade, Sonic Low VRAM and min_resolution 768 together",
            insert("7") + put("3", "on_risk", "downgrade"),
        ),
        (
            low_vram(mode="off") | after_preflight(**WARNED | {"target_card": "12 GiB"}), "3",
            "on_risk “downgrade” makes it fit: min_resolution 512", put("3", "on_risk", "downgrade"),
        ),
    ],
    ids=["Talking Head", "Preflight", "a planner can do all of it"],
)  # fmt: skip
def test_a_planner_that_only_warns_is_set_too_where_it_is_not_enough(graph, asked, sentence, actions, here):
    """It enables nothing that its graph has not, and changes no size unless it may."""
    parsed = parse_graph(graph)
    advice = ask(parsed, asked, here)["advice"]
    assert advice["text"].startswith(sentence)
    assert advice["actions"] == actions
    assert ask(applied(parsed, advice["actions"]), asked, here)["level"] in ("ok", "warn")


@pytest.mark.parametrize(
    ("inputs", "level", "sentences"),
    [
        ({"preset": "fast"}, "warn", {
            "en": "mode auto keeps 768×768 px at 25 fps.", "zh": "mode 设为 auto，可保持 768×768 像素、每秒 25 帧。",
        }),
        ({"preset": "fast", "on_risk": "warn"}, "bad", {
            "en": "mode auto reduces the peak to ", "zh": "mode 设为 auto，峰值可降到 ",
        }),
        ({"preset": "hd", "on_risk": "warn", "target_card": "2.5 GiB"}, "bad", {
            "en": "on_risk downgrade, mode auto and min_resolution ",
            "zh": "on_risk 设为 downgrade，mode 设为 auto，min_resolution 设为 ",
        }),
    ],
    ids=["made smaller", "kept", "kept, and too large with every optimization"],
)  # fmt: skip
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_talking_head_whose_mode_is_off_is_told_of_its_mode(inputs, level, sentences, lang, here):
    """It has no switch for a single optimization, and no smaller picture is advised where none has to be."""
    graph = parse_graph(sources() | talking_head(**{"mode": "off", "target_card": "8 GiB"} | inputs))
    shown = ask(graph, "11", here, lang=lang)
    assert shown["level"] == level
    assert shown["advice"]["text"].startswith(sentences[lang])
    assert put("11", "mode", "auto")[0] in shown["advice"]["actions"]
    clicked = ask(applied(graph, shown["advice"]["actions"]), "11", here)
    assert clicked["level"] in ("ok", "warn")
    if inputs["preset"] == "fast":
        assert clicked["level"] == "ok"
        assert shown["level"] == "warn" or f"{clicked['peak_bytes'] / GIB:.1f} GiB" in shown["advice"]["text"]
        assert clicked["settings"]["min_resolution"] == 768


def test_a_planner_that_only_warns_promises_what_comes(here):
    """Low VRAM enables what the run needs, and not every optimization."""
    graph = parse_graph(after_preflight(preset="fast", target_card="8 GiB", on_risk="warn"))
    advice = ask(graph, "3", here)["advice"]
    clicked = ask(applied(graph, advice["actions"]), "3", here)
    assert advice["text"] == f"Sonic Low VRAM reduces the peak to {clicked['peak_bytes'] / GIB:.1f} GiB."


def applied(graph: Graph, actions) -> Graph:
    """The graph as the page has it after a click."""
    graph = dict(graph)
    for action in actions:
        if action["do"] == "set":
            old = graph[action["node"]]
            graph[action["node"]] = replace_input(old, action["input"], action["value"])
        else:
            sampler = graph[action["sampler"]]
            new = parse_graph(low_vram(model="", **action["values"]))["10"]
            graph["99"] = replace_input(new, "model", sampler.inputs["model"])
            graph[action["sampler"]] = replace_input(sampler, "model", Link("99", 0))
    return graph


def replace_input(old, name, value):
    return old._replace(inputs={**old.inputs, name: value})


@pytest.mark.parametrize("target", ["4 GiB", "6 GiB", "8 GiB", "12 GiB", "16 GiB", "24 GiB"])
@pytest.mark.parametrize(
    ("graph", "asked"),
    [
        (sources() | trio(min_resolution=768), "7"),
        (sources() | trio(min_resolution=512, dtype="fp32"), "7"),
        (sources() | trio(min_resolution=1024), "6"),
        (after_preflight(preset="hd"), "3"),
        (after_preflight(preset="hd", on_risk="warn"), "3"),
        (sources() | low_vram() | low_vram_trio(min_resolution=1024), "7"),
        (sources() | talking_head(preset="hd"), "11"),
    ],
    ids=["stock", "fp32", "predata", "preflight", "warn", "low vram", "talking head"],
)
def test_after_a_click_or_a_few_the_run_fits_and_no_picture_is_smaller_than_it_could_be(graph, asked, target, here):
    """A user who clicks while there is a button ends with a run that fits; nothing is promised that does not come."""
    parsed = parse_graph(graph)
    if asked == "3":
        parsed["3"] = replace_input(parsed["3"], "target_card", target)
    shown, clicks = ask(parsed, asked, here, target), 0
    while shown["level"] != "ok" and shown["advice"] and shown["advice"]["actions"]:
        parsed, clicks = applied(parsed, shown["advice"]["actions"]), clicks + 1
        shown = ask(parsed, asked, here, target)
        assert clicks < 4, (shown["verdict_text"], shown["advice"])
    assert shown["level"] in ("ok", "warn"), shown


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "Made smaller: 1024 → 384 px"), ("zh", "画面已缩小：1024 → 384 像素")]
)
@pytest.mark.parametrize("asked", ["3", "6", "7"])
def test_a_smaller_picture_is_never_plain_green(lang, words, asked, here):
    """On Preflight, which made it smaller, and on the nodes that run what it made."""
    shown = ask(parse_graph(after_preflight(preset="hd", target_card="8 GiB")), asked, here, lang=lang)
    assert (shown["verdict"], shown["level"], shown["verdict_text"]) == ("safe", "warn", words)


def test_a_size_of_the_users_own_is_not_called_smaller(here):
    """The loss is that of the planner whose settings the run has."""
    graph = parse_graph(after_preflight(preset="hd", target_card="8 GiB"))
    graph["6"] = replace_input(graph["6"], "min_resolution", 256)
    assert ask(graph, "7", here)["level"] == "ok"


def test_a_card_has_no_button_for_what_another_node_computes(here):
    """Preflight decides the size: to set it on SONIC_PreData would do nothing."""
    graph = parse_graph(low_vram() | after_preflight(preset="hd", target_card="2 GiB"))
    shown = ask(graph, "7", here)
    assert shown["level"] == "bad"
    assert shown["advice"]["actions"] == []


@pytest.mark.parametrize("card", ["2 GiB", "4 GiB"])
def test_where_nothing_fits_the_best_attempt_stands_below_what_would_help(card, here):
    """Also where Sonic Low VRAM would make it fit."""
    said = ask(parse_graph(after_preflight(target_card=card)), "3", here)
    assert said["advice"] and said["attempt"] == "The closest that was tried: 128×128 px, 12.5 fps, fp16, peak 5.4 GiB."


def test_a_silent_sound_is_a_warning_and_no_assumption(tmp_path):
    folder = write_files(tmp_path)
    encode_tracks(folder / "silent.mp4", np.zeros(5 * RATE))
    said = ask(parse_graph(sources(audio="silent.mp4") | preflight()), "3", machine(folder))
    assert [each for each in said["limits"] if each.startswith("The audio is silent")]
    assert not [each for each in said["assumed"] if "silent" in each]
