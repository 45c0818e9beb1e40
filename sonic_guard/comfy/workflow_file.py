"""Builds ComfyUI workflows with Sonic: loaders and Sonic Talking Head, or Preflight and Sonic's own nodes.

The widgets of Sonic's own nodes hold the planned numbers and are also linked to Preflight. So the graph adapts to
another picture or sound, and still works if Preflight is deleted.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..job import Job
from ..optimizations import ESCALATION_ORDER, Mode, Optimization, Setting
from ..planning.capabilities import LOW_VRAM, TALKING_HEAD

_FORMAT_VERSION = 0.4
_OWN, _SONIC = "sonic-guard", "comfyui_sonic"
_SHORTEST_S = 1.0
"""Smallest value of SONIC_PreData's `duration` widget, which is used only in a graph without Preflight."""
PREFLIGHT_OUTPUTS = (
    ("plan", "SONIC_PLAN"),
    ("image", "IMAGE"),
    ("audio", "AUDIO"),
    ("min_resolution", "INT"),
    ("duration", "FLOAT"),
    ("expand_ratio", "FLOAT"),
    ("inference_steps", "INT"),
    ("dynamic_scale", "FLOAT"),
    ("fps", "FLOAT"),
    ("dtype", "*"),
    ("use_interframe", "BOOLEAN"),
    ("report", "STRING"),
    ("video_audio", "AUDIO"),
    ("video_fps", "FLOAT"),
)
"""Names and types of Preflight's outputs, in order. New ones go to the end: links refer to slot numbers."""
_LOW_VRAM_OUTPUTS = {"model": "MODEL_SONIC", "weight_dtype": "DTYPE", "report": "STRING"}
_TALKING_HEAD_OUTPUTS = {"video": "VIDEO", "preview": "IMAGE", "report": "STRING"}
_PREFIX = "video/SonicGuard"
"""File name prefix of the saved videos."""


class Way(StrEnum):
    """The nodes that run the settings from Preflight."""

    STOCK = "stock"
    """Sonic's three nodes."""
    LOW_VRAM = "low_vram"
    """The same with Sonic Low VRAM between them."""
    TALKING_HEAD = "talking_head"
    """Sonic's loader and Sonic Talking Head, which plans by itself."""


@dataclass
class _Node:
    """A node under construction; inputs are filled in as links are drawn."""

    id: int
    type: str
    position: tuple[int, int]
    size: tuple[int, int]
    outputs: list[tuple[str, str]]
    widgets: list[Any]
    pack: str = "comfy-core"
    inputs: list[dict[str, Any]] = field(default_factory=list)

    def input_slot(self, name: str, kind: str, widget: bool) -> int:
        entry: dict[str, Any] = {"name": name, "type": kind, "link": None}
        if widget:
            entry["widget"] = {"name": name}
        self.inputs.append(entry)
        return len(self.inputs) - 1


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[_Node] = []
        self.links: list[list[Any]] = []

    def add(
        self,
        kind: str,
        position: tuple[int, int],
        size: tuple[int, int],
        outputs: Mapping[str, str] | tuple[tuple[str, str], ...] = (),
        widgets: tuple[Any, ...] = (),
        pack: str = "comfy-core",
    ) -> _Node:
        pairs = list(outputs.items()) if isinstance(outputs, Mapping) else list(outputs)
        node = _Node(len(self.nodes) + 1, kind, position, size, pairs, list(widgets), pack)
        self.nodes.append(node)
        return node

    def link(
        self, source: _Node, output: str, target: _Node, name: str, *, widget: bool = False, kind: str = ""
    ) -> None:
        names = [pair[0] for pair in source.outputs]
        slot = names.index(output)
        kind = kind or source.outputs[slot][1]
        target_slot = target.input_slot(name, kind, widget)
        number = len(self.links) + 1
        target.inputs[target_slot]["link"] = number
        self.links.append([number, source.id, slot, target.id, target_slot, source.outputs[slot][1]])

    def to_dict(self) -> dict[str, Any]:
        return {
            # Derived from the content, so that a regenerated file is identical.
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, repr([(n.type, n.widgets) for n in self.nodes]))),
            "revision": 0,
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": [self._node(order, node) for order, node in enumerate(self.nodes)],
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {},
            "version": _FORMAT_VERSION,
        }

    def _node(self, order: int, node: _Node) -> dict[str, Any]:
        outputs = [
            {
                "name": name,
                "type": kind,
                "links": [n for n, source, slot, *_ in self.links if (source, slot) == (node.id, i)],
            }
            for i, (name, kind) in enumerate(node.outputs)
        ]
        return {
            "id": node.id,
            "type": node.type,
            "pos": list(node.position),
            "size": list(node.size),
            "flags": {},
            "order": order,
            "mode": 0,
            "inputs": node.inputs,
            "outputs": outputs,
            "properties": {"cnr_id": node.pack, "Node name for S&R": node.type},
            "widgets_values": node.widgets,
        }


