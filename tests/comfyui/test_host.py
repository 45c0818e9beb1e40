"""The nodes in a real ComfyUI, with the real Sonic wrapper: what is offered, what runs, and the texts of errors."""

import re

import av
import pytest
import skimage.data
from PIL import Image

from sonic_guard.devices.budget import budget_for
from sonic_guard.job import Dtype, Job
from sonic_guard.operations.face_box import portrait_of
from sonic_guard.operations.preflight import PreflightRequest, preflight
from sonic_guard.operations.preset_files import load_preset
from sonic_guard.planning.capacity import Capacity
from sonic_guard.planning.planner import make_plan
from tests.support.comfyui_server import error_of
from tests.support.graphs import PLANNING

NODES = (
    *("TalkingHead", "Preflight", "LowVRAM", "OOMRisk", "AutoDowngrade", "FaceBox", "AudioDuration", "Preset"),
    "LoadVoice",
)
CARD = "RTX 3060 12GB"
FACE = {"aspect": "original", "face_index": 0, "face_box": ""}
PLAN = {"target_card": CARD, "reserve": 0.1, "language": "en"}
PREFLIGHT = PLANNING | PLAN
RUN = {"min_resolution": 1024, "duration": 5.0, "fps": 25.0, "dtype": "fp16", "use_interframe": True}

PICTURE = ("SaveImage", "images", {"filename_prefix": "sonic guard"})
SOUND = ("PreviewAudio", "audio", {})
TEXT = ("PreviewAny", "source", {})


def graph(kind, outputs, *, image="portrait.png", audio="voice.wav", **inputs):
    """A picture and a sound into our node `kind`, and a node of the host after each of the `outputs`."""
    nodes = {"ours": {"class_type": f"SonicGuard{kind}", "inputs": inputs}}
    if image:
        nodes["image"] = {"class_type": "LoadImage", "inputs": {"image": image}}
        inputs["image"] = ["image", 0]
    if audio:
        nodes["audio"] = {"class_type": "LoadAudio", "inputs": {"audio": audio}}
        inputs["audio"] = ["audio", 0]
    for slot, (show, name, more) in outputs.items():
        nodes[f"out{slot}"] = {"class_type": show, "inputs": {name: ["ours", slot], **more}}
    return nodes


def texts(entry):
    """What Preview as Text shows, by output of our node."""
    assert entry["status"]["status_str"] == "success", entry["status"]
    shown = {
        int(node[3:]): out["text"][0] for node, out in entry["outputs"].items() if node[:3] == "out" and "text" in out
    }
    return dict(sorted(shown.items()))


def files(host, entry, slot, kind):
    """The files that hold output `slot`."""
    shown = entry["outputs"][f"out{slot}"][kind]
    return [host.base / file["type"] / file["subfolder"] / file["filename"] for file in shown]


def samples(path):
    """Samples of a sound file."""
    with av.open(str(path)) as file:
        return sum(frame.samples for frame in file.decode(audio=0))


def complaint(entry):
    """The message of the error that ended a graph in our node."""
    error = error_of(entry)
    assert error["node_id"] == "ours"
    return error["exception_message"]


def test_starts_without_errors_in_the_log(host):
    assert "IMPORT FAILED" not in host.log_text()
    assert not re.search(r"Traceback[\s\S]*sonic-guard", host.start_log)


@pytest.mark.parametrize("kind", NODES)
def test_node_is_offered_with_words_for_everything(host, kind):
    node = host.get(f"/object_info/SonicGuard{kind}")[f"SonicGuard{kind}"]
    assert node["category"] == "Sonic Guard"
    assert node["display_name"].endswith("(Sonic Guard)")
    assert node["description"]
    for group in ("required", "optional"):
        for name, (_, options) in node["input"].get(group, {}).items():
            assert options.get("tooltip"), name
    assert all(node["output_tooltips"])


@pytest.mark.parametrize("kind", ["SONICTLoader", "SONIC_PreData", "SONICSampler"])
def test_sonics_own_nodes_are_there_too(host, kind):
    assert kind in host.get(f"/object_info/{kind}")


