"""What fuzzing has found, each with the answer it has to have: values of any kind, over links that are not checked."""

import importlib
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sonic_guard.errors import MAX_VALUE_TEXT, AudioError, FaceError, JobError, OptimizationError, brief
from sonic_guard.job import Job
from sonic_guard.media.audio import MAX_CHANNELS, MAX_RATE, MIN_RATE, from_dict, to_dict
from sonic_guard.media.face import Box, Face, parse_box, pick_face
from sonic_guard.planning.selection import read_switches
from tests.fuzz.values import NAN, portrait, tensor, tone

HUGE = 10**5000
"""A whole number that no float holds, and that Python writes in no text."""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("fast", "'fast'"),
        (0.5, "0.5"),
        (HUGE, "a value (int) that cannot be shown"),
        ("x" * 10**6, "'" + "x" * (MAX_VALUE_TEXT - 1)),
        ("\ud800", r"'\ud800'"),
    ],
    ids=["text", "number", "huge", "long", "half a pair"],
)
def test_an_error_repeats_any_value_briefly(value, message):
    assert brief(value) == message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"duration_s": 10**400}, "duration: 1000"),
        ({"duration_s": HUGE}, "duration: a value (int) that cannot be shown is outside 0 … 360000."),
        ({"duration_s": NAN}, "duration: nan is outside"),
        ({"fps": float("inf")}, "fps: inf is outside"),
        ({"steps": HUGE}, "steps: a value (int) that cannot be shown is outside 1 … 100000."),
        ({"min_resolution": "9" * 10**6}, "min_resolution: expected a whole number, got '999"),
        ({"fps": torch.ones(1000)}, "fps: expected a number, got tensor("),
    ],
)
def test_a_job_reports_which_number_is_none(wrong, message):
    with pytest.raises(JobError, match=re.escape(message)) as error:
        Job(**{"width": 512, "height": 512, "duration_s": 5.0} | wrong)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        ({"waveform": torch.zeros(1, 1, 9, device="meta"), "sample_rate": 16_000}, "without its samples in memory"),
        ({"waveform": torch.zeros(1, 1, 9).to_sparse(), "sample_rate": 16_000}, "without its samples in memory"),
        ({"waveform": torch.zeros(1, MAX_CHANNELS + 1, 9), "sample_rate": 16_000}, "65 channels, more than 64"),
        ({"waveform": torch.zeros(1, 400_000, 1), "sample_rate": 16_000}, "400000 channels"),
        ({"waveform": torch.zeros(1, 1, 9), "sample_rate": 1}, "1 is no sample rate"),
        ({"waveform": torch.zeros(1, 1, 9), "sample_rate": MIN_RATE - 1}, "999 is no sample rate"),
        ({"waveform": torch.zeros(1, 1, 9), "sample_rate": MAX_RATE + 1}, "1000001 is no sample rate"),
        (
            {"waveform": torch.zeros(1, 1, 9), "sample_rate": HUGE},
            r"a value \(int\) that cannot be shown is no sample rate",
        ),
    ],
)
def test_what_no_recorder_makes_is_no_sound(audio, message):
    with pytest.raises(AudioError, match=f"^audio: .*{message}"):
        from_dict(audio)


@pytest.mark.parametrize("rate", [MIN_RATE, 8000, 768_000, MAX_RATE, np.int64(44_100), torch.tensor(48_000)])
def test_every_real_rate_is_one(rate):
    assert from_dict({"waveform": torch.zeros(1, MAX_CHANNELS, 9), "sample_rate": rate}).sample_rate == int(rate)


def test_an_array_that_is_read_backwards_becomes_the_sound_it_is():
    samples = np.linspace(-1, 1, 9, dtype=np.float32)
    sound = from_dict({"waveform": samples[None, None, ::-1], "sample_rate": 16_000})
    assert torch.equal(to_dict(sound)["waveform"][0, 0], torch.from_numpy(samples).flip(0))
    assert samples[0] == -1


@pytest.mark.parametrize("text", [True, 5, torch.ones(4), ["1", "2", "3", "4"], b"1,2,3,4", "1,2,3"])
def test_a_face_box_is_a_text(text):
    with pytest.raises(FaceError, match="face box: expected x1, y1, x2, y2 in pixels, got "):
        parse_box(text)