@dataclass(frozen=True)
class WorkflowSettings:
    """The values of a workflow that do not follow from its job."""

    image: str
    """Name of a file in ComfyUI's input folder, as `audio`."""
    audio: str
    preset: str = "fast"
    """Value of Preflight's widget of this name, as the next fields."""
    target: str = "auto"
    on_risk: str = "downgrade"
    policy: str = "lossless_first"
    aspect: str = "original"
    face_index: int = 0
    face_box: str = ""
    reserve: float = 0.1
    language: str = "en"
    checkpoint: str = "svd_xt_1_1.safetensors"
    """Name of the SVD checkpoint."""
    sonic_unet: str = "unet.pth"
    """Name of Sonic's weights."""
    way: Way = Way.TALKING_HEAD
    mode: Mode = Mode.AUTO
    """Of Sonic Low VRAM or Talking Head."""
    optimizations: Mapping[Optimization, Setting] = field(default_factory=dict)
    """Single ones that Sonic Low VRAM sets otherwise than the mode."""
    note: str = ""
    """Markdown of a note in the graph; empty for none."""


def build_workflow(job: Job, settings: WorkflowSettings) -> dict[str, Any]:
    """The graph in ComfyUI's UI format 0.4, with the numbers of `job` in the widgets of the nodes after Preflight."""
    graph = _Graph()
    picture = graph.add(
        "LoadImage", (0, 200), (320, 340), {"IMAGE": "IMAGE", "MASK": "MASK"}, (settings.image, "image")
    )
    sound = graph.add("LoadAudio", (0, 620), (320, 140), {"AUDIO": "AUDIO"}, (settings.audio, None, None))
    files = graph.add(
        "ImageOnlyCheckpointLoader", (380, 0), (400, 100),
        {"MODEL": "MODEL", "CLIP_VISION": "CLIP_VISION", "VAE": "VAE"}, (settings.checkpoint,),
    )  # fmt: skip
    model = graph.add(
        "SONICTLoader", (860, 0), (300, 160), {"model": "MODEL_SONIC", "weight_dtype": "DTYPE"},
        (settings.sonic_unet, 1.0, job.interpolate, str(job.dtype)), _SONIC,
    )  # fmt: skip
    graph.link(files, "MODEL", model, "model")
    if settings.way is Way.TALKING_HEAD:
        _add_talking_head(graph, settings, picture, sound, files, model)
    else:
        check = _add_preflight(graph, settings)
        graph.link(picture, "IMAGE", check, "image")
        graph.link(sound, "AUDIO", check, "audio")
        graph.link(check, "use_interframe", model, "use_interframe", widget=True)
        graph.link(check, "dtype", model, "dtype", widget=True, kind="COMBO")
        if settings.way is Way.LOW_VRAM:
            model = _add_low_vram(graph, check, model, settings)
        _add_sonic(graph, job, check, files, model, _POSITIONS[settings.way])
    if settings.note:
        graph.add("MarkdownNote", (0, 840), (320, 250), (), (settings.note,))
    return graph.to_dict()


def _add_preflight(graph: _Graph, settings: WorkflowSettings) -> _Node:
    widgets = (*_planning(settings), settings.language)
    return graph.add("SonicGuardPreflight", (380, 200), (400, 1010), PREFLIGHT_OUTPUTS, widgets, _OWN)


def _planning(settings: WorkflowSettings) -> tuple[Any, ...]:
    """The widgets by which Preflight and Talking Head plan: the overrides are 0, the preset's."""
    return (
        settings.preset, settings.target, settings.aspect, settings.face_index, settings.face_box, 0.0, 0, 0, 0.0, 0.0,
        settings.on_risk, settings.policy, False, settings.reserve,
    )  # fmt: skip


_POSITIONS = {
    Way.STOCK: ((860, 260), (1240, 0), (1240, 420), (1620, 0)),
    Way.LOW_VRAM: ((1240, 0), (1240, 400), (1620, 0), (1620, 180)),
}
"""Positions of SONIC_PreData, SONICSampler, Create Video and Save Video."""


