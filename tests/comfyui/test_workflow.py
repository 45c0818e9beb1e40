"""The workflows this pack writes: consistent in themselves, and valid for the real nodes."""

import pytest

from sonic_guard.comfy.workflow_file import TALKING_HEAD_INPUTS
from tests.support import comfyui_frontends
from tests.support.comfyui_page import load
from tests.support.comfyui_server import error_of
from tests.support.workflow_prompts import api_graph, api_inputs, nodes_of, slots
from tests.support.workflows import EXAMPLES, WORKFLOWS

OWN_FILES = ("image", "audio", "ckpt_name", "sonic_unet")
"""Widgets that offer the files of a machine; any name will do in a workflow."""


@pytest.fixture(params=WORKFLOWS)
def workflow(request):
    return WORKFLOWS[request.param]


@pytest.fixture(scope="module")
def infos(host):
    return host.get("/object_info")


def accepts(given, wanted):
    """The host's rule for a link. A V1 combo's type is its list, which only itself and `*` fit."""
    if isinstance(given, str) and isinstance(wanted, str):
        return "*" in (given, wanted) or not set(given.split(",")).isdisjoint(wanted.split(","))
    return "*" in (given, wanted) or given == wanted


def test_every_link_fits_the_real_nodes(workflow, infos):
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for _, source, slot, target, target_slot, kind in workflow["links"]:
        given = infos[nodes[source]["type"]]["output"][slot]
        name = nodes[target]["inputs"][target_slot]["name"]
        wanted = slots(infos[nodes[target]["type"]]["input"])[name][0]
        assert kind == given
        assert accepts(given, wanted), f"{nodes[source]['type']}.{slot} → {nodes[target]['type']}.{name}"


def test_the_slots_are_those_of_the_real_nodes(workflow, infos):
    for node in nodes_of(workflow):
        info = infos[node["type"]]
        # Newer hosts add outputs at the end.
        assert [slot["type"] for slot in node["outputs"]] == info["output"][: len(node["outputs"])]
        assert [slot["name"] for slot in node["outputs"]] == info["output_name"][: len(node["outputs"])]
        missing = set(info["input"]["required"]) - set(api_inputs(node, info, {}))
        assert not missing - {slot["name"] for slot in node["inputs"]}, node["type"]


def test_the_inputs_of_sonic_talking_head_are_all_there_and_in_order(infos):
    inputs = infos["SonicGuardTalkingHead"]["input"]
    own = [(name, kind if isinstance(kind, str) else "COMBO") for name, (kind, *_) in slots(inputs).items()]
    known = [(slot.name, slot.type) for slot in TALKING_HEAD_INPUTS]
    assert sorted(known) == sorted(own)
    assert [slot.name for slot in TALKING_HEAD_INPUTS if slot.widget] == [
        *(name for name in inputs["required"] if name not in ("model", "clip_vision", "vae")),
        "overlapped_decode",
    ]


def test_every_widget_holds_a_value_it_can_hold(workflow, infos):
    for node in nodes_of(workflow):
        info = infos[node["type"]]
        for name, value in api_inputs(node, info, {}).items():
            kind, options = (*slots(info["input"]).get(name, ("", {})), {})[:2]
            choices = kind if isinstance(kind, list) else options.get("options", [])
            if name not in OWN_FILES and choices and kind != "COMFY_DYNAMICCOMBO_V3":
                assert value in choices, (node["type"], name)
            if kind in ("INT", "FLOAT"):
                assert options.get("min", value) <= value <= options.get("max", value), (node["type"], name)


def test_the_host_takes_the_whole_graph(workflow, infos, host):
    """Its own check of every link and value; the run then ends at the weights, which are empty files here."""
    models = host.base / "models"
    for empty in (models / "checkpoints" / "svd_xt_1_1.safetensors", models / "sonic" / "unet.pth"):
        empty.parent.mkdir(parents=True, exist_ok=True)
        empty.touch()
    entry = host.run(api_graph(workflow, infos))
    error = error_of(entry)
    assert error["node_type"] == "ImageOnlyCheckpointLoader", error["exception_message"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_sends_the_values_of_the_example(name, page, infos):  # noqa: F811 - the fixture
    """Oldest and newest front end put every value into its own widget, and every link into its own slot."""
    load(page, EXAMPLES[name])
    sent = page.evaluate("async () => (await app.graphToPrompt()).output")
    wanted = api_graph(EXAMPLES[name], infos)
    assert sent.keys() == wanted.keys()
    for number, node in wanted.items():
        assert sent[number]["class_type"] == node["class_type"]
        if node["class_type"] == "SaveVideo" and page.front_end == comfyui_frontends.OLDEST:
            continue  # its nested menu is newer than that front end, whose own host has another
        assert {key: sent[number]["inputs"].get(key) for key in node["inputs"]} == node["inputs"], node["class_type"]