@pytest.mark.parametrize("index", ["0", 0.0, None, True, np.zeros(2)])
def test_the_number_of_a_face_is_whole(index):
    with pytest.raises(FaceError, match="face_index: expected a whole number, got "):
        pick_face([Face(Box(0, 0, 1, 1), 1.0)], index)


def test_optimizations_are_texts():
    with pytest.raises(OptimizationError, match="mode: there is no None"):
        read_switches(None)
    with pytest.raises(OptimizationError, match=r"sequential_cfg: there is no array\(\[1, 2\]\)"):
        read_switches(values={"sequential_cfg": np.array([1, 2])})


# The nodes


@pytest.fixture
def refusal(pack):
    return importlib.import_module(f"{pack.__name__}.sonic_guard.errors").SonicGuardError


@pytest.fixture
def run(nodes, user_folder):
    given = {"SonicGuardAudioDuration": {"audio": tone(1.0)}, "SonicGuardLowVRAM": {"model": object()}}
    both = {"image": portrait(), "audio": tone(1.0)}
    defaults = {"SonicGuardPreflight": both, "SonicGuardPreset": {}} | given
    cards = {"target_card": "24 GiB"}

    def run_node(name, **inputs):
        slots = nodes[name].GET_SCHEMA().inputs
        widgets = {slot.id: slot.default for slot in slots if getattr(slot, "default", None) is not None}
        widgets |= {name: value for name, value in cards.items() if name in widgets}
        result = nodes[name].execute(**widgets | defaults.get(name, {"image": portrait()}) | inputs)
        return dict(zip((slot.display_name for slot in nodes[name].GET_SCHEMA().outputs), result.args, strict=True))

    return run_node


PICTURED = ("SonicGuardPreflight", "SonicGuardFaceBox", "SonicGuardOOMRisk", "SonicGuardAutoDowngrade")


@pytest.mark.parametrize("name", PICTURED)
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "expected an IMAGE, got NoneType"),
        ("portrait.png", "expected an IMAGE, got str"),
        (np.zeros((1, 8, 8, 3), np.float32), "expected an IMAGE, got ndarray"),
        (tensor(()), "its shape is that of a number"),
        (tensor((8, 8)), "its shape is 8×8, but"),
        (tensor((1, 0, 8, 3)), "its shape is 1×0×8×3, but"),
        (tensor((1, 8, 8, 3), form="meta"), "without its pixels in memory"),
        (tensor((1, 8, 8, 3), form="sparse"), "without its pixels in memory"),
    ],
)
def test_what_is_no_picture_is_reported(run, refusal, name, image, message):
    with pytest.raises(refusal, match=f"image: .*{message}"):
        run(name, image=image)


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("SonicGuardPreflight", "cut_silence"),
        ("SonicGuardAudioDuration", "cut_silence"),
        ("SonicGuardAudioDuration", "use_interframe"),
        ("SonicGuardOOMRisk", "stop"),
        ("SonicGuardOOMRisk", "use_interframe"),
        ("SonicGuardAutoDowngrade", "use_interframe"),
    ],
)
@pytest.mark.parametrize("value", ["false", None, 0.5, torch.ones(2), np.zeros(2)])
def test_what_is_neither_true_nor_false_is_reported(run, refusal, name, flag, value):
    with pytest.raises(refusal, match=f"{flag}: expected true or false, got "):
        run(name, **{flag: value})


@pytest.mark.parametrize(("value", "pictures"), [(True, 25), (1, 25), (np.True_, 25), (False, 12), (np.bool_(0), 12)])
def test_truth_of_another_kind_is_truth(run, value, pictures):
    out = run("SonicGuardAudioDuration", audio=tone(1.0), use_interframe=value)
    frames = out["latent_frames"]
    assert out["video_audio"]["waveform"].shape[-1] == (2 * frames - 1 if value else frames) * (640 if value else 1280)


@pytest.mark.parametrize("card", [None, np.zeros(2), torch.ones(2), 5j])
@pytest.mark.parametrize("name", ["SonicGuardPreflight", "SonicGuardOOMRisk", "SonicGuardLowVRAM"])
def test_a_card_of_another_kind_is_reported(run, refusal, name, card):
    with pytest.raises(refusal, match="memory: expected a card's name or a number of GiB, got "):
        run(name, target_card=card)


def test_a_policy_of_another_kind_is_reported(run, refusal):
    with pytest.raises(refusal, match=r"policy: there is no \['article'\]; choose one of lossless_first, article"):
        run("SonicGuardAutoDowngrade", policy=["article"])