def test_preflight_gives_what_the_library_plans(host):
    outputs = {slot: TEXT for slot in (*range(3, 12), 13)} | {1: PICTURE, 2: SOUND, 12: SOUND}
    before = len(host.log_text())
    entry = host.run(graph("Preflight", outputs, **PREFLIGHT))
    shown = texts(entry)

    requested = load_preset("fast")
    portrait, capacity = portrait_of(skimage.data.astronaut()), Capacity(budget_for(CARD))
    result = preflight(PreflightRequest(portrait, 5.0, requested, capacity))
    job, crop = result.plan.job, result.selection.crop
    assert job.min_resolution < requested.min_resolution, "the card should be too small for the requested settings"
    assert [shown[slot] for slot in range(3, 11)] == [
        str(job.min_resolution), "4.98", str(job.expand_ratio), str(job.steps), str(job.dynamic_scale), str(job.fps),
        str(job.dtype), str(job.interpolate),
    ]  # fmt: skip
    assert shown[13] == "25.0"
    assert CARD in shown[11]
    assert f"min_resolution: 768 → {job.min_resolution}" in shown[11]
    assert entry["outputs"]["ours"]["text"] == [shown[11]]

    (picture,) = files(host, entry, 1, "images")
    assert Image.open(picture).size == (crop.width, crop.height)
    assert samples(*files(host, entry, 2, "audio")) == 62 * 1280 + 320
    assert samples(*files(host, entry, 12, "audio")) == (2 * 62 - 1) * 640
    assert "Traceback" not in host.log_text()[before:]


@pytest.mark.parametrize("target", ["20 GiB", "7.5"])
def test_a_workflow_may_name_a_size_that_is_not_in_the_menu(host, target):
    shown = texts(host.run(graph("Preflight", {11: TEXT}, **PREFLIGHT | {"target_card": target})))
    assert f"{float(target.split()[0]):g} GiB" in shown[11]


def test_an_unknown_card_is_refused_before_the_run(host):
    status, answer = host.queue(graph("Preflight", {11: TEXT}, **PREFLIGHT | {"target_card": "RTX 9999"}))
    assert status == 400
    assert "RTX 9999" in str(answer)


def test_a_sound_of_a_third_of_a_second_is_filled_up_with_silence(host):
    entry = host.run(graph("Preflight", {4: TEXT, 2: SOUND}, audio="short.wav", **PREFLIGHT))
    assert float(texts(entry)[4]) == pytest.approx(0.5)
    assert samples(*files(host, entry, 2, "audio")) == 8000


@pytest.mark.parametrize(("on_risk", "resolution"), [("warn", "1024"), ("downgrade", None)])
def test_what_preflight_does_about_a_risk(host, on_risk, resolution):
    entry = host.run(graph("Preflight", {3: TEXT, 11: TEXT}, **PREFLIGHT | {"on_risk": on_risk, "preset": "hd"}))
    shown = texts(entry)
    assert (shown[3] == "1024") is (resolution == "1024")
    assert ("Will run out of memory" in shown[11]) is (on_risk == "warn")


def test_preflight_can_plan_for_this_machine_and_speak_chinese(host):
    settings = PREFLIGHT | {"target_card": "auto", "preset": "minimal", "language": "zh"}
    assert "放得下" in texts(host.run(graph("Preflight", {11: TEXT}, **settings)))[11]


def test_audio_duration(host):
    entry = host.run(
        graph(
            "AudioDuration", {slot: TEXT for slot in (0, 1, 2, 5)}, image=None, cut_silence=False, use_interframe=True
        )
    )
    assert texts(entry) == {0: "4.98", 1: "5.0", 2: "62", 5: "0.0"}
    assert entry["outputs"]["ours"]["text"] == ["5.00 s"]


def test_face_box_shows_what_it_found(host):
    entry = host.run(
        graph("FaceBox", {0: PICTURE, 1: TEXT, 3: TEXT, 4: PICTURE}, audio=None, **FACE | {"aspect": "1:1"})
    )
    shown = texts(entry)
    assert shown[1] == "0.2"
    x1, y1, x2, y2 = map(int, shown[3].split(", "))
    assert x1 < 225 < x2
    assert y1 < 118 < y2
    (crop,) = files(host, entry, 0, "images")
    width, height = Image.open(crop).size
    assert width == height
    assert len(entry["outputs"]["ours"]["images"]) == 1


def test_face_box_takes_a_batch(host):
    nodes = graph("FaceBox", {0: PICTURE}, audio=None, **FACE)
    nodes["two"] = {"class_type": "RepeatImageBatch", "inputs": {"image": ["image", 0], "amount": 2}}
    nodes["ours"]["inputs"]["image"] = ["two", 0]
    entry = host.run(nodes)
    assert len(files(host, entry, 0, "images")) == 2
    assert len(entry["outputs"]["ours"]["images"]) == 2


def test_preset(host):
    entry = host.run(graph("Preset", {slot: TEXT for slot in range(7)}, image=None, preset="hd"))
    assert list(texts(entry).values()) == ["1024", "5.0", "30", "1.2", "25.0", "fp16", "True"]


def test_a_preset_of_the_users_own_is_offered_and_read_again_after_a_change(host):
    folder = host.base / "user" / "sonic_guard" / "presets"
    folder.mkdir(parents=True)
    for steps in ("21", "22"):
        (folder / "mine.json").write_text(f'{{"name": "mine", "inference_steps": {steps}}}', encoding="utf-8")
        entry = host.run(graph("Preset", {2: TEXT}, image=None, preset="mine"))
        assert texts(entry) == {2: steps}


