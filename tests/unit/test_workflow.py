"""The workflows this pack writes: consistent in themselves."""

import itertools
import json
import uuid

import pytest

from sonic_guard.comfy.weight_files import WEIGHT_FILES, as_properties
from sonic_guard.comfy.workflow_file import WorkflowSettings, build_workflow
from sonic_guard.job import Job
from sonic_guard.operations.example_files import PORTRAIT, VOICE, example_folder
from tests.support.workflows import EXAMPLES, FOLDER, PAGE_ONLY, WORKFLOWS
from tools.example_workflows import workflow_files


@pytest.fixture(params=WORKFLOWS)
def workflow(request):
    return WORKFLOWS[request.param]


BLUEPRINTS = [json.loads(text) for path, text in workflow_files().items() if path.parent.name == "subgraphs"]


def test_the_files_are_what_the_builder_makes():
    folders = {path.parent for path in workflow_files()}
    texts = {file: file.read_text(encoding="utf-8") for folder in folders for file in folder.glob("*.json")}
    assert texts == workflow_files()


def test_the_shortest_template_is_five_nodes_and_six_links():
    first = EXAMPLES[min(EXAMPLES)]
    assert len([node for node in first["nodes"] if node["type"] != PAGE_ONLY]) == 5
    assert len(first["links"]) == 6


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_files_that_an_example_names_come_with_the_pack(name):
    widgets = {node["type"]: node["widgets_values"] for node in EXAMPLES[name]["nodes"]}
    assert (widgets["LoadImage"][0], widgets["LoadAudio"][0]) == (PORTRAIT, VOICE)
    assert all((example_folder() / file).is_file() for file in (PORTRAIT, VOICE))


def test_weight_files_stand_where_comfyui_looks_for_them(workflow):
    """On the node whose widget names them; the others, which no widget names, at the root."""
    on_nodes = [
        (model["name"], model["name"] in node["widgets_values"])
        for node in workflow["nodes"]
        for model in node["properties"].get("models", ())
    ]
    assert on_nodes == [(file.name, True) for file in WEIGHT_FILES if file.is_selected]
    assert workflow["models"] == as_properties(tuple(file for file in WEIGHT_FILES if not file.is_selected))


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_has_a_small_picture(name):
    picture = (FOLDER / f"{name}.jpg").read_bytes()
    assert picture[:2] == b"\xff\xd8"
    assert len(picture) < 200_000


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_reports_what_to_do(name):
    (note,) = (node for node in EXAMPLES[name]["nodes"] if node["type"] == PAGE_ONLY)
    assert note["widgets_values"][0].startswith("<!-- en -->\n## ")
    assert "<!-- zh -->\n## " in note["widgets_values"][0]


def test_the_same_arguments_make_the_same_workflow():
    settings = WorkflowSettings("portrait.png", "voice.wav")
    assert build_workflow(Job(512, 512, 5.0), settings) == build_workflow(Job(512, 512, 5.0), settings)


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
        side_by_side = x + width <= x2 or x2 + width2 <= x
        apart = y + height <= y2 - title or y2 + height2 <= y - title
        assert side_by_side or apart, (one["type"], other["type"])


@pytest.mark.parametrize("blueprint", BLUEPRINTS, ids=lambda blueprint: blueprint["nodes"][0]["title"])
def test_a_blueprint_is_one_node_whose_slots_are_those_of_its_subgraph(blueprint):
    (shown,), (inner,) = blueprint["nodes"], blueprint["definitions"]["subgraphs"]
    assert shown["type"] == inner["id"]
    for side in ("inputs", "outputs"):
        assert [slot["name"] for slot in shown[side]] == [slot["name"] for slot in inner[side]]
    assert inner["name"] == shown["title"]


@pytest.mark.parametrize("blueprint", BLUEPRINTS, ids=lambda blueprint: blueprint["nodes"][0]["title"])
def test_the_links_of_a_blueprint_and_its_slots_name_each_other(blueprint):
    (inner,) = blueprint["definitions"]["subgraphs"]
    nodes = {node["id"]: node for node in inner["nodes"]}
    for link in inner["links"]:
        if link["origin_id"] == -10:
            given = inner["inputs"][link["origin_slot"]]
            assert given["linkIds"] == [link["id"]]
        else:
            given = nodes[link["origin_id"]]["outputs"][link["origin_slot"]]
            assert link["id"] in given["links"]
        if link["target_id"] == -20:
            taken = inner["outputs"][link["target_slot"]]
            assert taken["linkIds"] == [link["id"]]
        else:
            taken = nodes[link["target_id"]]["inputs"][link["target_slot"]]
            assert taken["link"] == link["id"]
        assert given["type"] == taken["type"] == link["type"]
