"""The graph of one Sonic Talking Head in ComfyUI's API format, as a program queues it: no page, no positions."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..planning.capabilities import TALKING_HEAD
from .sonic_objects import LOADER
from .weight_files import CHECKPOINT_LOADER

HEAD = "head"
"""Id of Sonic Talking Head in the graph."""
LOAD_VOICE, LOAD_IMAGE = "SonicGuardLoadVoice", "LoadImage"
PART = "sonic_guard_part"
"""Key of a part, where it is asked for and among the node's outputs where it is made."""
NODES = (CHECKPOINT_LOADER, LOADER, LOAD_IMAGE, LOAD_VOICE, TALKING_HEAD)
"""The nodes that a server needs for it."""
_PACKS = {LOADER: "ComfyUI_Sonic", LOAD_VOICE: "Sonic Guard", TALKING_HEAD: "Sonic Guard"}
"""Which pack a node is of. The others are ComfyUI's own."""


class Loaded(NamedTuple):
    """What the graph's loaders load."""

    image: str
    """Name of a file in ComfyUI's input folder, as `audio`."""
    audio: str
    track: int
    """Audio track, counted from 1."""
    checkpoint: str
    sonic_unet: str
    interpolate: bool
    dtype: str


class AskedPart(NamedTuple):
    """The one part of a video that a farm asks a server for.

    It is sent beside the graph, in what ComfyUI hands to nodes as EXTRA_PNGINFO: an input of the node would be in every
    user's workflow, and no user sets it.
    """

    part: int
    """From 0."""
    parts: int
    """Parts of the video."""
    longest: int
    """Latent frames that a part may have: with the sound it decides where the video is cut."""

    def beside(self) -> dict[str, Any]:
        """The prompt's ``extra_data``."""
        return {"extra_pnginfo": {PART: list(self)}}


def packs_of(nodes: Iterable[str]) -> list[str]:
    """The names of the packs that have these of `NODES`, each once."""
    return list(dict.fromkeys(_PACKS.get(node, "ComfyUI") for node in nodes))


def asked_part(extra_pnginfo: Any) -> AskedPart | None:
    """The part that was asked for beside the graph; None: the whole video."""
    asked = extra_pnginfo.get(PART) if isinstance(extra_pnginfo, dict) else None
    if not isinstance(asked, list) or [type(each) for each in asked] != [int] * len(AskedPart._fields):
        return None
    return AskedPart(*asked)


def talking_head_prompt(loaded: Loaded, widgets: Mapping[str, object]) -> dict[str, Any]:
    """The graph; `widgets` are those of Sonic Talking Head by their names."""
    model = {
        "model": ["files", 0], "sonic_unet": loaded.sonic_unet, "ip_audio_scale": 1.0,
        "use_interframe": loaded.interpolate, "dtype": loaded.dtype,
    }  # fmt: skip
    links = {
        "model": ["sonic", 0], "clip_vision": ["files", 1], "vae": ["files", 2], "image": ["portrait", 0],
        "audio": ["voice", 0],
    }  # fmt: skip
    return {
        "files": _node(CHECKPOINT_LOADER, ckpt_name=loaded.checkpoint),
        "sonic": _node(LOADER, **model),
        "portrait": _node(LOAD_IMAGE, image=loaded.image),
        "voice": _node(LOAD_VOICE, audio=loaded.audio, track=loaded.track),
        HEAD: _node(TALKING_HEAD, **links, **widgets),
    }


def _node(kind: str, **inputs: object) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}
