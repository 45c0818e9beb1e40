"""Parts of graphs as a page sends them, and the files they name."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

from sonic_guard.devices.budget import budget_for
from sonic_guard.history.history_cache import CardHistory
from sonic_guard.optimizations import ESCALATION_ORDER
from sonic_guard.preview.context import Machine
from sonic_guard.preview.input_files import Files

RATE = 16_000
PREFLIGHT_OUTPUTS = {
    "image": 1, "audio": 2, "min_resolution": 3, "duration": 4, "expand_ratio": 5, "inference_steps": 6,
    "dynamic_scale": 7, "fps": 8, "dtype": 9, "use_interframe": 10,
}  # fmt: skip
"""Those that Sonic's own nodes take, and their numbers."""
PLANNING: dict[str, Any] = {
    "preset": "fast", "target_card": "12 GiB", "aspect": "original", "face_index": 0, "face_box": "", "margin": 0.0,
    "min_resolution": 0, "inference_steps": 0, "seconds": 0.0, "dynamic_scale": 0.0, "on_risk": "downgrade",
    "policy": "lossless_first", "cut_silence": False, "reserve": 0.1,
}  # fmt: skip
"""The widgets by which Preflight and Talking Head plan."""

Graph = dict[str, Any]


def write_files(folder: Path) -> Path:
    """Pictures and sounds in `folder`: a portrait, a strip of it, a picture without a face, and three sounds."""
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    portrait = Image.fromarray(skimage.data.astronaut())
    portrait.save(folder / "portrait.png")
    portrait.crop((0, 0, 512, 330)).resize((1280, 825)).save(folder / "sub" / "wide.jpg")
    Image.fromarray(skimage.data.coffee()).save(folder / "no face.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    write_wav(folder / "voice.wav", 7.3)
    write_wav(folder / "short.wav", 0.3)
    write_wav(folder / "quiet.wav", 6.0, quiet_s=2.0)
    return folder


def write_wav(path: Path, seconds: float, quiet_s: float = 0.0) -> None:
    """A tone with `quiet_s` seconds of silence on either side."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    tone = 0.5 * np.sin(2 * np.pi * 220 * time_s) * (time_s >= quiet_s) * (time_s < seconds - quiet_s)
    save_wav(path, tone * 32767)


def save_wav(path: Path, samples: np.ndarray) -> None:
    """A sound of one channel in 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def machine(folder: Path, card_history: CardHistory | None = None) -> Machine:
    """A machine with an RTX 4060, whose input folder is `folder` and whose user presets are in ``folder/presets``."""

    def budget(target: str, reserve: float) -> Any:
        return budget_for("RTX 4060" if target == "auto" else target, reserve=reserve)

    return Machine(
        Files(lambda: folder), lambda: folder / "presets", budget, lambda card, **_: card_history or CardHistory()
    )


def node(kind: str, **inputs: Any) -> Graph:
    """A node in API format."""
    return {"class_type": kind, "inputs": inputs}


def sources(image: str = "portrait.png", audio: str = "voice.wav") -> Graph:
    """Nodes 1 and 2: a picture and a sound."""
    return {"1": node("LoadImage", image=image), "2": node("LoadAudio", audio=audio)}


def preflight(**inputs: Any) -> Graph:
    """Node 3: Preflight with its widgets."""
    widgets = {"image": ["1", 0], "audio": ["2", 0], **PLANNING, "language": "en"}
    return {"3": node("SonicGuardPreflight", **widgets | inputs)}


def trio(**inputs: Any) -> Graph:
    """Nodes 5, 6 and 7: Sonic's own, with their widgets; `inputs` go to the node that has them."""
    values = {
        "use_interframe": True, "dtype": "fp16", "audio": ["2", 0], "image": ["1", 0], "min_resolution": 512,
        "duration": 10.0, "expand_ratio": 0.5, "inference_steps": 25, "dynamic_scale": 1.0, "fps": 25.0,
    }  # fmt: skip
    values |= inputs

    def pick(*names: str) -> Graph:
        return {name: values[name] for name in names if name in values}

    loader = {"model": ["4", 0], "sonic_unet": "unet.pth", "ip_audio_scale": 1.0, **pick("use_interframe", "dtype")}
    data = {"clip_vision": ["4", 1], "vae": ["4", 2], "weight_dtype": ["5", 1]}
    data |= pick("audio", "image", "min_resolution", "duration", "expand_ratio", "weight_dtype")
    sampler = {"model": ["5", 0], "data_dict": ["6", 0], "seed": 0}
    sampler |= pick("inference_steps", "dynamic_scale", "fps", "model")
    return {
        "4": node("ImageOnlyCheckpointLoader", ckpt_name="svd_xt_1_1.safetensors"),
        "5": node("SONICTLoader", **loader),
        "6": node("SONIC_PreData", **data),
        "7": node("SONICSampler", **sampler),
    }


def dice_trio(**inputs: Any) -> Graph:
    """Nodes 5, 6 and 7: DICE Talk's own, with the values of Sonic's trio; `inputs` as there."""
    loader, predata, sampler = ("5", "6", "7")
    graph = trio(**inputs)
    graph[sampler]["inputs"]["ref_scale"] = graph[sampler]["inputs"].pop("dynamic_scale")
    for number, relative in ((loader, "Loader"), (predata, "PreData"), (sampler, "Sampler")):
        graph[number] = node(f"Dice_Talk_{relative}", **graph[number]["inputs"])
    return graph


def after_preflight(**inputs: Any) -> Graph:
    """The whole graph of the example workflow; `inputs` are Preflight's."""
    links = {name: ["3", slot] for name, slot in PREFLIGHT_OUTPUTS.items()}
    return sources() | preflight(**inputs) | trio(**links)


def low_vram(**inputs: Any) -> Graph:
    """Node 10: Low VRAM after the loader, with its switches as they stand and the card that the others have."""
    switches = dict.fromkeys(map(str, ESCALATION_ORDER), "mode")
    widgets = {"model": ["5", 0], "mode": "auto", **switches, "target_card": "auto", "reserve": 0.1, "language": "en"}
    return {"10": node("SonicGuardLowVRAM", **widgets | inputs)}


def low_vram_trio(**inputs: Any) -> Graph:
    """The trio, with the sampler after Low VRAM."""
    return trio(**{"model": ["10", 0], **inputs})


def talking_head(**inputs: Any) -> Graph:
    """Node 11, Talking Head, and nodes 4 and 5, what it is loaded from. With a `plan` it has no picture and no sound.

    It plans for this machine, as a new node does.
    """
    made_of = {} if "plan" in inputs else {"image": ["1", 0], "audio": ["2", 0]}
    widgets = {
        "model": ["5", 0], "clip_vision": ["4", 1], "vae": ["4", 2], **made_of, **PLANNING, "target_card": "auto",
        "preview_s": 0.0, "seed": 0, "mode": "auto", "part_s": 0.0, "format": "h264", "crf": 18,
        "encoder_preset": "medium", "filename_prefix": "video/sonic", "language": "en", "finish": "off",
    }  # fmt: skip
    loaders = {key: each for key, each in trio().items() if key in ("4", "5")}
    return loaders | {"11": node("SonicGuardTalkingHead", **widgets | inputs)}
