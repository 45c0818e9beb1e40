"""SONIC_PreData itself in a real ComfyUI, on the torchaudio that is there: from a picture and a voice to the video.

Its networks have random weights (`tests/support/hostpack`). With TorchCodec and without: `test_predata`.
"""

import json

import av
import pytest

from sonic_guard.history.run_record import Outcome
from sonic_guard.media.video_file import frames
from tests.support.graphs import node
from tests.support.watched_runs import file_of, runs, small, talking_head, voice
from tests.support.workflow_prompts import api_graph
from tests.support.workflows import EXAMPLES, FOLDER

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


TEMPLATES = [FOLDER / f"{name}.json" for name in sorted(EXAMPLES)]
SMALL = {  # the outputs of the loaders, whose weights are not available here, and those of `SmallSonic`
    ("ImageOnlyCheckpointLoader", 1): ["small", 2],
    ("ImageOnlyCheckpointLoader", 2): ["small", 3],
    ("SONICTLoader", 0): ["small", 0],
    ("SONICTLoader", 1): ["small", 4],
}
QUICK = {"min_resolution": 128, "inference_steps": 1, "target_card": "80 GiB"}


def as_queued(host, workflow, sound):
    """A template as the page queues it, over small networks, with a short sound and in few pixels and steps."""
    queued = api_graph(workflow, host.get("/object_info"))
    kinds = {number: each["class_type"] for number, each in queued.items()}
    loaders = {kind for kind, _ in SMALL}
    graph = {"small": small(real_predata=True, seed=23)}
    for number, each in queued.items():
        if kinds[number] in loaders:
            continue
        inputs = {
            name: SMALL.get((kinds.get(value[0]), value[1]), value) if isinstance(value, list) else value
            for name, value in each["inputs"].items()
        }
        inputs |= {name: value for name, value in QUICK.items() if name in inputs}
        inputs |= {"LoadImage": {"image": "portrait.png"}, "LoadAudio": {"audio": sound}}.get(kinds[number], {})
        graph[number] = node(kinds[number], **inputs)
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
