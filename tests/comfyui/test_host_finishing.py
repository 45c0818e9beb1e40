"""The nodes of finishing in a real ComfyUI: a VIDEO of a file, an IMAGE, and Sonic Talking Head with finish."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors.torch import save_file

from sonic_guard.media.footage import open_footage, shots
from sonic_guard.media.video_file import frames
from tests.support.comfyui_page import load
from tests.support.comfyui_server import error_of
from tests.support.footage_files import packets, write
from tests.support.graphs import node
from tests.support.upscale_networks import real_esrgan
from tests.support.watched_runs import file_of, talking_head, voice
from tests.support.workflow_prompts import api_graph
from tools.example_workflows import finishing_workflow

FRAMES = 40


@pytest.fixture(scope="module")
def clip(host):
    return write(host.base / "input" / "clip.mp4", FRAMES, size=(96, 64))


def saved(host, result):
    [shown] = result["outputs"]["save"]["images"]
    return host.base / "output" / shown["subfolder"] / shown["filename"]


def finish(clip: Path, kind: str, **inputs):
    """A video file through a node of finishing, saved as it comes, and the node's report."""
    return {
        "load": node("LoadVideo", file=clip.name),
        "step": node(kind, video=["load", 0], **inputs),
        "save": node("SaveVideo", video=["step", 0], filename_prefix="video/step", format="auto", codec="auto"),
    }


def done(host, graph):
    result = host.run(graph)
    assert result["status"]["status_str"] == "success", error_of(result)
    return result


@pytest.mark.parametrize(
    ("kind", "inputs", "size", "count"),
    [
        ("SonicGuardSmooth", {"deflicker": True, "strength": 0.0}, (96, 64), FRAMES),
        ("SonicGuardSmooth", {"deflicker": True, "strength": 1.0}, (96, 64), FRAMES),
        ("SonicGuardInterpolate", {}, (96, 64), 2 * FRAMES),
        ("SonicGuardLipSync", {"max_correction_ms": 50.0}, (96, 64), FRAMES),
    ],
)
def test_a_video_goes_through_a_step(host, clip, kind, inputs, size, count):
    footage = open_footage(saved(host, done(host, finish(clip, kind, **inputs))))
    assert (footage.width, footage.height) == size
    assert footage.frames == count
    assert footage.audio_tracks == 1
    assert footage.seconds == pytest.approx(FRAMES / 25, abs=0.01)


@pytest.mark.parametrize(("preset", "height", "size"), [("fast", 0, (96, 64)), ("hd", 96, (144, 96))])
def test_all_in_one_writes_into_the_output_folder(host, clip, preset, height, size):
    graph = {
        "load": node("LoadVideo", file=clip.name),
        "all": node(
            "SonicGuardFinishVideo", video=["load", 0], preset=preset, height=height, crf=18,
            filename_prefix=f"video/{preset}",
        ),
    }  # fmt: skip
    result = done(host, graph)
    [shown] = result["outputs"]["all"]["images"]
    assert (shown["type"], shown["subfolder"]) == ("output", "video")
    file = host.base / "output" / "video" / shown["filename"]
    footage = open_footage(file)
    assert (footage.width, footage.height, footage.frames) == (*size, FRAMES)
    assert packets(file, "audio") == packets(clip, "audio")
    [report] = result["outputs"]["all"]["text"]
    assert file.name in report
    assert str(host.base) not in report


@pytest.fixture
def full_hd(host):
    """The graph of the template "Make it full HD" on a small clip, with real weights of Real-ESRGAN's small model."""
    graph = api_graph(finishing_workflow(), host.get("/object_info"))
    inputs = {each["class_type"]: each["inputs"] for each in graph.values()}
    clip = host.base / "input" / inputs["LoadVideo"]["file"]
    weights = host.base / "models" / "upscale_models" / inputs["UpscaleModelLoader"]["model_name"]
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(real_esrgan(), weights)
    kept = clip.read_bytes() if clip.is_file() else None
    write(clip, 6, size=(96, 64))
    yield graph
    weights.unlink()
    clip.unlink()
    if kept is not None:
        clip.write_bytes(kept)


