"""The graphs of the end-to-end tests. Names of nodes and of inputs are here and in `tests.support.graphs` only."""

from sonic_guard.optimizations import EVERY
from tests.support.graphs import Graph, low_vram, low_vram_trio, node, sources, talking_head, trio
from tests.support.workflow_prompts import api_graph

PICTURE, VOICE, SPEECH = "portrait.jpg", "voice.wav", "speech.wav"
VOICE_S, SPEECH_S = 0.6, 12.0
"""Seconds of the two sounds."""
WINDOW = 8.0
"""`fps` of the short runs: their seven latent frames go through the network in one window."""
PRESET = {
    "name": "tiny", "min_resolution": 128, "inference_steps": 1, "fps": WINDOW, "dtype": "fp32", "duration": "auto",
}  # fmt: skip
"""A preset of the user's, for nodes that plan."""
NARROW_PRESET = PRESET | {"name": "narrow", "inference_steps": 3, "fps": 5.0, "use_interframe": False}
"""For a video in parts: short windows allow short parts."""
CARD = "24 GiB"
"""What nodes plan for, so that the plan is the same whatever memory is free at the moment."""

_TINY = {
    "dtype": "fp32", "min_resolution": 128, "duration": 1.0, "inference_steps": 1, "fps": WINDOW, "seed": 3,
}  # fmt: skip
_SOURCES = sources(PICTURE, VOICE)


def _saved(name: str) -> Graph:
    """Nodes after the sampler: a video file, and the frames as they are."""
    video = {"images": ["7", 0], "audio": ["2", 0], "fps": 25.0}
    return {
        "8": node("CreateVideo", **video),
        "9": node("SaveVideo", video=["8", 0], filename_prefix=name, format="auto", codec="auto"),
        "keep": node("KeepFrames", images=["7", 0], name=name),
    }


def stock(name: str) -> Graph:
    """The wrapper's three nodes."""
    return _SOURCES | trio(**_TINY) | _saved(name)


def optimized(name: str) -> Graph:
    """The three nodes with Low VRAM between them, every optimization enabled."""
    switches = {str(each): "on" for each in EVERY}
    return _SOURCES | low_vram_trio(**_TINY) | low_vram(**switches) | _saved(name)


def two_parts(prefix: str) -> Graph:
    """Talking Head of `SPEECH` in two parts of three steps, without frame interpolation; node `TALKING_HEAD`.

    The card is named, so that every run has the same optimizations: others round otherwise, and a lossy encoder makes
    much of little. The file is lossless for the same reason.
    """
    loaders = {name: trio(dtype="fp32", use_interframe=False)[name] for name in ("4", "5")}
    settings = {
        "preset": NARROW_PRESET["name"], "target_card": CARD, "aspect": "none", "seed": 3, "part_s": PART_S,
        "format": "ffv1", "filename_prefix": prefix,
    }  # fmt: skip
    return sources(PICTURE, SPEECH) | talking_head(**settings) | loaders


TALKING_HEAD = "11"
PART_S = 11.4
"""The shortest parts for windows of 5 frames, so that `SPEECH` is made in two."""


def from_template(workflow: dict, infos: dict) -> Graph:
    """An example workflow as the page sends it, with the tests' files and preset.

    Its links stay, so what Preflight plans is what runs; only the number format is set to fp32, because a CPU takes
    minutes for a step in fp16.
    """
    files = {"LoadImage": {"image": PICTURE}, "LoadAudio": {"audio": VOICE}, "SONICTLoader": {"dtype": "fp32"}}
    graph = api_graph(workflow, infos)
    for each in graph.values():
        inputs = each["inputs"]
        inputs |= files.get(each["class_type"], {})
        if "preset" in inputs:
            inputs["preset"] = PRESET["name"]
        if "target_card" in inputs:
            inputs["target_card"] = CARD
    return graph
