"""The nodes over the wrapper's own model, without a host."""

import importlib
import importlib.util
from dataclasses import replace

import pytest
import torch

from sonic_guard.optimizations import ESCALATION_ORDER
from tests.support import small_sonic
from tests.support.node_inputs import PORTRAIT, pack_job, sound


@pytest.mark.parametrize(
    ("switches", "enabled", "fallbacks"),
    [
        ({}, {"unet_offload"}, [each for each in ESCALATION_ORDER if each != "fp8_weights"]),
        (
            {"sequential_cfg": "on", "feed_forward_chunking": "off", "fp8_weights": "auto"},
            {"unet_offload", "sequential_cfg"},
            ["streaming_decode", "unet_offload", "tensor_offload", "sequential_cfg", "layer_chunking", "fp8_weights"],
        ),
        (
            {"optimizations": "sequential_cfg+layer_chunking", "layer_chunking": "off"},
            {"unet_offload", "sequential_cfg"},
            ["streaming_decode", "unet_offload", "tensor_offload", "sequential_cfg", "feed_forward_chunking"],
        ),
    ],
    ids=["as they stand", "moved", "with a plan"],
)  # fmt: skip
@pytest.mark.parametrize(("language", "word"), [("en", "Enabled: "), ("zh", "已启用：")])
def test_low_vram_wraps_the_wrappers_model(run_node, pack, switches, enabled, fallbacks, language, word):
    model = small_sonic.build()
    out = run_node("SonicGuardLowVRAM", model=model, target_card="80 GiB", language=language, **switches)
    job = pack_job(pack)
    assert out["model"].sonic is model
    assert set(out["model"].optimizations_for(job)) == enabled
    assert list(out["model"].fallbacks) == fallbacks
    assert out["weight_dtype"] is torch.float32
    assert out["report"].startswith(
        word + " + ".join(optimization for optimization in fallbacks if optimization in enabled)
    )
    assert ("fp8_weights" in out["report"]) == ("fp8_weights" in fallbacks)


def test_low_vram_takes_what_a_run_turns_out_to_need(run_node, pack):
    out = run_node("SonicGuardLowVRAM", model=small_sonic.build(), target_card="8 GiB")
    large = replace(pack_job(pack), width=1024, height=1024, min_resolution=1024)
    assert {"sequential_cfg", "layer_chunking"} <= set(out["model"].optimizations_for(large))


def test_before_predata_other_models_leave_the_gpu_and_cancel_is_checked(pack, monkeypatch):
    """SONIC_PreData has ComfyUI unload its models at its end only; by then its own are loaded too."""
    module, host = (
        importlib.import_module(f"{pack.__name__}.nodes.comfyui.{name}") for name in ("long_video_inputs", "host")
    )
    happened, events = [], []
    monkeypatch.setattr(host, "free_memory", lambda needed: happened.append(("free", needed)))
    monkeypatch.setattr(host, "stop_if_interrupted", lambda: happened.append("check"))
    projection = type("AudioProjModel", (torch.nn.Identity,), {})()

    def predata(**inputs):
        happened.append("predata")
        return ([projection(torch.ones(1)) for _ in range(2)],)

    trimmed = module.media_audio.from_dict(sound(0.5))
    inputs = module.VideoInputs(small_sonic.build(), None, None, trimmed, PORTRAIT, 512, 25, 1.0, 25.0, 0, 0.0)
    data = module.run_predata(inputs, module.Wrapper(predata, None), events.append)(trimmed)
    assert len(data) == 2
    assert happened == [("free", None), "predata", "check", "check"]
    assert [event.share for event in events] == [1 / 12, 2 / 12], "of two prompts for each of six latent frames"
