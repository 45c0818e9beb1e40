"""SONIC_PreData itself in a real ComfyUI, on the torchaudio that is there: from a picture and a voice to the video.

Its networks have random weights (`tests/support/hostpack`). With TorchCodec and without: `test_predata`.
"""

import json

import av
import pytest

from sonic_guard.history.run_record import Outcome
from sonic_guard.media.video_file import frames
from tests.support.installed import PACK
from tests.support.watched_runs import file_of, node, runs, small, talking_head, voice

SECONDS = 1.2
LATENTS = int(SECONDS * 12.5)


def test_the_stock_nodes_end_with_a_video_and_leave_no_sound_file(host):
    before = set((host.base / "input").iterdir())
    graph = {
        "small": small(real_predata=True, seed=21),
        "picture": node("LoadImage", image="portrait.png"),
        "voice": node("LoadAudio", audio=voice(host.base / "input" / "voice for sonic.wav", SECONDS)),
        "data": node(
            "SONIC_PreData", clip_vision=["small", 2], vae=["small", 3], audio=["voice", 0], image=["picture", 0],
            weight_dtype=["small", 4], min_resolution=128, duration=SECONDS, expand_ratio=0.5,
        ),
        "frames": node(
            "SONICSampler", model=["small", 0], data_dict=["data", 0], seed=1, inference_steps=1, dynamic_scale=1.0,
            fps=25.0,
        ),
        "video": node("CreateVideo", images=["frames", 0], fps=25.0, audio=["voice", 0]),
        "saved": node("SaveVideo", video=["video", 0], filename_prefix="video/stock", format="auto", codec="auto"),
    }  # fmt: skip
    result = host.run(graph)
    assert result["status"]["status_str"] == "success", result["status"]
    (shown,) = result["outputs"]["saved"]["images"]
    file = host.base / "output" / shown["subfolder"] / shown["filename"]
    assert sum(1 for _ in frames(file)) == 2 * LATENTS - 1
    with av.open(str(file)) as container:
        assert container.streams.audio
    (run,) = runs(host, 1)
    assert (run.outcome, run.job.latent_frames) == (Outcome.DONE, LATENTS)
    assert list(run.stages) == ["predata", "denoise", "decode", "interpolate"]
    assert {file.name for file in set((host.base / "input").iterdir()) - before} == {"voice for sonic.wav"}


def test_talking_head_runs_predata_and_leaves_no_sound_file(host):
    before = set((host.base / "input").iterdir())
    name = voice(host.base / "input" / "another voice.wav", SECONDS)
    result = host.run(talking_head(name, prefix="video/predata", real_predata=True, seed=22))
    assert sum(1 for _ in frames(file_of(host, result))) == 2 * LATENTS - 1
    assert {file.name for file in set((host.base / "input").iterdir()) - before} == {name}


TEMPLATES = sorted((PACK / "example_workflows").glob("*.json"))
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3"}
SMALL = {  # the outputs of the loaders, whose weights are not available here, and those of `SmallSonic`
    ("ImageOnlyCheckpointLoader", 1): ["small", 2],
    ("ImageOnlyCheckpointLoader", 2): ["small", 3],
    ("SONICTLoader", 0): ["small", 0],
    ("SONICTLoader", 1): ["small", 4],
}
QUICK = {"min_resolution": 128, "inference_steps": 1, "target_card": "80 GiB"}


def as_queued(host, workflow, sound):
    """A template as the page queues it, over small networks, with a short sound and in few pixels and steps."""
    links = {number: (str(source), slot) for number, source, slot, *_ in workflow["links"]}
    kinds = {str(each["id"]): each["type"] for each in workflow["nodes"]}
    graph = {"small": small(real_predata=True, seed=23)}
    for each in workflow["nodes"]:
        kind = each["type"]
        if kind == "MarkdownNote" or (kind, 0) in SMALL or (kind, 1) in SMALL:
            continue
        declared = host.get(f"/object_info/{kind}")[kind]["input"]
        slots = {**declared["required"], **declared.get("optional", {})}
        values = [value for value in each["widgets_values"] if value != "fixed"]  # the control after a seed
        widgets = [name for name, (type_, *_) in slots.items() if isinstance(type_, list) or type_ in WIDGETS]
        inputs = dict(zip(widgets, values, strict=False))
        for slot in each.get("inputs", []):
            if slot["link"] is None:
                continue
            source, output = links[slot["link"]]
            inputs[slot["name"]] = SMALL.get((kinds[source], output), [source, output])
        inputs |= {name: value for name, value in QUICK.items() if name in inputs}
        inputs |= {"LoadImage": {"image": "portrait.png"}, "LoadAudio": {"audio": sound}}.get(kind, {})
        graph[str(each["id"])] = node(kind, **inputs)
    return graph


@pytest.mark.parametrize("file", TEMPLATES, ids=[file.stem.removeprefix("Sonic Guard - ") for file in TEMPLATES])
def test_every_template_ends_with_a_video(host, file):
    sound = voice(host.base / "input" / "template.wav", SECONDS)
    result = host.run(as_queued(host, json.loads(file.read_text(encoding="utf-8")), sound))
    assert result["status"]["status_str"] == "success", result["status"]
    (shown,) = [output["images"][0] for output in result["outputs"].values() if "animated" in output]
    made = host.base / "output" / shown["subfolder"] / shown["filename"]
    assert sum(1 for _ in frames(made)) == 2 * LATENTS - 1
    with av.open(str(made)) as container:
        assert float(container.streams.audio[0].duration * container.streams.audio[0].time_base) == pytest.approx(
            (2 * LATENTS - 1) / 25, abs=0.1
        )
