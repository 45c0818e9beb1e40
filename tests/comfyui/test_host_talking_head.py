"""Sonic Talking Head in a real ComfyUI: one node from a portrait and a voice to a file, with the wrapper's own sampler.

Its networks are small (`tests/support/hostpack`).
"""

import re

import av
import numpy as np
import pytest

from sonic_guard.comfy.talking_head_prompt import PART, AskedPart
from sonic_guard.history.run_record import Outcome
from sonic_guard.job import latent_frames
from sonic_guard.long_video.part_bundle import join_bundles
from sonic_guard.long_video.rendering import FallbackEnabled
from sonic_guard.media.audio_file import load
from sonic_guard.media.video_file import frames
from sonic_guard.media.video_writer import Encoding
from sonic_guard.messages.catalogue import LANGUAGES
from sonic_guard.messages.run_messages import event_text
from sonic_guard.operations.talking_head import PREVIEW_STEPS
from sonic_guard.optimizations import EVERY, Optimization, without_redundant
from sonic_guard.planning.selection import STREAMED
from tests.support.comfyui_server import error_of
from tests.support.graphs import RATE, node
from tests.support.watched_runs import file_of, runs, talking_head, voice, watched

pytest.importorskip("aiohttp")

SHORT_S, LONG_S, PART_S = 1.6, 24.0, 16.0
"""The long sound takes three parts."""
SHORT, LONG = int(SHORT_S * 12.5), int(LONG_S * 12.5)
"""Their latent frames."""


@pytest.fixture(scope="module")
def voices(host):
    """Voices that pause in their middle, by their seconds."""
    return {
        seconds: voice(host.base / "input" / f"speech of {seconds:g} s.wav", seconds) for seconds in (SHORT_S, LONG_S)
    }


def report_of(result):
    assert result["status"]["status_str"] == "success", result["status"]
    return result["outputs"]["report_text"]["text"][0]


def new_runs(host, before):
    return [run for run in runs(host) if run.id not in before]


# ---- what it makes


def test_a_portrait_and_a_voice_make_a_file_that_plays(host, voices):
    result = host.run(talking_head(voices[SHORT_S], prefix="video/one"))
    file = file_of(host, result)
    assert sum(1 for _ in frames(file)) == 2 * SHORT - 1
    with av.open(str(file)) as container:
        sound = sum(frame.samples for frame in container.decode(audio=0)) / RATE
        assert container.streams.video[0].average_rate == 25
    assert sound == pytest.approx((2 * SHORT - 1) / 25, abs=0.1)  # AAC counts in blocks
    assert "Made in one pass." in report_of(result)
    assert len(result["outputs"]["seen"]["images"]) > 1
    newest = runs(host, 1)[0]
    assert (newest.outcome, newest.job.latent_frames) == (Outcome.DONE, SHORT)
    assert Optimization.STREAMING_DECODE in newest.job.optimizations


@pytest.mark.parametrize(
    "wishes",
    [
        {"aspect": "1:1", "margin": 0.5},
        {"seconds": 1.0, "cut_silence": True, "inference_steps": 2, "dynamic_scale": 1.4},
        {"target_card": "8 GiB", "preset": "hd", "preview_s": 1.0},
    ],
    ids=["crop", "sound and steps", "card"],
)
def test_a_plan_of_preflight_makes_the_same_file_as_the_same_wishes_here(host, voices, wishes):
    own, linked = (
        host.run(talking_head(voices[SHORT_S], prefix="video/same", widgets=wishes, link_plan=link, seed=31))
        for link in (False, True)
    )
    assert report_of(own).splitlines()[1:] == report_of(linked).splitlines()[1:], "all but the name of the file"
    first, second = (list(frames(file_of(host, result))) for result in (own, linked))
    assert len(first) == len(second) > 1
    assert all((one == other).all() for one, other in zip(first, second, strict=True))
    one, other = (sound_of(file_of(host, result)) for result in (own, linked))
    assert (one == other).all()


