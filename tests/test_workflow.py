"""The workflows this pack writes: sound in themselves, and right for the real nodes they wire."""

import itertools
import json
import uuid

import pytest

from sonic_guard.comfy.workflow_file import Way, build_workflow, example_texts
from sonic_guard.job import Dtype, Job
from tests import frontends
from tests.real import PACK
from tests.test_host_page import browser, load, page  # noqa: F401 - fixtures

FOLDER = PACK / "example_workflows"
EXAMPLES = {name: json.loads(text) for name, text in example_texts().items()}
FILES = {"image": "portrait.png", "audio": "voice.wav"}
PLANNED = {
    f"planned, {way}": build_workflow(
        Job(1080, 1920, 0.48, min_resolution=128, dtype=Dtype.BF16, steps=15, interpolate=False),
        **FILES, preset="hd", target="RTX 3060 12GB", on_risk="warn", policy="article", aspect="9:16", way=way,
    )
    for way in Way
}  # fmt: skip
WORKFLOWS = EXAMPLES | PLANNED
PAGE_ONLY = "MarkdownNote"
"""A node that the page keeps to itself: the host does not know it."""
OWN_FILES = ("image", "audio", "ckpt_name", "sonic_unet")
"""Widgets that offer the files of a machine; any name will do in a workflow."""
SIMPLE = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


@pytest.fixture(params=WORKFLOWS)
def workflow(request):
    return WORKFLOWS[request.param]


@pytest.fixture(scope="module")
def infos(host):
    return host.get("/object_info")


def test_the_examples_are_what_the_builder_makes():
    texts = {file.stem: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")}
    assert texts == example_texts()


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_has_a_small_picture(name):
    picture = (FOLDER / f"{name}.jpg").read_bytes()
    assert picture[:2] == b"\xff\xd8"
    assert len(picture) < 200_000


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_reports_what_to_do(name):
    (note,) = (node for node in EXAMPLES[name]["nodes"] if node["type"] == PAGE_ONLY)
    assert note["widgets_values"][0].startswith("## ")


def test_the_same_arguments_make_the_same_workflow():
    assert build_workflow(Job(512, 512, 5.0), **FILES) == build_workflow(Job(512, 512, 5.0), **FILES)


def test_links_and_slots_name_each_other(workflow):
    nodes = {node["id"]: node for node in workflow["nodes"]}
    assert workflow["version"] == 0.4
    assert uuid.UUID(workflow["id"])
    assert workflow["last_node_id"] == max(nodes)
    assert workflow["last_link_id"] == len(workflow["links"])
    for link, source, slot, target, target_slot, kind in workflow["links"]:
        assert link in nodes[source]["outputs"][slot]["links"]
        assert nodes[source]["outputs"][slot]["type"] == kind
        assert nodes[target]["inputs"][target_slot]["link"] == link


def test_no_node_lies_on_another(workflow):
    title = 30
    for one, other in itertools.combinations(workflow["nodes"], 2):
        (x, y), (width, height) = one["pos"], one["size"]
        (x2, y2), (width2, height2) = other["pos"], other["size"]
        beside = x + width <= x2 or x2 + width2 <= x
        apart = y + height <= y2 - title or y2 + height2 <= y - title
        assert beside or apart, (one["type"], other["type"])


def accepts(given, wanted):
    """The host's rule for a link. A V1 combo's type is its list, which only itself and `*` fit."""
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
    (error,) = (data for event, data in entry["status"]["messages"] if event == "execution_error")
    assert error["node_type"] == "ImageOnlyCheckpointLoader", error["exception_message"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_hands_on_what_the_example_reports(name, page, infos):  # noqa: F811 - the fixture
    """Oldest and newest front end put every value into its own widget, and every link into its own slot."""
    load(page, EXAMPLES[name])
    sent = page.evaluate("async () => (await app.graphToPrompt()).output")
    wanted = api_graph(EXAMPLES[name], infos)
    assert sent.keys() == wanted.keys()
    for number, node in wanted.items():
        assert sent[number]["class_type"] == node["class_type"]
        if node["class_type"] == "SaveVideo" and page.front_end == frontends.OLDEST:
            continue  # its menu of menus is younger than that front end, whose own host has another
        assert {key: sent[number]["inputs"].get(key) for key in node["inputs"]} == node["inputs"], node["class_type"]


def nodes_of(workflow):
    """The nodes that the host knows."""
    return [node for node in workflow["nodes"] if node["type"] != PAGE_ONLY]


def api_graph(workflow, infos):
    """The workflow in API format."""
    links = {link: [str(source), slot] for link, source, slot, *_ in workflow["links"]}
    return {
        str(node["id"]): {"class_type": node["type"], "inputs": api_inputs(node, infos[node["type"]], links)}
        for node in nodes_of(workflow)
    }


def slots(group):
    """The inputs of a node as the host describes them: name → (type, options)."""
    return {**group.get("required", {}), **group.get("optional", {})}


def api_inputs(node, info, links):
    """The inputs of a node of the UI's format as the front end hands them to the host.

    Fails if a value is left without its widget.
    """
    values = iter(node["widgets_values"])
    inputs = dict(widget_values(slots(info["input"]), values))
    assert not list(values), f"{node['type']} has fewer widgets than values"
    return inputs | {slot["name"]: links[slot["link"]] for slot in node["inputs"] if slot["link"] in links}


def widget_values(group, values, prefix=""):
    """Pairs of name and value, in the order in which the front end draws the widgets."""
    for name, (kind, *more) in group.items():
        options = more[0] if more else {}
        if not (isinstance(kind, list) or kind in SIMPLE or kind == "COMFY_DYNAMICCOMBO_V3"):
            continue
        value = next(values, None)
        if value is None:
            continue  # a widget of a newer host: the front end gives it its default
        yield prefix + name, value
        extra = options.get("image_upload", False) + 2 * options.get("audio_upload", False)
        changes = name == "seed" and options.get("control_after_generate", True)
        for _ in range(extra + changes):  # the upload button, the player, "control after generate"
            next(values)
        if kind == "COMFY_DYNAMICCOMBO_V3":
            chosen = next(option for option in options["options"] if option["key"] == value)
            yield from widget_values(slots(chosen["inputs"]), values, f"{prefix}{name}.")
