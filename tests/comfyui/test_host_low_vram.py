"""Sonic Low VRAM and Sonic Long Video in a real ComfyUI, with the wrapper's own sampler over small networks."""

import re

import av
import numpy as np
import pytest
from PIL import Image

from sonic_guard.history.run_record import Outcome
from sonic_guard.long_video.rendering import FallbackEnabled
from sonic_guard.media.video_file import frames
from sonic_guard.messages.catalogue import LANGUAGES
from sonic_guard.messages.run_messages import event_text
from sonic_guard.optimizations import EXACT, Optimization, without_redundant
from tests.support.watched_runs import RATE, file_of, long_video, node, runs, small, voice, watched

pytest.importorskip("aiohttp")

EVERY = {str(optimization): "on" for optimization in Optimization}
DEFAULTS = {"target_card": "auto", "reserve": 0.1, "language": "en"}
SHORT_S, LONG_S, PART_S = 2.0, 24.0, 16.0
"""The long sound takes three parts."""


def sampler(model, seed=1):
    return node(
        "SONICSampler", model=model, data_dict=["small", 1], seed=seed, inference_steps=2, dynamic_scale=1.0, fps=5.0
    )


def low_vram(**switches):
    return node("SonicGuardLowVRAM", model=["small", 0], **DEFAULTS, **EVERY | {"fp8_weights": "off"} | switches)


def pixels(host, result, node_id):
    files = result["outputs"][node_id]["images"]
    folder = host.base / "temp"
    return np.stack([np.asarray(Image.open(folder / file["subfolder"] / file["filename"])) for file in files]).astype(
        int
    )


def test_low_vram_gives_the_stock_frames_through_the_wrapper_s_own_sampler(host):
    result = host.run(
        {
            "small": small(),
            "stock": sampler(["small", 0]),
            "low": low_vram(),
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
        without_redundant(EXACT),
    }


def test_low_vram_passes_an_unknown_model_on_unchanged(host):
    """Another node's output of the same type, as a fork of the wrapper may have it."""
    result = host.run(
        {
            "unknown": node("UnknownSonic"),
            "low": node("SonicGuardLowVRAM", model=["unknown", 0], **DEFAULTS, **EVERY),
            "report_text": node("PreviewAny", source=["low", 2]),
        }
    )
    assert result["status"]["status_str"] == "success", result["status"]
    assert "The model is passed on unchanged." in result["outputs"]["report_text"]["text"][0]


def test_out_of_memory_is_survived_in_the_wrapper_s_own_sampler(host):
    auto = low_vram(**dict.fromkeys(map(str, Optimization), "auto") | {"unet_offload": "on", "fp8_weights": "off"})
    graph = {
        "small": small(fail="denoise", times=2, seed=1),
        "low": auto,
        "optimized": sampler(["low", 0]),
        "save": node("PreviewImage", images=["optimized", 0]),
    }
    seen = watched(host, graph)
    assert seen.ended == "execution_success"
    assert seen.runs[-1]["step"] == seen.runs[-1]["steps"] == 2
    assert "it begins again with streaming_decode" in host.log_text()
    assert "it begins again with tensor_offload" in host.log_text()


# Long Video


@pytest.fixture(scope="module")
def voices(host):
    """Voices that pause in their middle, by their seconds."""
    return {
        seconds: voice(host.base / "input" / f"speech of {seconds:g} s.wav", seconds) for seconds in (SHORT_S, LONG_S)
    }


def test_a_long_video_in_one_pass(host, voices):
    latents = int(SHORT_S * 12.5)
    result = host.run(long_video(voices[SHORT_S], prefix="video/one"))
    assert result["status"]["status_str"] == "success", result["status"]
    file = file_of(host, result)
    assert sum(1 for _ in frames(file)) == 2 * latents - 1
    with av.open(str(file)) as container:
        sound = sum(frame.samples for frame in container.decode(audio=0)) / RATE
        assert container.streams.video[0].average_rate == 25
    assert sound == pytest.approx((2 * latents - 1) / 25, abs=0.1)  # AAC counts in blocks
    assert "Made in one pass." in result["outputs"]["report_text"]["text"][0]
    assert len(result["outputs"]["seen"]["images"]) > 1
    newest = runs(host, 1)[0]
    assert (newest.outcome, newest.job.latent_frames) == (Outcome.DONE, latents)
    assert Optimization.STREAMING_DECODE in newest.job.optimizations


def test_a_long_video_in_parts_resumes_where_it_was_stopped(host, voices):
    """Cancelled in its second part; then run again."""
    latents = int(LONG_S * 12.5)
    graph = long_video(voices[LONG_S], prefix="video/parts", part_s=PART_S, interpolate=False)
    before = {run.id for run in runs(host)}
    seen = watched(host, graph, interrupt_at=0, stop_when=lambda run: len(done(host, before)) == 1)
    assert seen.ended == "execution_interrupted"
    assert [run.outcome for run in runs(host) if run.id not in before][:2] == [Outcome.INTERRUPTED, Outcome.DONE]
    assert seen.runs[-1]["nodes"] == {"SonicGuardLongVideo": "long"}
    result = host.run(graph)
    assert result["status"]["status_str"] == "success", result["status"]
    report = result["outputs"]["report_text"]["text"][0]
    assert "Made in 3 parts" in report
    assert "1 of them were finished by an earlier run." in report
    assert sum(1 for _ in frames(file_of(host, result))) == latents
    assert not list((host.base / "user" / "sonic_guard" / "long").glob("*/*.mp4")), "what is finished is cleared away"


def done(host, before):
    return [run for run in runs(host) if run.id not in before and run.outcome is Outcome.DONE]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_node_reports_how_far_a_long_video_is(host, voices, language):
    """A bar, lines of text and pictures, and what happens on the way: here memory runs out."""
    graph = long_video(
        voices[SHORT_S], prefix="video/fallback", fail="decode", times=1, seed=LANGUAGES.index(language) + 7,
        interpolate=False, call_s=0.2, decode_s=1.2, steps=8, language=language,
    )  # fmt: skip
    seen = watched(host, graph, node="long")
    assert seen.ended == "execution_success"
    assert seen.bar[-1] == 1000
    assert seen.bar == sorted(seen.bar), "no step is made again"
    assert len(set(seen.bar)) > 8
    assert 0 < seen.pictures < len(seen.bar)
    lines = [line for _, line in seen.report_text]
    assert event_text(FallbackEnabled(0, "tensor_offload", ""), language) in lines
    left = {"en": r"\d+% · about \d:\d\d left", "zh": r"\d+% · 约剩 \d:\d\d"}[language]
    assert any(re.fullmatch(left, line) for line in lines), lines


def test_a_long_video_survives_out_of_memory(host, voices):
    result = host.run(
        long_video(voices[SHORT_S], prefix="video/oom", fail="decode", times=1, seed=5, interpolate=False)
    )
    assert result["status"]["status_str"] == "success", result["status"]
    assert (
        "Memory ran out during the run; these fallback optimizations were enabled: tensor_offload."
        in result["outputs"]["report_text"]["text"][0]
    )
    assert [run.outcome for run in runs(host, 2)] == [Outcome.DONE, Outcome.OUT_OF_MEMORY]


def test_a_long_video_that_cannot_be_made_reports_what_would_help(host, voices):
    result = host.run(long_video(voices[SHORT_S], prefix="video/no", fail="denoise", seed=6, interpolate=False))
    assert result["status"]["status_str"] == "error"
    message = next(
        data["exception_message"] for name, data in result["status"]["messages"] if name == "execution_error"
    )
    assert "with every memory optimization enabled" in message
    assert "lower min_resolution" in message