def sound_of(file):
    with av.open(str(file)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def test_a_preview_has_the_first_seconds_in_few_steps_at_the_final_size(host, voices):
    widgets = {"min_resolution": 128, "inference_steps": PREVIEW_STEPS + 2, "preview_s": SHORT_S}
    result = host.run(talking_head(voices[LONG_S], prefix="video/preview", widgets=widgets, seed=32))
    assert sum(1 for _ in frames(file_of(host, result))) == 2 * SHORT - 1
    (run,) = runs(host, 1)
    assert (run.job.steps, run.job.latent_frames) == (PREVIEW_STEPS, SHORT)
    assert min(run.job.frame_size.width, run.job.frame_size.height) == 128
    report = report_of(result)
    assert f"A preview in {PREVIEW_STEPS} steps. Set preview_s to 0 for the whole video of " in report
    assert f"{(2 * LONG - 1) / 25:.1f} s" in report


def test_overrides_replace_what_the_preset_says(host, voices):
    """The preset has 384 px, 15 steps and all of the sound."""
    widgets = {"min_resolution": 192, "inference_steps": 2, "seconds": 1.0, "dynamic_scale": 1.5}
    result = host.run(talking_head(voices[SHORT_S], prefix="video/overrides", widgets=widgets, seed=33))
    assert sum(1 for _ in frames(file_of(host, result))) == 2 * 12 - 1
    (job,) = (run.job for run in runs(host, 1))
    assert (job.latent_frames, job.steps, job.dynamic_scale) == (12, 2, 1.5)
    assert min(job.frame_size.width, job.frame_size.height) == 192


@pytest.mark.parametrize("low_vram", [False, True], ids=["its own mode", "of Low VRAM"])
@pytest.mark.parametrize(
    ("mode", "enabled"),
    [("off", STREAMED), ("auto", STREAMED), ("least_memory", without_redundant(EVERY))],
)
def test_the_mode_decides_which_optimizations_are_enabled(host, voices, mode, enabled, low_vram):
    """What the file needs is enabled in any case."""
    graph = talking_head(voices[SHORT_S], prefix="video/mode", widgets={"mode": "auto" if low_vram else mode}, seed=34)
    if low_vram:
        switches = dict.fromkeys(map(str, Optimization), "mode")
        graph["low"] = node(
            "SonicGuardLowVRAM", model=["small", 0], mode=mode, **switches, target_card="80 GiB", reserve=0.1,
            language="en",
        )  # fmt: skip
        graph["head"]["inputs"]["model"] = ["low", 0]
    file_of(host, host.run(graph))
    (run,) = runs(host, 1)
    assert run.job.optimizations == enabled


# ---- what it refuses before the models are loaded


REFUSED = [
    pytest.param({"part_s": 1.0}, "part", id="parts too short"),
    pytest.param({"target_card": "1.5 GiB", "min_resolution": 1024}, "No change of settings makes it fit", id="card"),
    pytest.param({"on_risk": "stop", "target_card": "4 GiB", "min_resolution": 2048}, "Will run out", id="stop"),
    pytest.param({"filename_prefix": "../../x"}, "filename_prefix: '../../x' names no file", id="file"),
    pytest.param({"face_index": 3}, "face number 3 does not exist", id="no such face"),
    pytest.param({"target_card": "4 GiB", "min_resolution": 2048, "mode": "off", "on_risk": "stop"}, "", id="mode"),
]


@pytest.mark.parametrize("link_plan", [False, True], ids=["alone", "with a plan"])
@pytest.mark.parametrize(("widgets", "message"), REFUSED)
def test_what_cannot_run_is_refused_before_the_models_are_loaded(host, voices, widgets, message, link_plan):
    before = {run.id for run in runs(host)}
    graph = talking_head(voices[LONG_S], prefix="video/no", widgets=widgets, link_plan=link_plan, seed=35)
    error = error_of(host.run(graph))
    assert message in error["exception_message"]
    assert "small" not in error["executed"], "the loader has not run"
    assert new_runs(host, before) == [], "a run that has not begun is not in the history"


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        (("image", "audio"), "image and audio: nothing is connected. Connect a portrait and a voice, or a plan."),
        (("image",), "image: nothing is connected. Connect a portrait and a voice, or a plan."),
        (("audio",), "audio: nothing is connected. Connect a portrait and a voice, or a plan."),
    ],
    ids=["neither", "no image", "no audio"],
)
def test_a_node_without_picture_or_sound_is_refused_before_the_models_are_loaded(host, voices, absent, message):
    graph = talking_head(voices[SHORT_S], seed=36)
    for name in absent:
        del graph["head"]["inputs"][name]
    error = error_of(host.run(graph))
    assert error["exception_message"].strip().endswith(message)
    assert "small" not in error["executed"], "the loader has not run"


def test_an_unknown_card_is_refused_when_it_is_queued(host, voices):
    status, answer = host.queue(talking_head(voices[SHORT_S], widgets={"target_card": "RTX 9999"}))
    assert (status, "RTX 9999" in str(answer)) == (400, True)


# ---- parts, and what happens on the way


def test_a_video_in_parts_resumes_where_it_was_stopped(host, voices):
    """Cancelled in its second part; then run again."""
    graph = talking_head(voices[LONG_S], prefix="video/parts", widgets={"part_s": PART_S}, interpolate=False)
    before = {run.id for run in runs(host)}
    seen = watched(host, graph, interrupt_at=0, stop_when=lambda run: len(done(host, before)) == 1)
    assert seen.ended == "execution_interrupted"
    assert [run.outcome for run in new_runs(host, before)][:2] == [Outcome.INTERRUPTED, Outcome.DONE]
    assert seen.runs[-1]["nodes"] == {"SonicGuardTalkingHead": "head"}
    result = host.run(graph)
    report = report_of(result)
    assert "Made in 3 parts" in report
    assert "1 of them was finished by an earlier run." in report
    assert sum(1 for _ in frames(file_of(host, result))) == LONG
    assert not list((host.base / "user" / "sonic_guard" / "long").glob("*/*.mp4")), "what is finished is cleared away"