class Broken:
    """All of its attributes raise errors."""

    def __getattr__(self, name):
        raise RuntimeError("not there yet")


def test_low_vram_passes_a_broken_model_on(run):
    model = Broken()
    out = run("SonicGuardLowVRAM", model=model)
    assert out["model"] is model
    assert out["report"].startswith("The model is passed on unchanged.")


@pytest.fixture
def talking_head(pack, monkeypatch, tmp_path):
    """Sonic Talking Head up to where it would begin; returns its error."""
    from tests.fuzz import standins

    module, host = (
        importlib.import_module(f"{pack.__name__}.nodes.{name}") for name in ("talking_head_node", "comfyui.host")
    )
    classes = {"SONIC_PreData": standins.PreData, "SONICSampler": standins.Sampler}
    monkeypatch.setattr(host, "node_classes", lambda: classes)
    monkeypatch.setattr(host, "models_folder", lambda: tmp_path)
    monkeypatch.setattr("folder_paths.get_output_directory", lambda: str(tmp_path / "output"))
    models = importlib.import_module(f"{pack.__name__}.nodes.comfyui.sonic_model")
    fine = {
        slot.id: slot.default
        for slot in module.TalkingHead.GET_SCHEMA().inputs
        if getattr(slot, "default", None) is not None
    }
    fine |= {
        "clip_vision": standins.Clip(), "vae": standins.Vae(), "audio": tone(0.5), "image": portrait(),
        "target_card": "24 GiB", "min_resolution": 128, "inference_steps": 5, "filename_prefix": "video/x",
    }  # fmt: skip
    errors = importlib.import_module(f"{pack.__name__}.sonic_guard.errors")

    def message(dtype=torch.float32, **wrong):
        model = models.ChosenLowVramSonic(standins.Sonic(dtype), models.LowVramChoice())
        with pytest.raises(errors.SonicGuardError) as error:
            module.TalkingHead.execute(**{"model": model} | fine | wrong)
        return str(error.value)

    return SimpleNamespace(message=message, home=tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": NAN}, "seed: expected a whole number from 0 on, got nan."),
        ({"seed": -1}, "seed: expected a whole number from 0 on, got -1."),
        ({"seed": True}, "seed: expected a whole number from 0 on, got True."),
        ({"part_s": "60"}, "part_s: '60' is no length. Use 0, or a number of seconds."),
        ({"part_s": NAN}, "part_s: nan is no length. Use 0, or a number of seconds."),
        ({"clip_vision": None}, "clip_vision: expected what Image Only Checkpoint Loader gives there, got None."),
        (
            {"clip_vision": SimpleNamespace(model=SimpleNamespace(state_dict=5))},
            "clip_vision: expected what Image Only",
        ),
        ({"vae": "vae"}, "vae: expected what Image Only Checkpoint Loader gives there, got 'vae'."),
        ({"dtype": torch.float64}, "model: its number format is not fp16, bf16 or fp32 (KeyError('torch.float64'))."),
        ({"image": None}, "image: nothing is connected. Connect a portrait and a voice, or a plan."),
        ({"image": None, "audio": None}, "image and audio: nothing is connected."),
        ({"plan": "fast"}, "plan: expected a plan, got 'fast'. Connect the output plan of Preflight."),
        ({"preview_s": -1.0}, "preview_s: -1.0 is no length. Use 0, or a number of seconds."),
        ({"seconds": NAN}, "seconds: nan is not usable. Use a number, or 0 for the preset's."),
        ({"min_resolution": "large"}, "min_resolution: 'large' is not usable."),
        ({"mode": "turbo"}, "mode: there is no 'turbo'; choose one of auto, least_memory, off."),
        ({"image": tensor((1, 8, 8, 3), form="meta")}, "image: it is a tensor without its pixels in memory."),
        ({"filename_prefix": None}, "filename_prefix: expected a text, got None."),
        ({"filename_prefix": "a\0b"}, r"filename_prefix: 'a\x00b' names no file in ComfyUI's output folder"),
        ({"filename_prefix": "../../x"}, "filename_prefix: '../../x' names no file in ComfyUI's output folder"),
        ({"filename_prefix": "x" * 5000}, "filename_prefix: 'xxx"),
    ],
)
def test_talking_head_reports_which_input_is_wrong_before_it_begins(talking_head, wrong, message):
    text = talking_head.message(**wrong)
    assert text.startswith(message)
    assert str(talking_head.home) not in text
    assert len(text) < 500
