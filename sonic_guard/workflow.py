"""A ComfyUI workflow around Sonic, ready to load: files, Preflight and Sonic's own nodes with their values.

The widgets of Sonic's nodes hold the planned numbers and are also linked to Preflight, so the graph works
as it is, follows another picture or sound, and still says something with Preflight deleted.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .job import Job

_FORMAT_VERSION = 0.4
_SONIC = "comfyui_sonic"
_SHORTEST_S = 1.0
"""The least SONIC_PreData's own `duration` widget takes. It matters for a graph without Preflight only."""
PREFLIGHT_OUTPUTS = (
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
"""Names and types of Preflight's outputs, in order. New ones go to the end: links count slots."""


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
            # The same graph has the same id, so that a regenerated file does not differ.
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


def build_workflow(
    job: Job,
    *,
    image: str,
    audio: str,
    preset: str = "fast",
    target: str = "auto",
    on_risk: str = "downgrade",
    policy: str = "lossless_first",
    aspect: str = "original",
    face_index: int = 0,
    face_box: str = "",
    reserve: float = 0.1,
    language: str = "en",
    checkpoint: str = "svd_xt_1_1.safetensors",
    sonic_unet: str = "unet.pth",
) -> dict[str, Any]:
    """The graph as ComfyUI's UI format 0.4.

    `image` and `audio` are names of files in ComfyUI's input folder; `preset`, `target`, `on_risk`,
    `policy` and `aspect` go into Preflight's widgets, the numbers of `job` into those of Sonic's nodes.
    """
    graph = _Graph()
    picture = graph.add("LoadImage", (0, 200), (320, 340), {"IMAGE": "IMAGE", "MASK": "MASK"}, (image, "image"))
    sound = graph.add("LoadAudio", (0, 620), (320, 140), {"AUDIO": "AUDIO"}, (audio, None, None))
    check = graph.add(
        "SonicGuardPreflight", (380, 200), (400, 1010), PREFLIGHT_OUTPUTS,
        (preset, target, on_risk, policy, aspect, face_index, face_box, False, reserve, language), "sonic-guard",
    )  # fmt: skip
    model = graph.add(
        "ImageOnlyCheckpointLoader", (380, 0), (400, 100),
        {"MODEL": "MODEL", "CLIP_VISION": "CLIP_VISION", "VAE": "VAE"}, (checkpoint,),
    )  # fmt: skip
    loader = graph.add(
        "SONICTLoader", (860, 0), (300, 160), {"model": "MODEL_SONIC", "weight_dtype": "DTYPE"},
        (sonic_unet, 1.0, job.interpolate, str(job.dtype)), _SONIC,
    )  # fmt: skip
    data = graph.add(
        "SONIC_PreData", (860, 260), (300, 330), {"data_dict": "SONIC_PREDATA"},
        (job.min_resolution, max(_SHORTEST_S, round(job.duration_s, 2)), job.expand_ratio), _SONIC,
    )  # fmt: skip
    sampler = graph.add(
        "SONICSampler", (1240, 0), (300, 320), {"image": "IMAGE", "fps": "FLOAT"},
        (0, "fixed", job.steps, job.dynamic_scale, job.fps), _SONIC,
    )  # fmt: skip
    video = graph.add("CreateVideo", (1240, 420), (300, 110), {"VIDEO": "VIDEO"}, (job.output_fps,))
    save = graph.add("SaveVideo", (1620, 0), (420, 460), (), ("video/SonicGuard", "auto", "auto"))

    graph.link(picture, "IMAGE", check, "image")
    graph.link(sound, "AUDIO", check, "audio")
    graph.link(model, "MODEL", loader, "model")
    graph.link(check, "use_interframe", loader, "use_interframe", widget=True)
    graph.link(check, "dtype", loader, "dtype", widget=True, kind="COMBO")
    graph.link(model, "CLIP_VISION", data, "clip_vision")
    graph.link(model, "VAE", data, "vae")
    graph.link(check, "audio", data, "audio")
    graph.link(check, "image", data, "image")
    graph.link(loader, "weight_dtype", data, "weight_dtype")
    for name in ("min_resolution", "duration", "expand_ratio"):
        graph.link(check, name, data, name, widget=True)
    graph.link(loader, "model", sampler, "model")
    graph.link(data, "data_dict", sampler, "data_dict")
    for name in ("inference_steps", "dynamic_scale", "fps"):
        graph.link(check, name, sampler, name, widget=True)
    graph.link(sampler, "image", video, "images")
    graph.link(check, "video_audio", video, "audio")
    graph.link(check, "video_fps", video, "fps", widget=True)
    graph.link(video, "VIDEO", save, "video")
    return graph.to_dict()


def example_text() -> str:
    """What ``example_workflows/Sonic Guard - Preflight.json`` has to contain; write it there to renew the file."""
    graph = build_workflow(Job(512, 512, 10.0), image="portrait.jpg", audio="speech.mp3")
    return json.dumps(graph, indent=1, ensure_ascii=False) + "\n"
