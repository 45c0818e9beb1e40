"""The line on Upscale Video and Finish Video before they run: the plan of the run itself, without running it."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from sonic_guard.comfy.api_graph import parse_graph
from sonic_guard.errors import FinishError
from sonic_guard.finishing.output_size import OutputSize
from sonic_guard.finishing.upscale.network import load_network
from sonic_guard.finishing.upscale.upscale_video import Upscale
from sonic_guard.media.video_writer import VideoWriter
from sonic_guard.messages.upscale_messages import verdict_line
from sonic_guard.preview.evaluation import evaluate
from sonic_guard.preview.node_inputs import Picture
from sonic_guard.preview.upscaling import Upscaling, upscale_answer
from tests.support.graphs import machine, node
from tests.support.upscale_networks import real_esrgan, spandrel

WIDTH, HEIGHT, FRAMES = 96, 64, 3


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An input folder with a video, and an upscale model."""
    spandrel()
    folder = tmp_path_factory.mktemp("home")
    save_file(real_esrgan(), folder / "esrgan.safetensors")
    with VideoWriter(folder / "talk.mp4", Fraction(25)) as writer:
        for _ in range(FRAMES):
            writer.write(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))
    return folder


def graph(kind: str, *, between: str = "", model: str = "esrgan.safetensors", **settings: object) -> dict:
    steps = {"1": node("LoadVideo", file="talk.mp4"), "2": node("UpscaleModelLoader", model_name=model)}
    if between:
        steps["3"] = node(between, video=["1", 0])
    video = ["3" if between else "1", 0]
    return steps | {"4": node(kind, video=video, upscale_model=["2", 0], **settings)}


def answer(home: Path, steps: dict, lang: str = "en") -> dict:
    here = replace(machine(home), upscale_model=lambda name: home / name if (home / name).is_file() else None)
    outcome = evaluate(parse_graph(steps), "4", here).outcome
    return upscale_answer(outcome.outputs[0], here, lang)


@pytest.mark.parametrize("between", ["", "SonicGuardSmooth", "SonicGuardInterpolate", "SonicGuardLipSync"])
def test_it_is_the_plan_of_the_run(home: Path, between: str) -> None:
    told = answer(home, graph("SonicGuardUpscaleVideo", between=between, size="4x", device="cpu", tile=0))
    plan = Upscale(load_network(home / "esrgan.safetensors"), OutputSize(factor=4), "cpu").plan(WIDTH, HEIGHT)
    assert told["level"] == "ok"
    assert told["verdict_text"] == f"Fits: about {plan.predicted_bytes / (1 << 20):.0f} MiB on cpu"
    assert "(×4) on cpu in fp32: whole frames" in told["details"]


def test_finish_video_enlarges_to_its_preset(home: Path) -> None:
    assert answer(home, graph("SonicGuardFinishVideo", preset="hd", height=0))["verdict_text"].startswith("Fits: about")
    assert answer(home, graph("SonicGuardFinishVideo", preset="fast"))["verdict_text"] == "No upscale model runs"
    assert answer(home, graph("SonicGuardFinishVideo", preset="hd"), "zh")["verdict_text"].startswith("可以运行")


def asked(home: Path, steps: dict) -> Upscaling:
    return evaluate(parse_graph(steps), "4", machine(home)).outcome.outputs[0]


def test_the_frames_are_those_of_the_file(home: Path) -> None:
    kind = "SonicGuardUpscaleVideo"
    assert asked(home, graph(kind)).frames == FRAMES
    assert asked(home, graph(kind, between="SonicGuardSmooth")).frames == FRAMES
    doubled = graph(kind, between="SonicGuardInterpolate")
    assert asked(home, doubled).frames == 2 * FRAMES
    doubled["4"]["inputs"]["video"] = ["3", 1]  # its pictures
    assert asked(home, doubled)[:2] == (Picture(WIDTH, HEIGHT), 2 * FRAMES)
    images = {"1": node("LoadImage", image="other.png"), "5": node("CreateVideo", images=["1", 0], fps=25)}
    Image.new("RGB", (8, 6)).save(home / "other.png")
    steps = graph(kind) | images
    steps["4"]["inputs"]["video"] = ["5", 0]
    assert asked(home, steps)[:2] == (Picture(8, 6, "other.png"), None)


def test_the_time_is_that_of_all_frames(home: Path) -> None:
    """Where the speed of the device is known: on a card of the catalogue."""
    step = Upscale(load_network(home / "esrgan.safetensors"), OutputSize(factor=4), "cpu")
    plan = replace(step.plan(WIDTH, HEIGHT), device="cuda:0", frame_s=0.5)
    assert verdict_line(plan).endswith("on cuda:0, 0.5 s a frame")
    assert verdict_line(plan, frames=1500).endswith("on cuda:0, about 12:30 in all")
    assert verdict_line(plan, frames=1).endswith("about 0:01 in all")
    assert verdict_line(plan, "zh", 1500).endswith("共约 12:30")


def test_what_the_graph_does_not_tell_is_not_guessed(home: Path) -> None:
    steps = graph("SonicGuardUpscaleVideo", size="2x", device="cpu") | {"1": node("MadeUpVideo")}
    told = answer(home, steps)
    assert (told["level"], told["details"]) == ("unknown", "")


def test_a_model_that_is_not_there(home: Path) -> None:
    with pytest.raises(FinishError, match=r"'other\.pth' is not in models/upscale_models\. Put it there"):
        answer(home, graph("SonicGuardUpscaleVideo", model="other.pth"))


def test_another_file_of_that_name_is_read_again(home: Path) -> None:
    first = answer(home, graph("SonicGuardUpscaleVideo", device="cpu", size="4x"))
    path = home / "esrgan.safetensors"
    kept = path.read_bytes()
    try:
        path.write_bytes(b"no model")
        with pytest.raises(FinishError, match="cannot be read as an upscale model"):
            answer(home, graph("SonicGuardUpscaleVideo", device="cpu", size="4x"))
    finally:
        path.write_bytes(kept)
    assert answer(home, graph("SonicGuardUpscaleVideo", device="cpu", size="4x")) == first
