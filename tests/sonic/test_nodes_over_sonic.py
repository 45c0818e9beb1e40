"""The nodes over the wrapper's own model, without a host."""

import importlib
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from sonic_guard.messages.plan_messages import optimization_names
from sonic_guard.optimizations import ESCALATION_ORDER, Optimization
from tests.support import small_sonic
from tests.support.node_inputs import PORTRAIT, pack_job, pack_overrides, pack_plan, sound

ALL = [*ESCALATION_ORDER]


@pytest.mark.parametrize(
    ("inputs", "enabled", "fallbacks"),
    [
        ({}, {"unet_offload"}, ALL),
        (
            {"sequential_cfg": "on", "feed_forward_chunking": "off", "layer_chunking": "auto"},
            {"unet_offload", "sequential_cfg"},
            [each for each in ALL if each != "feed_forward_chunking"],
        ),
        ({"mode": "off"}, set(), []),
        ({"mode": "off", "layer_chunking": "auto"}, set(), ["layer_chunking"]),
        (
            {"mode": "least_memory"},
            {*ALL} - {"feed_forward_chunking"},
            ALL,
        ),
    ],
    ids=["as they stand", "moved", "off", "one of them", "least memory"],
)  # fmt: skip
@pytest.mark.parametrize(("language", "word"), [("en", "Enabled: "), ("zh", "已启用：")])
def test_low_vram_wraps_the_wrappers_model(run_node, pack, inputs, enabled, fallbacks, language, word):
    model = small_sonic.build()
    out = run_node("SonicGuardLowVRAM", model=model, target_card="80 GiB", language=language, **inputs)
    job = pack_job(pack)
    assert out["model"].sonic is model
    assert set(out["model"].optimizations_for(job)) == enabled
    assert list(out["model"].fallbacks) == fallbacks
    if enabled:
        first = next(optimization for optimization in fallbacks if optimization in enabled)
        assert out["report"].startswith(f"{word}{optimization_names([Optimization(first)], language)}")


def test_a_plan_enables_what_it_needs_for_its_card_unless_the_node_says_off(run_node, pack):
    plan = pack_plan(pack, "6 GiB", overrides=pack_overrides(pack, min_resolution=1024))
    needed = plan.result.plan.job.optimizations
    assert {"sequential_cfg", "layer_chunking"} <= set(needed)
    for off in ([], ["sequential_cfg"]):
        out = run_node("SonicGuardLowVRAM", model=small_sonic.build(), plan=plan, **dict.fromkeys(off, "off"))
        assert set(out["model"].optimizations_for(pack_job(pack))) == needed - set(off), "a job that needs none of them"
        assert out["model"].choice.capacity == plan.result.plan.capacity
    planned = replace(plan.result.plan.job, optimizations=frozenset())
    out = run_node("SonicGuardLowVRAM", model=small_sonic.build(), plan=plan, target_card="80 GiB")
    assert out["model"].optimized_job(planned) == plan.result.plan.job, "the run is the one that was planned"


@pytest.mark.parametrize("plan", ["auto", 5, object()])
def test_what_is_no_plan_is_refused(run_node, refusal, plan):
    with pytest.raises(refusal, match="plan: expected a plan, got .*Connect the output plan of Preflight"):
        run_node("SonicGuardLowVRAM", model=small_sonic.build(), plan=plan)


def test_before_loading_only_what_runs_with_no_model_is_refused(nodes, user_folder, refusal):
    """The preset asks for fp32, which does not fit; the loader may have fp16."""
    node = nodes["SonicGuardTalkingHead"]
    presets = user_folder / "sonic_guard" / "presets"
    presets.mkdir(parents=True)
    (presets / "exact.json").write_text('{"name": "exact", "min_resolution": 512, "dtype": "fp32"}', encoding="utf-8")
    widgets = {each.id: each.default for each in node.GET_SCHEMA().inputs if getattr(each, "default", None) is not None}
    widgets |= {"preset": "exact", "on_risk": "stop", "mode": "off", "target_card": "12 GiB"}
    media = {"image": PORTRAIT, "audio": sound(3.0)}
    assert node.check_lazy_status(**widgets, **media) == ["model", "clip_vision", "vae"]
    assert node.check_lazy_status(**widgets, **media, model=1, clip_vision=2, vae=3) == []
    with pytest.raises(refusal, match="Will run out of memory"):
        node.check_lazy_status(**widgets | {"target_card": "6 GiB"}, **media)


