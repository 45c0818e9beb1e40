"""The workflows this pack writes: consistent in themselves."""

import itertools
import uuid

import pytest

from sonic_guard.comfy.workflow_file import WorkflowSettings, build_workflow, example_texts
from sonic_guard.job import Job
from tests.support.workflows import EXAMPLES, FILES, FOLDER, PAGE_ONLY, WORKFLOWS


@pytest.fixture(params=WORKFLOWS)
def workflow(request):
    return WORKFLOWS[request.param]


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
    settings = WorkflowSettings(**FILES)
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
