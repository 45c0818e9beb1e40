"""Every node's `execute` with whatever other nodes may hand to it.

It gives its outputs, or names the wrong input in a sentence of bounded length. Never another error, never a hang,
never much memory for a small input, and no input is written to.
"""

import importlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from tests.fuzz import standins
from tests.fuzz.samples import sample
from tests.fuzz.size import cases
from tests.fuzz.values import anything, fingerprint, images, portrait, sounds, tensors, tone
from tests.support.node_inputs import pack_overrides, pack_plan

MAX_TEXT = 4_100
"""Characters in a sentence: the library's own limit, and a note of what was left out."""
CARDS = ["24 GiB", "80 GiB", "8 GiB", "auto", "4090"]
BOXES = ["0, 0, 1, 1", "0,0,64,64", "10, 10, 90, 100", "1, 1, 2, 2"]
SPOKEN = {
    "target_card": ("card:", "memory:", "device:", "GiB"),
    "image": ("width:", "height:"),
    "audio": ("There is no sound above", "file:", ".wav:"),
    "face_box": ("face box",),
    "duration": ("the audio has",),
    "model": ("low VRAM:", "sonic:"),
    "part_s": ("part length:",),
    "min_resolution": ("out of memory",),
    "encoder_preset": ("preset:",),
    "inference_steps": ("steps:",),
}
"""How else an input is called in a sentence about it."""


@pytest.fixture(scope="module")
def node_of(nodes, pack, tmp_path_factory):
    """A node by its id, in a ComfyUI without a user."""
    import folder_paths

    face_box = importlib.import_module(f"{pack.__name__}.nodes.face_box_node")
    face_box.ui = SimpleNamespace(PreviewImage=lambda pictures, cls: pictures.mul(255).byte().numpy())  # no host's UI
    before = folder_paths.get_user_directory()
    folder_paths.set_user_directory(str(tmp_path_factory.mktemp("user")))
    before_input = folder_paths.get_input_directory()
    folder_paths.set_input_directory(str(tmp_path_factory.mktemp("input")))
    (Path(folder_paths.get_input_directory()) / "voice.wav").write_bytes(sample(".wav"))
    warm(nodes)
    yield nodes.__getitem__
    folder_paths.set_user_directory(before)
    folder_paths.set_input_directory(before_input)


def warm(nodes):
    """Load the face detector and pydub: what they take is not a case's."""
    nodes["SonicGuardFaceBox"].execute(image=portrait(), aspect="none", face_index=0, face_box="")
    nodes["SonicGuardAudioDuration"].execute(audio=tone(1.0), cut_silence=True, use_interframe=True)


def expected(slot: Any) -> st.SearchStrategy[Any]:
    """What an input is meant for."""
    match slot.get_io_type():
        case "IMAGE":
            return st.builds(portrait)
        case "AUDIO":
            return st.builds(tone, st.floats(0.5, 2))
        case "BOOLEAN":
            return st.booleans()
        case "INT":
            return st.sampled_from([slot.default, slot.min, slot.max]) | st.integers(slot.min, slot.max)
        case "FLOAT":
            return st.sampled_from([slot.default, slot.min, slot.max]) | st.floats(slot.min, slot.max)
        case "COMBO":
            return st.sampled_from(CARDS if slot.id == "target_card" else slot.options)
        case "STRING":
            return st.sampled_from(BOXES if slot.id == "face_box" else ["", "video/x"])
    return MODELS if slot.id == "model" else st.none()


def hostile(slot: Any) -> st.SearchStrategy[Any]:
    """What it may get instead."""
    match slot.get_io_type():
        case "IMAGE":
            return images | images | tensors | anything
        case "AUDIO":
            return sounds | sounds | anything
        case "INT" | "FLOAT":
            return anything | st.sampled_from([slot.min - 1, slot.max + 1, float(slot.max), str(slot.default)])
    return anything


class UnknownModel:
    """A model of another pack: it has everything, and none of it is what its name promises."""

    def __getattr__(self, name: str) -> "UnknownModel":
        if name.startswith("__"):
            raise AttributeError(name)
        return self