def test_low_vram_takes_what_a_run_turns_out_to_need(run_node, pack):
    out = run_node("SonicGuardLowVRAM", model=small_sonic.build(), target_card="6 GiB")
    large = replace(pack_job(pack), width=1024, height=1024, min_resolution=1024)
    assert {"sequential_cfg", "layer_chunking"} <= set(out["model"].optimizations_for(large))


@pytest.mark.parametrize(("switch", "context"), [(False, 0), (True, 3)])
def test_low_vram_decodes_in_groups_that_overlap_only_if_it_is_told(run_node, switch, context):
    out = run_node("SonicGuardLowVRAM", model=small_sonic.build(), target_card="80 GiB", overlapped_decode=switch)
    assert out["model"].decode_context == context
    assert ("next to the seams" in out["report"]) is switch


class Clip:
    """A CLIP_VISION that counts."""

    def __init__(self, happened):
        self.happened, self.load_device = happened, "cuda"

    def encode_image(self, image, crop=True):
        self.happened.append("encode")
        return {"image_embeds": image.mean() * crop}


def test_before_predata_the_picture_is_encoded_and_other_models_leave_the_gpu(pack, monkeypatch):
    """SONIC_PreData has ComfyUI unload its models at its end only; by then its own are loaded too."""
    module, host = (
        importlib.import_module(f"{pack.__name__}.nodes.comfyui.{name}") for name in ("talking_head_inputs", "host")
    )
    happened, events = [], []
    monkeypatch.setattr(host, "free_memory", lambda needed: happened.append(("free", needed)))
    monkeypatch.setattr(host, "stop_if_interrupted", lambda: happened.append("check"))
    projection = type("AudioProjModel", (torch.nn.Identity,), {})()

    def predata(clip_vision, image, **inputs):
        happened.append("predata")
        assert clip_vision.encode_image(image)["image_embeds"] == PORTRAIT.mean()
        assert clip_vision.load_device == "cuda"
        return ([projection(torch.ones(1)) for _ in range(2)],)

    trimmed = module.media_audio.from_dict(sound(0.5))
    planned = SimpleNamespace(whole=SimpleNamespace(min_resolution=512))  # all that SONIC_PreData takes of a plan
    inputs = module.VideoInputs(small_sonic.build(), Clip(happened), None, trimmed, PORTRAIT, planned, 0)
    work = module.run_predata(inputs, module.Wrapper(predata, None), events.append)
    assert len(work(trimmed)) == 2
    free = ("free", None)
    assert happened == [free, "encode", free, "predata", "check", "check"]
    happened.clear()
    work(trimmed)
    assert happened == [free, "predata", "check", "check"], "once for all parts"
    events = events[:3]
    assert events[0] is module.Preparing.PICTURE
    assert [event.share for event in events[1:]] == [1 / 12, 2 / 12], "of two prompts for each of six latent frames"


def test_another_picture_is_encoded_by_the_clip_vision_itself(pack):
    happened = []
    module = importlib.import_module(f"{pack.__name__}.nodes.comfyui.encoded_picture")
    encoder = module.EncodedPicture(Clip(happened), PORTRAIT)
    assert [encoder.encode(), encoder.encode()] == [True, False]
    assert encoder.encode_image(PORTRAIT / 2)["image_embeds"] == (PORTRAIT / 2).mean()
    assert encoder.encode_image(PORTRAIT, crop=False)["image_embeds"] == 0
    assert happened == ["encode"] * 3