def test_oom_risk_judges(host):
    outputs = {slot: TEXT for slot in range(1, 5)}
    entry = host.run(graph("OOMRisk", outputs, audio=None, stop=False, **RUN, **PLAN))
    verdict, stage, headroom, report = texts(entry).values()
    assert (verdict, stage) == ("fail", "denoise")
    assert float(headroom) < 0
    assert report.startswith("Will run out of memory: denoise")


def test_auto_downgrade_fits_the_card(host):
    entry = host.run(
        graph(
            "AutoDowngrade", {0: TEXT, 6: TEXT}, audio=None, inference_steps=25, policy="lossless_first", **RUN, **PLAN
        )
    )
    job = Job(512, 512, 5.0, min_resolution=1024, dtype=Dtype.FP16)
    assert texts(entry)[0] == str(make_plan(job, Capacity(budget_for(CARD))).job.min_resolution)


PREFLIGHT_ERRORS = [
    pytest.param({"image": "no face.png"}, "image: no face found", id="no face"),
    pytest.param({"face_index": 3}, "face number 3 does not exist; 1 face was found", id="no such face"),
    pytest.param({"face_box": "here"}, "expected x1, y1, x2, y2 in pixels, got 'here'", id="no box"),
    pytest.param({"face_box": "0, 0, 9000, 9"}, "leaves the picture, which has 512×512", id="box outside"),
    pytest.param({"audio": "silence.wav", "cut_silence": True}, "There is no sound above -50 dBFS", id="silent"),
    pytest.param({"preset": "hd", "on_risk": "stop"}, "Will run out of memory", id="stop"),
    pytest.param({"target_card": "GTX 1050 2GB"}, "No change of settings makes it fit on GTX 1050 2GB", id="2 GB"),
]


@pytest.mark.parametrize(("change", "message"), PREFLIGHT_ERRORS)
def test_preflight_errors_name_what_is_wrong(host, change, message):
    assert message in complaint(host.run(graph("Preflight", {11: TEXT}, **PREFLIGHT | change)))


def test_a_sound_without_samples(host):
    nodes = graph("Preflight", {11: TEXT}, **PREFLIGHT)
    nodes["audio"] = {"class_type": "EmptyAudio", "inputs": {"duration": 0.0, "sample_rate": 16_000, "channels": 1}}
    assert "audio: the sound is empty" in complaint(host.run(nodes))


def test_oom_risk_stops(host):
    entry = host.run(graph("OOMRisk", {1: TEXT}, audio=None, stop=True, **RUN, **PLAN))
    assert complaint(entry).startswith("Will run out of memory: denoise")


@pytest.mark.parametrize(
    ("name", "value"),
    [("preset", "turbo"), ("target_card", "RTX 9999"), ("on_risk", "pray"), ("face_index", -1), ("reserve", 0.9)],
)
def test_values_that_do_not_exist_are_refused(host, name, value):
    status, answer = host.queue(graph("Preflight", {11: TEXT}, **PREFLIGHT | {name: value}))
    if status == 200:  # ComfyUI 0.3.64 leaves the value of a combo to the node
        assert repr(value) in complaint(host.wait(answer["prompt_id"]))
    else:
        (error,) = answer["node_errors"]["ours"]["errors"]
        assert error["extra_info"]["input_name"] == name


def test_a_changed_setting_of_the_card_is_planned_for_in_the_next_run(host):
    asked, reports = graph("OOMRisk", {1: TEXT}, audio=None, **RUN, **PLAN | {"target_card": "auto"}, stop=False), []
    try:
        for card in ("RTX 4090 24GB", "RTX 4060 8GB"):
            assert host.request("POST", "/settings/SonicGuard.TargetCard", card)[0] == 200
            result = host.run(asked)
            assert result["status"]["status_str"] == "success", error_of(result)
            reports.append(result["outputs"]["ours"]["text"][0])
    finally:
        host.request("POST", "/settings/SonicGuard.TargetCard", "auto")
    assert ["RTX 4090 24GB" in reports[0], "RTX 4060 8GB" in reports[1]] == [True, True], reports


@pytest.mark.parametrize("language", ["en", "zh"])
def test_words_and_help_are_served(host, language):
    words = host.get("/i18n")[language]
    assert "Sonic Guard" in words["nodeCategories"]
    for kind in NODES:
        assert f"SonicGuard{kind}" in words["nodeDefs"]
        status, page = host.request("GET", f"/extensions/sonic-guard/docs/SonicGuard{kind}/{language}.md")
        assert status == 200
        assert page.startswith(b"# ")