def done(host, before):
    return [run for run in new_runs(host, before) if run.outcome is Outcome.DONE]


def part_of_long(host, voices, asked):
    """A run that makes one part alone, as a farm asks for it."""
    prefix = f"farm/{'-'.join(map(str, asked))}"  # ComfyUI would answer with what it remembers of the same graph
    graph = talking_head(voices[LONG_S], prefix=prefix, widgets={"part_s": PART_S}, interpolate=False, seed=41)
    del graph["report_text"], graph["seen"]
    return host.run(graph, asked.beside())


def test_parts_that_are_made_alone_are_joined_to_the_same_video(host, voices, tmp_path):
    """As a farm has them made on several cards: the last one first."""
    graph = talking_head(voices[LONG_S], prefix="video/whole", widgets={"part_s": PART_S}, interpolate=False, seed=41)
    whole = file_of(host, host.run(graph))
    bundles = []
    for index in (2, 1, 0):
        result = part_of_long(host, voices, AskedPart(index, 3, latent_frames(PART_S)))
        assert result["status"]["status_str"] == "success", result["status"]
        [shown] = result["outputs"]["head"][PART]
        bundles.insert(0, host.base / "output" / shown["subfolder"] / shown["filename"])
    sound = load(host.base / "input" / voices[LONG_S])
    joined = tmp_path / "joined.mp4"
    join_bundles(bundles, sound, Encoding(preset="ultrafast"), joined, tmp_path / "work")
    assert joined.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("asked", [(0, 2, 200), (0, 3, 199), (3, 3, 200), (-1, 3, 200)])
def test_a_part_of_a_video_that_is_cut_otherwise_is_refused(host, voices, asked):
    error = error_of(part_of_long(host, voices, AskedPart(*asked)))
    assert error["exception_type"].endswith("PartError")
    assert "this server would now make the video in 3 parts" in error["exception_message"]


def test_a_resumed_run_has_the_seconds_of_its_denoising_in_the_history(host, voices):
    """At the pace of the steps that were run: cancelled after half of them, then run again."""
    graph = talking_head(
        voices[SHORT_S], prefix="video/resumed", widgets={"inference_steps": 6}, interpolate=False, call_s=0.3, seed=37
    )
    assert watched(host, graph, interrupt_at=3).ended == "execution_interrupted"
    seen = watched(host, graph)
    assert seen.ended == "execution_success"
    assert next(run["step"] for run in seen.runs if run["step"]) >= 2, "completed steps are skipped"
    assert seen.row.outcome is Outcome.DONE
    assert seen.row.stages["denoise"].seconds > 6 * 0.3


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_node_reports_how_far_it_is(host, voices, language):
    """A bar, lines of text and pictures, and what happens on the way: here memory runs out."""
    graph = talking_head(
        voices[SHORT_S], prefix="video/fallback", widgets={"inference_steps": 8, "language": language}, fail="decode",
        times=1, seed=LANGUAGES.index(language) + 7, interpolate=False, call_s=0.2, decode_s=1.2,
    )  # fmt: skip
    seen = watched(host, graph, node="head")
    assert seen.ended == "execution_success"
    assert seen.bar[-1] == 1000
    assert seen.bar == sorted(seen.bar), "no step is made again"
    assert len(set(seen.bar)) > 8
    assert 0 < seen.pictures < len(seen.bar)
    lines = [line for _, line in seen.report_text]
    assert event_text(FallbackEnabled(0, "tensor_offload", ""), language) in lines
    left = {"en": r"\d+% · about \d:\d\d left", "zh": r"\d+% · 约剩 \d:\d\d"}[language]
    assert any(re.fullmatch(left, line) for line in lines), lines


def test_it_survives_out_of_memory(host, voices):
    result = host.run(
        talking_head(voices[SHORT_S], prefix="video/oom", fail="decode", times=1, seed=5, interpolate=False)
    )
    assert "Memory ran out during the run; enabled as a fallback: tensor_offload." in report_of(result)
    assert [run.outcome for run in runs(host, 2)] == [Outcome.DONE, Outcome.OUT_OF_MEMORY]


def test_a_video_that_cannot_be_made_reports_what_would_help(host, voices):
    error = error_of(
        host.run(talking_head(voices[SHORT_S], prefix="video/no", fail="denoise", seed=6, interpolate=False))
    )
    assert "with every memory optimization enabled" in error["exception_message"]
    assert "lower min_resolution" in error["exception_message"]