class Broken:
    """A model whose attributes raise errors."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"{name} is not there yet")


MODELS = st.sampled_from([object(), None, "model", {}, 5]) | st.one_of(
    st.builds(UnknownModel),
    st.builds(Broken),
    st.builds(SimpleNamespace, pipe=st.none() | st.builds(UnknownModel)),
    st.builds(torch.nn.Linear, st.just(2), st.just(2)),
)


@pytest.fixture(scope="module")
def talking_head(nodes, pack, tmp_path_factory):
    """Sonic Talking Head in a host that is not there, and with a Sonic that takes no time."""
    modules = {
        name: importlib.import_module(f"{pack.__name__}.nodes.{name}") for name in ("comfyui.host", "talking_head_node")
    }
    home = tmp_path_factory.mktemp("comfyui")
    host = {
        "node_classes": lambda: {"SONIC_PreData": standins.PreData, "SONICSampler": standins.Sampler},
        "models_folder": lambda: home / "models",
        "input_folder": lambda: home,
        "user_folder": lambda: home / "user",
        "free_memory": lambda needed: None,
        "progress_bar": lambda steps: lambda done, picture=None: None,
        "show_text": lambda text: None,
        "stop_if_interrupted": lambda: None,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, work in host.items():
            patch.setattr(modules["comfyui.host"], name, work)
        patch.setattr(modules["talking_head_node"], "make_part", standins.make_part)
        video_of = SimpleNamespace(VideoFromFile=Path)
        patch.setattr(modules["talking_head_node"], "InputImpl", video_of)
        import folder_paths

        patch.setattr(folder_paths, "get_output_directory", lambda: str(home / "output"))
        yield nodes["SonicGuardTalkingHead"]


def plan_of(pack: Any, card: str) -> Any:
    """What Preflight hands out for a small picture and a second of sound."""
    return pack_plan(pack, card, 1.0, overrides=pack_overrides(pack, min_resolution=128))


def optimized(pack: Any, *sonic: Any) -> Any:
    """A model as Sonic Low VRAM returns it."""
    module = importlib.import_module(f"{pack.__name__}.nodes.comfyui.sonic_model")
    return module.ChosenLowVramSonic(standins.Sonic(*sonic), module.LowVramChoice())


def video_inputs_of(node: Any, pack: Any) -> st.SearchStrategy[dict[str, Any]]:
    """As `inputs_of`, where what is fine is small, and what is wrong leads to no huge frames."""
    slots = node.GET_SCHEMA().inputs
    numbers = [torch.float32, torch.float16, torch.bfloat16]
    of_its_own = {
        "model": st.builds(lambda *sonic: optimized(pack, *sonic), st.sampled_from(numbers), st.booleans()),
        "clip_vision": st.builds(standins.Clip),
        "vae": st.builds(standins.Vae, st.sampled_from(numbers)),
        "audio": st.builds(tone, st.floats(0.3, 1.2)),
        "plan": st.none() | st.builds(plan_of, st.just(pack), st.sampled_from(["8 GiB", "80 GiB"])),
        "min_resolution": st.just(128),
        "encoder_preset": st.just("ultrafast"),
        "finish": st.sampled_from(["off", "fast"]),  # full HD is more than the memory that a case has
        "part_s": st.just(0.0),  # a sound as short as these has no parts
    }
    fine = {slot.id: of_its_own[slot.id] if slot.id in of_its_own else expected(slot) for slot in slots}
    fine |= {"seconds": st.just(0.0)}
    wrong = {slot.id: anything if slot.id == "min_resolution" else hostile(slot) for slot in slots}
    unsupported = st.sampled_from([torch.float64, torch.int8])
    wrong |= dict.fromkeys(("model", "clip_vision", "vae", "plan"), MODELS | anything)
    wrong["model"] |= st.builds(lambda dtype: optimized(pack, dtype), unsupported)
    wrong["vae"] |= st.builds(standins.Vae, unsupported)
    one = st.sampled_from(slots).flatmap(lambda slot: st.fixed_dictionaries(fine | {slot.id: wrong[slot.id]}))
    return one | st.fixed_dictionaries(fine | {name: wrong[name] for name in ("audio", "image")})


def inputs_of(node: Any) -> st.SearchStrategy[dict[str, Any]]:
    """All inputs of a node, as a rule with something wrong in some of them."""
    slots = node.GET_SCHEMA().inputs
    fine = {slot.id: expected(slot) for slot in slots}
    wrong = {slot.id: st.one_of(expected(slot), expected(slot), hostile(slot)) for slot in slots}
    one = st.sampled_from(slots).flatmap(lambda slot: st.fixed_dictionaries(fine | {slot.id: hostile(slot)}))
    media = {slot.id: hostile(slot) for slot in slots if slot.get_io_type() in ("IMAGE", "AUDIO")}
    return st.one_of(one, one, st.fixed_dictionaries(fine | media), st.fixed_dictionaries(wrong))


def outcome_of(node: Any, inputs: dict[str, Any]) -> str:
    """How `execute` ends: "returned" or "refused"."""
    errors = importlib.import_module(f"{node.__module__.rpartition('.nodes')[0]}.sonic_guard.errors")
    before = {name: fingerprint(value) for name, value in inputs.items()}
    try:
        result = node.execute(**inputs)
    except errors.SonicGuardError as error:
        message = error.text  # in English, whatever language it is shown in
        if max(len(message), len(str(error))) > MAX_TEXT or not names_an_input(message, node):
            raise AssertionError(f"a sentence of {len(message)} characters that is none: {message[:300]!r}") from error
        ended = "refused"
    else:
        assert len(result.args) == len(node.GET_SCHEMA().outputs)
        ended = "returned"
    assert {name: fingerprint(value) for name, value in inputs.items()} == before, "an input was written to"
    return ended


def names_an_input(message: str, node: Any) -> bool:
    """Whether a sentence names the input it is about."""
    slots = [slot.id for slot in node.GET_SCHEMA().inputs]
    words = [*slots, *(word for slot in slots for word in SPOKEN.get(slot, ()))]
    return any(re.search(rf"(?<!\w){re.escape(word)}", message) for word in words)


@cases(100, 40, data=st.data())
def test_audio_duration(node_of, data):
    node = node_of("SonicGuardAudioDuration")
    return outcome_of(node, data.draw(inputs_of(node), "inputs"))


@cases(
    10, 30,
    audio=st.sampled_from(["voice.wav", "voice.wav [input]", "none.wav", "../a.wav", "a.wav [temp]"]) | anything,
    track=st.integers(0, 3) | anything,
)  # fmt: skip
def test_load_voice(node_of, audio, track):
    return outcome_of(node_of("SonicGuardLoadVoice"), {"audio": audio, "track": track})


@cases(50, 20, data=st.data())
def test_face_box(node_of, data):
    node = node_of("SonicGuardFaceBox")
    return outcome_of(node, data.draw(inputs_of(node), "inputs"))


@cases(60, 30, data=st.data())
def test_preset(node_of, data):
    node = node_of("SonicGuardPreset")
    return outcome_of(node, data.draw(inputs_of(node), "inputs"))


@cases(100, 40, data=st.data())
def test_oom_risk(node_of, data):
    node = node_of("SonicGuardOOMRisk")
    return outcome_of(node, data.draw(inputs_of(node), "inputs"))


@cases(100, 40, data=st.data())
def test_auto_downgrade(node_of, data):
    node = node_of("SonicGuardAutoDowngrade")
    return outcome_of(node, data.draw(inputs_of(node), "inputs"))


@cases(60, 30, data=st.data())
def test_low_vram(node_of, data):
    node = node_of("SonicGuardLowVRAM")
    return outcome_of(node, data.draw(inputs_of(node), "inputs"))


@cases(60, 25, data=st.data())
def test_preflight(node_of, data):
    node = node_of("SonicGuardPreflight")
    return outcome_of(node, data.draw(inputs_of(node), "inputs"))


@cases(40, 15, data=st.data())
def test_talking_head(talking_head, pack, data):
    return outcome_of(talking_head, data.draw(video_inputs_of(talking_head, pack), "inputs"))
