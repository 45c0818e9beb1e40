"""Sonic Low VRAM in a real ComfyUI, with the wrapper's own sampler over small networks."""

import numpy as np
import pytest

from sonic_guard.history.run_record import Outcome
from sonic_guard.optimizations import DEFAULTS, EVERY, Optimization, Setting, without_redundant
from tests.support.comfyui_server import error_of
from tests.support.graphs import PLANNING, node
from tests.support.watched_runs import low_vram, pixels, runs, small, voice, watched

pytest.importorskip("aiohttp")


def sampler(model, seed=1, data=("small", 1)):
    return node(
        "SONICSampler", model=model, data_dict=list(data), seed=seed, inference_steps=2, dynamic_scale=1.0, fps=5.0
    )


def test_low_vram_gives_the_stock_frames_through_the_wrapper_s_own_sampler(host):
    result = host.run(
        {
            "small": small(),
            "stock": sampler(["small", 0]),
            "low": low_vram(mode="least_memory"),
            "optimized": sampler(["low", 0]),
            "a": node("PreviewImage", images=["stock", 0]),
            "b": node("PreviewImage", images=["optimized", 0]),
        }
    )
    assert result["status"]["status_str"] == "success", result["status"]
    stock, optimized = pixels(host, result, "a"), pixels(host, result, "b")
    assert stock.shape == optimized.shape == (11, 64, 64, 3)
    assert np.abs(stock - optimized).max() <= 1
    assert {frozenset(run.job.optimizations) for run in runs(host, 2)} == {
        frozenset(),
        without_redundant(EVERY),
    }


def test_a_switch_runs_neither_the_loader_nor_predata_again(host):
    sound = voice(host.base / "input" / "switch.wav", 1.0)

    def graph(switch):
        return {
            "small": small(),
            "picture": node("LoadImage", image="portrait.png"),
            "voice": node("LoadAudio", audio=sound),
            "data": node(
                "SONIC_PreData", clip_vision=["small", 2], vae=["small", 3], audio=["voice", 0], image=["picture", 0],
                weight_dtype=["small", 4], min_resolution=128, duration=1.0, expand_ratio=0.5,
            ),
            "low": low_vram(sequential_cfg=switch),
            "frames": sampler(["low", 0], data=("data", 0)),
            "shown": node("PreviewImage", images=["frames", 0]),
        }  # fmt: skip

    cached = []
    for switch in ("off", "on"):
        result = host.run(graph(switch))
        assert result["status"]["status_str"] == "success", result["status"]
        cached += [set(data["nodes"]) for name, data in result["status"]["messages"] if name == "execution_cached"]
    assert cached[-1] == {"small", "picture", "voice", "data"}
    off, on = sorted((set(run.job.optimizations) for run in runs(host, 2)), key=len)
    assert (Optimization.SEQUENTIAL_CFG in off, Optimization.SEQUENTIAL_CFG in on) == (False, True)


def test_low_vram_passes_an_unknown_model_on_unchanged(host):
    """Another node's output of the same type, as a fork of the wrapper may have it."""
    result = host.run(
        {
            "unknown": node("UnknownSonic"),
            "low": low_vram(("unknown", 0), mode="least_memory"),
            "report_text": node("PreviewAny", source=["low", 1]),
        }
    )
    assert result["status"]["status_str"] == "success", result["status"]
    assert "The model is passed on unchanged." in result["outputs"]["report_text"]["text"][0]


@pytest.mark.parametrize(
    ("inputs", "enabled", "line"),
    [
        ({"mode": "off"}, set(), "No optimization is enabled from the start."),
        ({"mode": "off", "sequential_cfg": "on"}, {"sequential_cfg"}, "Enabled: sequential_cfg"),
        ({"mode": "auto"}, {"unet_offload"}, "Enabled: unet_offload"),
        (
            {"mode": "auto", "unet_offload": "off", "layer_chunking": "on"},
            {"layer_chunking"},
            "Enabled: layer_chunking",
        ),
    ],
)
def test_the_mode_sets_all_optimizations_and_a_switch_one(host, inputs, enabled, line):
    """There is memory enough here: what is on auto is not enabled."""
    result = host.run(
        {
            "small": small(),
            "low": low_vram(**inputs),
            "optimized": sampler(["low", 0]),
            "frames": node("PreviewImage", images=["optimized", 0]),
            "report_text": node("PreviewAny", source=["low", 1]),
        }
    )
    assert result["status"]["status_str"] == "success", result["status"]
    assert result["outputs"]["report_text"]["text"][0].startswith(line)
    (run,) = runs(host, 1)
    assert (run.outcome, set(run.job.optimizations)) == (Outcome.DONE, enabled)


@pytest.mark.parametrize(("name", "value"), [("mode", "turbo"), ("sequential_cfg", "perhaps")])
def test_a_setting_that_does_not_exist_is_refused(host, name, value):
    status, answer = host.queue(
        {"small": small(), "low": low_vram(**{name: value}), "seen": node("PreviewAny", source=["low", 1])}
    )
    if status == 200:  # ComfyUI 0.3.64 leaves the value of a combo to the node
        assert repr(value) in error_of(host.wait(answer["prompt_id"]))["exception_message"]
    else:
        (error,) = answer["node_errors"]["low"]["errors"]
        assert error["extra_info"]["input_name"] == name


def test_the_plan_of_preflight_enables_what_it_plans_for_its_card(host):
    """One link: a small card needs optimizations that the small networks here would not."""
    sound = voice(host.base / "input" / "low vram.wav", 2.0)
    graph = {
        "small": small(),
        "picture": node("LoadImage", image="portrait.png"),
        "voice": node("LoadAudio", audio=sound),
        "plan": node(
            "SonicGuardPreflight", image=["picture", 0], audio=["voice", 0],
            **PLANNING | {"target_card": "6 GiB", "min_resolution": 1024}, language="en",
        ),
        "low": low_vram(plan=["plan", 0]),
        "optimized": sampler(["low", 0]),
        "frames": node("PreviewImage", images=["optimized", 0]),
        "report_text": node("PreviewAny", source=["low", 1]),
    }  # fmt: skip
    result = host.run(graph)
    assert result["status"]["status_str"] == "success", result["status"]
    (run,) = runs(host, 1)
    needed = {each for each, setting in DEFAULTS.items() if setting is Setting.AUTO} & set(run.job.optimizations)
    assert needed, "more than is enabled in any case"
    assert all(str(each) in result["outputs"]["report_text"]["text"][0] for each in needed)


def test_out_of_memory_is_survived_in_the_wrapper_s_own_sampler(host):
    graph = {
        "small": small(fail="denoise", times=2, seed=1),
        "low": low_vram(),
        "optimized": sampler(["low", 0]),
        "save": node("PreviewImage", images=["optimized", 0]),
    }
    seen = watched(host, graph)
    assert seen.ended == "execution_success"
    assert seen.runs[-1]["step"] == seen.runs[-1]["steps"] == 2
    assert "it begins again with streaming_decode" in host.log_text()
    assert "it begins again with tensor_offload" in host.log_text()
