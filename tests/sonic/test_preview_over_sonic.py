"""Before the run: what is foreseen is what Low VRAM and Long Video do with the wrapper's own model."""

import importlib
import re
import sys
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_guard.comfy.api_graph import parse_graph
from sonic_guard.errors import SonicGuardError
from sonic_guard.job import LATENT_FPS
from sonic_guard.optimizations import ESCALATION_ORDER
from sonic_guard.preview.evaluation import evaluate
from sonic_guard.preview.node_inputs import OffloadedDtype
from tests.support import small_sonic
from tests.support.graph_runs import SPEECH_S, plan, switched, write_speech_files
from tests.support.graphs import (
    long_video,
    low_vram,
    low_vram_trio,
    machine,
    sources,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_speech_files(tmp_path_factory.mktemp("input"))


@pytest.fixture
def here(folder):
    return machine(folder)


@pytest.mark.parametrize(
    ("switches", "card", "size"),
    [
        ({}, "24 GiB", 512),
        ({}, "8 GiB", 512),
        ({}, "8 GiB", 768),
        ({}, "6 GiB", 1024),
        ({}, "3 GiB", 1024),
        (switched(), "6 GiB", 1024),
        (switched(sequential_cfg="on", layer_chunking="on"), "24 GiB", 512),
        (switched(sequential_cfg="auto", fp8_weights="auto"), "6 GiB", 768),
        ({"optimizations": "streaming_decode+sequential_cfg"}, "24 GiB", 512),
        ({"optimizations": "streaming_decode+sequential_cfg", "sequential_cfg": "off"}, "24 GiB", 512),
        ({"reserve": 0.4}, "12 GiB", 768),
    ],
)
def test_it_enables_the_optimizations_that_the_node_itself_will_enable(switches, card, size, nodes, pack, sonic, here):
    widgets = low_vram(target_card=card, **switches)["10"]["inputs"]
    foreseen = plan(sources() | low_vram(**widgets) | low_vram_trio(min_resolution=size), "7", here)
    model = nodes["SonicGuardLowVRAM"].execute(**widgets | {"model": sonic}).args[0]
    job = importlib.import_module(f"{pack.__name__}.sonic_guard.job").Job(512, 512, 7.3, min_resolution=size)
    assert foreseen.job.optimizations == model.optimizations_for(job)
    assert foreseen.job.chunk_size == model.optimized_job(job).chunk_size
    assert foreseen.budget.card == card


def real_model(pack, monkeypatch, model, switches=None):
    """Long Video's model with its optimizations, on a machine with an RTX 4060."""
    module, host = (
        importlib.import_module(f"{pack.__name__}.nodes.comfyui.{name}") for name in ("long_video_inputs", "host")
    )
    budget = importlib.import_module(f"{pack.__name__}.sonic_guard.devices.budget").budget_for

    def card(target, reserve, held_bytes=0):
        return budget("RTX 4060" if target == "auto" else target, reserve=reserve)

    monkeypatch.setattr(host, "budget", card)
    if switches is not None:
        low = importlib.import_module(f"{pack.__name__}.nodes.low_vram_node").LowVRAM
        widgets = low_vram(**switches)["10"]["inputs"]
        model = low.execute(**widgets | {"model": model}).args[0]
    return module, module.low_vram_model(model)


@pytest.mark.parametrize(
    ("size", "dtype", "switches"),
    [
        (512, "fp16", None),
        (768, "fp16", None),
        (768, "fp16", {}),
        (1024, "fp32", None),
        (2048, "fp32", None),
        (768, "fp16", {"tensor_offload": "off", "reserve": 0.3}),
        (512, "fp16", switched(sequential_cfg="on")),
        (512, "fp16", switched(fp8_weights="auto")),
        (640, "fp16", switched(layer_chunking="on")),
    ],
)
def test_long_video_is_cut_as_the_node_itself_will_cut_it(size, dtype, switches, pack, monkeypatch, sonic, here):
    model = {} if switches is None else {"model": ["10", 0]}
    graph = sources(audio="speech.wav") | long_video(min_resolution=size, **model) | low_vram(**switches or {})
    graph["5"]["inputs"]["dtype"] = dtype
    foreseen = plan(graph, "11", here)
    module, optimized = real_model(pack, monkeypatch, sonic, switches)
    monkeypatch.setattr(module, "model_dtype", lambda model: dtype)
    made = planned(pack, module, video_inputs(module, optimized, torch.zeros(1, 1, round(SPEECH_S * 8000)), 0.0, size))
    frames = max(part.latent_frames for part in made.parts)
    assert (foreseen.parts, foreseen.job.latent_frames) == (len(made.parts), frames)
    longest = replace(made.whole, duration_s=made.part.duration_s)
    assert asdict(foreseen.job) == asdict(made.part) == asdict(optimized.optimized_job(longest))


def video_inputs(module, model, waveform, part_s, size=512):
    """The inputs of Long Video with a sound at 8 kHz, the others as they stand."""
    clip, vae = SimpleNamespace(model=None), SimpleNamespace(first_stage_model=None)
    sound = module.media_audio.from_dict({"waveform": waveform, "sample_rate": 8000})
    return module.VideoInputs(model, clip, vae, sound, torch.zeros(1, 512, 512, 3), size, 25, 1.0, 25.0, 0, part_s)


def planned(pack, module, inputs):
    """What Long Video plans with its inputs, but for where the voice pauses."""
    operation = importlib.import_module(f"{pack.__name__}.sonic_guard.operations.long_video_plan")
    return operation.plan_long_video(replace(module.plan_request(inputs), pause=operation.middle))


@pytest.mark.parametrize(("part_s", "parts"), [(0.0, 3), (30.0, 9), (50.0, 5), (1000.0, 3)])
def test_no_part_is_longer_than_a_wav_can_be(part_s, parts, pack, monkeypatch):
    """SONIC_PreData writes one; here it would be full after 90 s."""
    module, optimized = real_model(pack, monkeypatch, small_sonic.build(torch.float16))
    monkeypatch.setattr(sys.modules[module.longest_sound_s.__module__], "WAV_BYTES", 90 * 2 * 8000 * 4)
    made = planned(pack, module, video_inputs(module, optimized, torch.zeros(1, 2, round(SPEECH_S * 8000)), part_s))
    assert len(made.parts) == parts
    assert max(part.latent_frames for part in made.parts) <= LATENT_FPS * min(90, part_s or 90)


SWITCHES = {optimization: st.sampled_from(["auto", "on", "off"]) for optimization in ESCALATION_ORDER}
SWITCHES["unet_offload"] = st.sampled_from(["on", "off"])
CHOICES = {
    "target_card": st.sampled_from(["6 GiB", "8 GiB", "24 GiB", "RTX 9999"]),
    "reserve": st.sampled_from([0.0, 0.1, 0.4]),
    "optimizations": st.sampled_from(["", "sequential_cfg+layer_chunking", "turbo"]),
}


def test_any_switches_of_low_vram_are_read_as_the_node_reads_them(nodes, pack, sonic, here):
    error = importlib.import_module(f"{pack.__name__}.sonic_guard.errors").SonicGuardError

    @settings(max_examples=60, deadline=None)
    @given(st.fixed_dictionaries(SWITCHES | CHOICES))
    def holds(widgets):
        graph = sources() | {"5": long_video()["5"]} | low_vram(**widgets)
        try:
            model, dtype, _ = evaluate(parse_graph(graph), "10", here).outcome.outputs
        except SonicGuardError as refusal:
            with pytest.raises(error, match=re.escape(str(refusal))):
                nodes["SonicGuardLowVRAM"].execute(**graph["10"]["inputs"] | {"model": sonic})
            return
        made = nodes["SonicGuardLowVRAM"].execute(**graph["10"]["inputs"] | {"model": sonic}).args[0]
        assert asdict(model.low_vram) == asdict(made.choice)
        assert isinstance(dtype, OffloadedDtype) is (widgets["unet_offload"] == "on")

    holds()


def test_any_long_video_is_planned_as_the_node_plans_it(pack, sonic, here):
    error = importlib.import_module(f"{pack.__name__}.sonic_guard.errors").SonicGuardError
    silence = torch.zeros(1, 1, round(SPEECH_S * 8000))
    run = {
        "min_resolution": st.sampled_from([128, 512, 768, 1024, 2048]),
        "inference_steps": st.sampled_from([1, 25]),
        "dynamic_scale": st.sampled_from([0.5, 1.0]),
        "fps": st.sampled_from([5.0, 12.5, 25.0, 50.0]),
        "part_s": st.sampled_from([0.0, 0.0, 5.0, 40.0, 100.0, 1e6, -1.0]),
    }

    @settings(max_examples=40, deadline=None)
    @given(st.fixed_dictionaries(run), st.fixed_dictionaries(SWITCHES), st.sampled_from(["fp16", "fp32"]))
    def holds(run, switches, dtype):
        graph = sources(audio="speech.wav") | long_video(model=["10", 0], **run) | low_vram(**switches)
        graph["5"]["inputs"]["dtype"] = dtype
        with pytest.MonkeyPatch.context() as patch:
            module, model = real_model(pack, patch, sonic, switches)
            patch.setattr(module, "model_dtype", lambda model: dtype)
            inputs = replace(video_inputs(module, model, silence, 0.0), **run)
            try:
                found = plan(graph, "11", here)
            except SonicGuardError as refusal:
                with pytest.raises(error, match=re.escape(str(refusal))):
                    planned(pack, module, inputs)
                return
            made = planned(pack, module, inputs)
        assert (asdict(found.job), found.parts) == (asdict(made.part), len(made.parts))

    holds()
