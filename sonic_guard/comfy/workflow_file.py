"""Builds ComfyUI workflows with Sonic: loaders and Sonic Talking Head, or Preflight and Sonic's own nodes.

The widgets of Sonic's own nodes hold the planned numbers and are also linked to Preflight. So the graph adapts to
another picture or sound, and still works if Preflight is deleted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..job import Job
from ..optimizations import ESCALATION_ORDER, Mode, Optimization, Setting
from ..planning.capabilities import LOW_VRAM, TALKING_HEAD
from ..relatives import MODEL_TYPES
from .sonic_objects import LOADER, PREDATA, SAMPLER
from .ui_graph import Promoted, Slot, UiGraph, UiNode
from .weight_files import CHECKPOINT_LOADER, SELECTED_BY, WEIGHT_FILES

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
_LOW_VRAM_OUTPUTS = {"model": MODEL_TYPES, "report": "STRING"}
_TALKING_HEAD_OUTPUTS = {"video": "VIDEO", "preview": "IMAGE", "report": "STRING"}
TALKING_HEAD_INPUTS = (
    *(
        Slot(name, kind)
        for name, kind in (
            ("model", "MODEL_SONIC"), ("clip_vision", "CLIP_VISION"), ("vae", "VAE"), ("image", "IMAGE"),
            ("audio", "AUDIO"), ("plan", "SONIC_PLAN"), ("upscale_model", "UPSCALE_MODEL"),
        )
    ),
    *(
        Slot(name, kind, widget=True)
        for name, kind in (
            ("preset", "COMBO"), ("target_card", "COMBO"), ("aspect", "COMBO"), ("face_index", "INT"),
            ("face_box", "STRING"), ("margin", "FLOAT"), ("min_resolution", "INT"), ("inference_steps", "INT"),
            ("seconds", "FLOAT"), ("dynamic_scale", "FLOAT"), ("on_risk", "COMBO"), ("policy", "COMBO"),
            ("cut_silence", "BOOLEAN"), ("reserve", "FLOAT"), ("preview_s", "FLOAT"), ("seed", "INT"),
            ("mode", "COMBO"), ("part_s", "FLOAT"), ("format", "COMBO"), ("crf", "INT"),
            ("encoder_preset", "COMBO"), ("filename_prefix", "STRING"), ("language", "COMBO"),
            ("finish", "COMBO"), ("overlapped_decode", "BOOLEAN"),
        )
    ),
)  # fmt: skip
"""All inputs of Sonic Talking Head, in order."""
SHOWN = ("image", "audio", "preset", "target_card", "aspect", "min_resolution", "seconds", "preview_s")
"""Those that the blueprint shows."""
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


@dataclass(frozen=True)
class WorkflowSettings:
    """The values of a workflow that do not follow from its job."""

    image: str
    """Name of a file in ComfyUI's input folder, as `audio`."""
    audio: str
    track: int | None = None
    """The audio track that Load Voice takes; None: Load Audio takes the first one."""
    preset: str = "fast"
    """Value of Preflight's widget of this name, as the next fields."""
    target: str = "auto"
    on_risk: str = "downgrade"
    policy: str = "lossless_first"
    aspect: str = "original"
    face_index: int = 0
    face_box: str = ""
    reserve: float = 0.1
    language: str = "auto"
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
    graph = UiGraph()
    picture = graph.add("LoadImage", (0, 0), (320, 340), {"IMAGE": "IMAGE", "MASK": "MASK"}, (settings.image, "image"))
    sound = _add_voice(graph, settings)
    files, model = _add_loaders(graph, job, settings)
    if settings.way is Way.TALKING_HEAD:
        if settings.optimizations:
            model = _add_low_vram(graph, model, settings)
        node = _add_talking_head(graph, settings, files, model)
        graph.link(picture, "IMAGE", node, "image")
        graph.link(sound, sound.outputs[0][0], node, "audio")
    else:
        check = _add_preflight(graph, settings)
        graph.link(picture, "IMAGE", check, "image")
        graph.link(sound, sound.outputs[0][0], check, "audio")
        graph.link(check, "use_interframe", model, "use_interframe", widget=True)
        graph.link(check, "dtype", model, "dtype", widget=True, kind="COMBO")
        lean = model
        if settings.way is Way.LOW_VRAM:
            lean = _add_low_vram(graph, model, settings)
            graph.link(check, "plan", lean, "plan")
        _add_sonic(graph, job, check, files, (model, lean), _POSITIONS[settings.way])
    if settings.note:
        graph.add("MarkdownNote", (-500, 0), (460, 480), (), (settings.note,))
    return graph.to_dict([file for file in WEIGHT_FILES if not file.is_selected])


def _add_voice(graph: UiGraph, settings: WorkflowSettings) -> UiNode:
    if settings.track is None:
        return graph.add("LoadAudio", (0, 400), (320, 140), {"AUDIO": "AUDIO"}, (settings.audio, None, None))
    widgets = (settings.audio, settings.track, None)
    return graph.add("SonicGuardLoadVoice", (0, 400), (320, 140), {"audio": "AUDIO"}, widgets, _OWN)