def _add_sonic(
    graph: _Graph, job: Job, check: _Node, files: _Node, model: _Node, positions: tuple[tuple[int, int], ...]
) -> None:
    """Add Sonic's other nodes after `model`, and those that make a video of its pictures."""
    data = graph.add(
        "SONIC_PreData", positions[0], (300, 330), {"data_dict": "SONIC_PREDATA"},
        (job.min_resolution, max(_SHORTEST_S, round(job.duration_s, 2)), job.expand_ratio), _SONIC,
    )  # fmt: skip
    sampler = graph.add(
        "SONICSampler", positions[1], (300, 320), {"image": "IMAGE", "fps": "FLOAT"},
        (0, "fixed", job.steps, job.dynamic_scale, job.fps), _SONIC,
    )  # fmt: skip
    video = graph.add("CreateVideo", positions[2], (300, 110), {"VIDEO": "VIDEO"}, (job.output_fps,))
    save = graph.add("SaveVideo", positions[3], (420, 460), (), (_PREFIX, "auto", "auto"))
    graph.link(files, "CLIP_VISION", data, "clip_vision")
    graph.link(files, "VAE", data, "vae")
    graph.link(check, "audio", data, "audio")
    graph.link(check, "image", data, "image")
    graph.link(model, "weight_dtype", data, "weight_dtype")
    for name in ("min_resolution", "duration", "expand_ratio"):
        graph.link(check, name, data, name, widget=True)
    graph.link(model, "model", sampler, "model")
    graph.link(data, "data_dict", sampler, "data_dict")
    for name in ("inference_steps", "dynamic_scale", "fps"):
        graph.link(check, name, sampler, name, widget=True)
    graph.link(sampler, "image", video, "images")
    graph.link(check, "video_audio", video, "audio")
    graph.link(check, "video_fps", video, "fps", widget=True)
    graph.link(video, "VIDEO", save, "video")


def _add_low_vram(graph: _Graph, check: _Node, model: _Node, settings: WorkflowSettings) -> _Node:
    """Add Sonic Low VRAM after `model`."""
    switches = (str(settings.optimizations.get(each, Setting.MODE)) for each in ESCALATION_ORDER)
    node = graph.add(
        LOW_VRAM, (860, 260), (300, 420), _LOW_VRAM_OUTPUTS,
        (str(settings.mode), *switches, settings.target, settings.reserve, settings.language), _OWN,
    )  # fmt: skip
    graph.link(model, "model", node, "model")
    graph.link(check, "plan", node, "plan")
    return node


def _add_talking_head(
    graph: _Graph, settings: WorkflowSettings, picture: _Node, sound: _Node, files: _Node, model: _Node
) -> None:
    """Add Sonic Talking Head after the loaders; it saves the video itself."""
    fp8 = settings.optimizations.get(Optimization.FP8_WEIGHTS) is Setting.AUTO
    node = graph.add(
        TALKING_HEAD, (860, 260), (420, 640), _TALKING_HEAD_OUTPUTS,
        (
            *_planning(settings), 0.0, 0, str(settings.mode), fp8, 0.0, "h264", 18, "medium", _PREFIX,
            settings.language,
        ),
        _OWN,
    )  # fmt: skip
    graph.link(model, "model", node, "model")
    graph.link(files, "CLIP_VISION", node, "clip_vision")
    graph.link(files, "VAE", node, "vae")
    graph.link(picture, "IMAGE", node, "image")
    graph.link(sound, "AUDIO", node, "audio")


_WEIGHTS = """
Weights: **svd_xt_1_1.safetensors** in **models/checkpoints**, and Sonic's own in **models/sonic**.
"""
_EXAMPLES = {
    "Sonic Guard - 1 Talking head": (
        Way.TALKING_HEAD,
        """## A portrait and a voice
1. Choose both on the left, then run.
2. **Sonic Talking Head** chooses what fits your graphics card and writes the video to **output/video**. Its card \
shows the memory before the run.
3. If the run was stopped, run the same graph again: it resumes after the last completed **denoising step**.
""",
    ),
    "Sonic Guard - 2 Sonic's own nodes": (
        Way.LOW_VRAM,
        """## Sonic's own nodes on a small card
1. Choose an image and an audio file, then run.
2. **Preflight** plans the size and the memory optimizations for your graphics card. **Sonic Low VRAM** enables them: \
the same frames in less memory.
""",
    ),
}
"""By the example's name, in the order a newcomer needs: the nodes that run it, and its note."""


def example_texts() -> dict[str, str]:
    """The content of ``example_workflows/NAME.json`` by name; write it there to regenerate the files."""
    graphs = {
        name: build_workflow(
            Job(512, 512, 10.0), WorkflowSettings("portrait.jpg", "speech.mp3", way=way, note=note + _WEIGHTS)
        )
        for name, (way, note) in _EXAMPLES.items()
    }
    return {name: json.dumps(graph, indent=1, ensure_ascii=False) + "\n" for name, graph in graphs.items()}
