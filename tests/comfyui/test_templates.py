"""The templates and the blueprint in a real ComfyUI, as somebody finds them who has just installed the pack."""

import json

import pytest

from sonic_guard.comfy.weight_files import WEIGHT_FILES
from sonic_guard.operations.example_files import FILES, PORTRAIT, VOICE, example_folder
from tests.support.comfyui_page import load
from tests.support.workflows import EXAMPLES
from tools.example_workflows import BLUEPRINT, BLUEPRINTS, FINISHING, finishing_workflow


def test_comfyui_serves_every_template_with_its_picture(host):
    templates = EXAMPLES | {FINISHING: finishing_workflow()}
    assert sorted(host.get("/workflow_templates")["sonic-guard"]) == sorted(templates)
    for name in templates:
        path = f"/api/workflow_templates/sonic-guard/{name}"
        assert host.get(f"{path}.json") == templates[name]
        status, picture = host.request("GET", f"{path}.jpg")
        assert status == 200
        assert picture[:2] == b"\xff\xd8"


def test_the_portrait_and_the_voice_are_in_the_input_folder(host):
    for name in FILES:
        assert (host.base / "input" / name).read_bytes() == (example_folder() / name).read_bytes()
    infos = host.get("/object_info")
    assert PORTRAIT in infos["LoadImage"]["input"]["required"]["image"][0]


def test_comfyui_offers_the_blueprint(host):
    (number,) = (
        number
        for number, entry in host.get("/global_subgraphs").items()
        if entry["info"]["node_pack"] == "custom_nodes.sonic-guard"
    )
    entry = host.get(f"/global_subgraphs/{number}")
    assert entry["name"] == BLUEPRINT
    assert json.loads(entry["data"]) == json.loads((BLUEPRINTS / f"{BLUEPRINT}.json").read_text(encoding="utf-8"))


@pytest.fixture
def prompt(page):
    """The graph that the page would queue for a workflow, by the class of its nodes."""

    def convert(workflow):
        load(page, workflow)
        nodes = page.evaluate("async () => (await app.graphToPrompt()).output")
        return {node["class_type"]: node["inputs"] for node in nodes.values()}

    return convert


def test_the_page_makes_the_whole_graph_of_the_blueprint(prompt):
    nodes = prompt(json.loads((BLUEPRINTS / f"{BLUEPRINT}.json").read_text(encoding="utf-8")))
    first = prompt(EXAMPLES[min(EXAMPLES)])
    whole = nodes["SonicGuardTalkingHead"]
    assert set(nodes) == {"ImageOnlyCheckpointLoader", "SONICTLoader", "SonicGuardTalkingHead"}
    given = first["SonicGuardTalkingHead"]
    assert {name for name, value in given.items() if isinstance(value, list)} - whole.keys() == {"image", "audio"}
    assert {name: whole[name] for name in whole if not isinstance(whole[name], list)} == {
        name: value for name, value in given.items() if not isinstance(value, list)
    }


def test_the_page_queues_the_template_that_finishes_a_video(prompt):
    nodes = prompt(finishing_workflow())
    assert set(nodes) == {"LoadVideo", "UpscaleModelLoader", "SonicGuardFinishVideo"}
    finish = nodes["SonicGuardFinishVideo"]
    assert isinstance(finish["video"], list)
    assert isinstance(finish["upscale_model"], list)
    assert (finish["preset"], finish["height"], finish["crf"], finish["filename_prefix"]) == (
        "hd",
        0,
        18,
        "video/finished",
    )


def test_a_prediction_names_the_weight_files_that_are_not_there(host):
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": PORTRAIT}},
        "2": {"class_type": "LoadAudio", "inputs": {"audio": VOICE}},
        "3": {
            "class_type": "SonicGuardTalkingHead",
            "inputs": {"image": ["1", 0], "audio": ["2", 0], "preset": "fast", "target_card": "8 GiB"},
        },
    }

    def missing():
        status, body = host.request("POST", "/sonic_guard/predict", {"graph": graph, "node": "3"})
        assert status == 200, body
        return {(each["folder"], each["name"]) for each in json.loads(body)["missing_files"]}

    places = {(f"models/{file.folder}", file.name) for file in WEIGHT_FILES}
    there = {(folder, name) for folder, name in places if (host.base / folder / name).is_file()}
    assert missing() == places - there
    made = host.base / "models" / "sonic" / "RIFE" / "flownet.pkl"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.touch()
    try:
        assert missing() == places - there - {("models/sonic", "RIFE/flownet.pkl")}
    finally:
        made.unlink()
