"""Before the run: what is foreseen is what Low VRAM and Long Video do with the wrapper's own model."""

import importlib
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from sonic_guard.job import LATENT_FPS, Dtype, Job
from sonic_guard.long_video.part_plan import plan_parts
from sonic_guard.planning.selection import STREAMED
from tests.support import small_sonic
from tests.support.graph_runs import SPEECH_S, plan, switched
from tests.support.graphs import (
    lean_trio,
    long_video,
    low_vram,
    machine,
    sources,
    write_files,
    write_wav,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_files(tmp_path_factory.mktemp("input"))
    write_wav(folder / "speech.wav", SPEECH_S)
    return folder


@pytest.fixture
def here(folder):
    return machine(folder)


@pytest.fixture(scope="module")
def sonic():
    """The wrapper's model."""
    return small_sonic.build()


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
def test_it_enables_the_optimizations_that_the_node_itself_will_enables(switches, card, size, nodes, pack, sonic, here):
    widgets = low_vram(target_card=card, **switches)["10"]["inputs"]
    foreseen = plan(sources() | low_vram(**widgets) | lean_trio(min_resolution=size), "7", here)
    model = nodes["SonicGuardLowVRAM"].execute(**widgets | {"model": sonic}).args[0]
    job = importlib.import_module(f"{pack.__name__}.sonic_guard.job").Job(512, 512, 7.3, min_resolution=size)
    assert foreseen.job.optimizations == model.optimizations_for(job)
    assert foreseen.job.chunk_size == model.optimized_job(job).chunk_size
    assert foreseen.budget.card == card


def real_model(pack, monkeypatch, model, switches=None):
    """The model as Long Video makes it lean, on a machine with an RTX 4060."""
    module, host = (
        importlib.import_module(f"{pack.__name__}.nodes.{name}") for name in ("long_video_node", "comfy.host")
    )
    budget = importlib.import_module(f"{pack.__name__}.sonic_guard.devices.budget").budget_for

    def card(target, reserve, held_bytes=0):
        return budget("RTX 4060" if target == "auto" else target, reserve=reserve)

    monkeypatch.setattr(host, "budget", card)
    if switches is not None:
        low = importlib.import_module(f"{pack.__name__}.nodes.low_vram_node").LowVRAM
        widgets = low_vram(**switches)["10"]["inputs"]
        model = low.execute(**widgets | {"model": model}).args[0]
    return module, module._low_vram(model)


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
    job = Job(512, 512, SPEECH_S, min_resolution=size, dtype=Dtype(dtype), optimizations=STREAMED, to_file=True)
    module, optimized = real_model(pack, monkeypatch, sonic, switches)
    parts = plan_parts(job, module._longest(job, optimized), lambda low, high: (low + high) // 2)
    assert (foreseen.parts, foreseen.job.latent_frames) == (len(parts), max(part.latent_frames for part in parts))
    longest = replace(job, duration_s=foreseen.job.duration_s)
    assert foreseen.job == optimized.optimized_job(longest)


@pytest.mark.parametrize(("part_s", "parts"), [(0.0, 3), (30.0, 9), (50.0, 5), (1000.0, 3)])
def test_no_part_is_longer_than_a_wav_can_be(part_s, parts, pack, monkeypatch):
    """SONIC_PreData writes one; here it would be full behind 90 s."""
    module, optimized = real_model(pack, monkeypatch, small_sonic.build(torch.float16))
    monkeypatch.setattr(sys.modules[module.find_wrapper.__module__], "WAV_BYTES", 90 * 2 * 8000 * 4)
    audio = {"waveform": torch.zeros(1, 2, round(SPEECH_S * 8000)), "sample_rate": 8000}
    settings = {"min_resolution": 512, "steps": 1, "dynamic_scale": 1.0, "fps": 25.0}
    order = module._order(
        optimized, SimpleNamespace(model=None), SimpleNamespace(first_stage_model=None), module.media_audio.from_dict(audio),
        torch.zeros(1, 512, 512, 3), part_s, module.Encoding(), settings, 0,
    )  # fmt: skip
    assert len(order.parts) == parts
    assert max(part.latent_frames for part in order.parts) <= LATENT_FPS * min(90, part_s or 90)