def test_the_template_makes_a_video_full_hd(host, full_hd):
    status, body = host.request("POST", "/sonic_guard/predict", {"graph": full_hd, "node": "3"})
    told = json.loads(body)
    assert (status, told["level"]) == (200, "ok"), told
    assert "about" in told["verdict_text"]
    result = done(host, full_hd)
    [shown] = result["outputs"]["3"]["images"]
    footage = open_footage(host.base / "output" / shown["subfolder"] / shown["filename"])
    assert (footage.width, footage.height, footage.frames) == (1620, 1080, 6)
    [report] = result["outputs"]["3"]["text"]
    assert "1080" in report


def test_the_page_says_before_the_run_what_the_model_will_need(host, full_hd, page):
    load(page, finishing_workflow())
    line = page.locator(".sonic-guard .line .words", has_text="Fits: about")
    line.wait_for()
    assert line.count() == 1
    assert "whole frames" in page.locator(".sonic-guard .line").get_attribute("title")


def test_pictures_stay_in_memory(host, clip):
    graph = {
        "load": node("LoadVideo", file=clip.name),
        "parts": node("GetVideoComponents", video=["load", 0]),
        "step": node("SonicGuardFinishVideo", video=["parts", 0], preset="hd", height=96, crf=18, filename_prefix="x"),
        "video": node("CreateVideo", images=["step", 1], audio=["parts", 1], fps=25.0),
        "save": node("SaveVideo", video=["video", 0], filename_prefix="video/memory", format="auto", codec="auto"),
    }
    footage = open_footage(saved(host, done(host, graph)))
    assert (footage.width, footage.height, footage.frames) == (144, 96, FRAMES)


def test_a_video_that_is_made_of_pictures_is_finished_too(host, clip):
    graph = {
        "load": node("LoadVideo", file=clip.name),
        "parts": node("GetVideoComponents", video=["load", 0]),
        "video": node("CreateVideo", images=["parts", 0], audio=["parts", 1], fps=25.0),
        "step": node("SonicGuardInterpolate", video=["video", 0]),
        "save": node("SaveVideo", video=["step", 0], filename_prefix="video/made", format="auto", codec="auto"),
    }
    footage = open_footage(saved(host, done(host, graph)))
    assert (footage.frames, footage.audio_tracks) == (2 * FRAMES, 1)


def test_a_node_at_the_output_that_did_not_come_in_is_not_run(host, clip):
    graph = finish(clip, "SonicGuardInterpolate") | {"show": node("PreviewImage", images=["step", 1])}
    assert {"save", "show"} & done(host, graph)["outputs"].keys() == {"save"}


@pytest.mark.parametrize(("preset", "height"), [("fast", 128), ("hd", 1080)])
def test_talking_head_finishes_in_one_encode(host, preset, height):
    speech = voice(host.base / "input" / "finished speech.wav", 1.6)
    plain = file_of(host, done(host, talking_head(speech, prefix="video/plain")))
    result = done(host, talking_head(speech, prefix=f"video/{preset}", widgets={"finish": preset}))
    file = file_of(host, result)
    footage = open_footage(file)
    assert footage.height == height
    assert footage.frames == sum(1 for _ in frames(plain))
    assert footage.audio_tracks == 1
    assert len(list(shots(footage))) == footage.frames
    assert not unfinished(host), "nothing is left behind"


def unfinished(host):
    return list((host.base / "user" / "sonic_guard" / "finish").glob("?" * 16))


def test_work_that_a_sweep_has_marked_is_finished_and_cleared_away(host):
    """A run that was stopped while it was finished, and goes on after more than two weeks."""

    def mark():
        until = time.monotonic() + 60
        while not (folders := unfinished(host)) and time.monotonic() < until:
            time.sleep(0.01)
        (folders[0] / "unused").touch()

    speech = voice(host.base / "input" / "marked speech.wav", 1.6)
    with ThreadPoolExecutor(1) as pool:
        marked = pool.submit(mark)
        done(host, talking_head(speech, prefix="video/marked", widgets={"finish": "fast"}))
        marked.result()
    assert not unfinished(host)