def _add_loaders(graph: UiGraph, job: Job, settings: WorkflowSettings) -> tuple[UiNode, UiNode]:
    """Add the loaders of the checkpoint and of Sonic's network."""
    selected = {file.node: [file] for file in WEIGHT_FILES if file.is_selected}
    files = graph.add(
        CHECKPOINT_LOADER, (380, 0), (400, 100), {"MODEL": "MODEL", "CLIP_VISION": "CLIP_VISION", "VAE": "VAE"},
        (settings.checkpoint,), models=selected[CHECKPOINT_LOADER],
    )  # fmt: skip
    position = (380, 160) if settings.way is Way.TALKING_HEAD else (860, 0)
    model = graph.add(
        LOADER, position, (400, 160), {"model": "MODEL_SONIC", "weight_dtype": "DTYPE"},
        (settings.sonic_unet, 1.0, job.interpolate, str(job.dtype)), _SONIC, selected[LOADER],
    )  # fmt: skip
    graph.link(files, "MODEL", model, "model")
    return files, model


def _add_preflight(graph: UiGraph, settings: WorkflowSettings) -> UiNode:
    widgets = (*_planning(settings), settings.language)
    return graph.add("SonicGuardPreflight", (380, 200), (400, 1090), PREFLIGHT_OUTPUTS, widgets, _OWN)


def _planning(settings: WorkflowSettings) -> tuple[Any, ...]:
    """The widgets by which Preflight and Talking Head plan: the overrides are 0, the preset's."""
    return (
        settings.preset, settings.target, settings.aspect, settings.face_index, settings.face_box, 0.0, 0, 0, 0.0, 0.0,
        settings.on_risk, settings.policy, False, settings.reserve,
    )  # fmt: skip


_POSITIONS = {
    Way.STOCK: ((860, 260), (1320, 0), (1320, 420), (1680, 0)),
    Way.LOW_VRAM: ((1320, 0), (1320, 400), (1680, 0), (1680, 180)),
}
"""Positions of SONIC_PreData, SONICSampler, Create Video and Save Video."""


def _add_sonic(
    graph: UiGraph,
    job: Job,
    check: UiNode,
    files: UiNode,
    models: tuple[UiNode, UiNode],
    positions: tuple[tuple[int, int], ...],
) -> None:
    """Add Sonic's other nodes, and those that make a video of its pictures.

    `models` are the loader, and what gives the sampler its model: the loader or Sonic Low VRAM.
    """
    loader, model = models
    data = graph.add(
        PREDATA, positions[0], (300, 330), {"data_dict": "SONIC_PREDATA"},
        (job.min_resolution, max(_SHORTEST_S, round(job.duration_s, 2)), job.expand_ratio), _SONIC,
    )  # fmt: skip
    sampler = graph.add(
        SAMPLER, positions[1], (300, 320), {"image": "IMAGE", "fps": "FLOAT"},
        (0, "fixed", job.steps, job.dynamic_scale, job.fps), _SONIC,
    )  # fmt: skip
    video = graph.add("CreateVideo", positions[2], (300, 110), {"VIDEO": "VIDEO"}, (job.output_fps,))
    save = graph.add("SaveVideo", positions[3], (420, 460), (), (_PREFIX, "auto", "auto"))
    graph.link(files, "CLIP_VISION", data, "clip_vision")
    graph.link(files, "VAE", data, "vae")
    graph.link(check, "audio", data, "audio")
    graph.link(check, "image", data, "image")
    graph.link(loader, "weight_dtype", data, "weight_dtype")
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


def _add_low_vram(graph: UiGraph, model: UiNode, settings: WorkflowSettings) -> UiNode:
    """Add Sonic Low VRAM after `model`."""
    position = (380, 380) if settings.way is Way.TALKING_HEAD else (860, 260)
    switches = (str(settings.optimizations.get(each, Setting.MODE)) for each in ESCALATION_ORDER)
    node = graph.add(
        LOW_VRAM, position, (400, 420), _LOW_VRAM_OUTPUTS,
        (str(settings.mode), *switches, settings.target, settings.reserve, settings.language, False), _OWN,
    )  # fmt: skip
    graph.link(model, "model", node, "model")
    return node


def _add_talking_head(graph: UiGraph, settings: WorkflowSettings, files: UiNode, model: UiNode) -> UiNode:
    """Add Sonic Talking Head after the loaders; it saves the video itself."""
    node = graph.add(
        TALKING_HEAD, (840, 0), (420, 1120), _TALKING_HEAD_OUTPUTS,
        (
            *_planning(settings), 0.0, 0, str(settings.mode), 0.0, "h264", 18, "medium", _PREFIX,
            settings.language, "off", False,
        ),
        _OWN,
    )  # fmt: skip
    node.declare(TALKING_HEAD_INPUTS)
    graph.link(model, "model", node, "model")
    graph.link(files, "CLIP_VISION", node, "clip_vision")
    graph.link(files, "VAE", node, "vae")
    return node


def build_blueprint(name: str, description: str, category: str, settings: WorkflowSettings) -> dict[str, Any]:
    """The loaders and Sonic Talking Head as one subgraph, with the inputs that a user may want to set."""
    graph = UiGraph()
    files, model = _add_loaders(graph, Job(512, 512, 10.0), settings)
    node = _add_talking_head(graph, settings, files, model)
    slots = {slot.name: slot for slot in TALKING_HEAD_INPUTS}
    shown = [Promoted(node, slots[name]) for name in SHOWN]
    shown += [Promoted(owner, Slot(SELECTED_BY[owner.type], "COMBO", widget=True)) for owner in (files, model)]
    return graph.to_blueprint(name, description, category, shown, (node,))
