"""What a node of a graph will give, and the run that follows, without running anything.

The nodes upstream are evaluated one by one, this pack's own by the same operations as in their `execute`. Outputs of
unknown nodes are unknown; a stated assumption is used instead.
"""

import logging
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from ..comfy.api_graph import MAX_TEXT, Graph, Link, Node, parse_graph, upstream
from ..comfy.weight_files import SELECTED_BY, WeightFile, files_on, missing
from ..errors import GraphError, SonicGuardError
from ..job import Job
from ..optimizations import ESCALATION_ORDER
from ..planning.capabilities import LOW_VRAM, MODE, TALKING_HEAD
from ..relatives import LOADERS, Relative
from . import pack_nodes, sonic_nodes, upscaling
from .context import MOST_OUTPUTS, Context, Judged, Machine, Outcome
from .foreign import FOREIGN
from .foreign.builders import passes
from .kind import Kind
from .node_inputs import MAX_NUMBER, Assumption, Cause, Inputs, NotKnownError, Unknown
from .upscaling import FINISH, UPSCALE

log = logging.getLogger(__name__)


_SETTINGS = ("image", "min_resolution", "duration", "fps", "dtype", "use_interframe", "target_card", "reserve")
_FACE = ("aspect", "face_index", "face_box")
_PLANNING = (
    *("preset", "target_card", *_FACE, "margin", "min_resolution", "inference_steps", "seconds", "dynamic_scale"),
    *("on_risk", "policy", "cut_silence", "reserve"),
)
KINDS: Mapping[str, Kind] = {
    "SonicGuardPreflight": Kind(("image", "audio", *_PLANNING), pack_nodes.preflight),
    "SonicGuardAudioDuration": Kind(("audio", "cut_silence", "use_interframe"), pack_nodes.audio_duration),
    "SonicGuardLoadVoice": Kind(("audio", "track"), pack_nodes.load_voice),
    "SonicGuardFaceBox": Kind(("image", *_FACE), pack_nodes.face_box),
    "SonicGuardPreset": Kind(("preset", "audio"), pack_nodes.preset),
    "SonicGuardOOMRisk": Kind((*_SETTINGS, "stop"), pack_nodes.oom_risk),
    "SonicGuardAutoDowngrade": Kind((*_SETTINGS, "inference_steps", "policy"), pack_nodes.auto_downgrade),
    **dict(sonic_nodes.kinds()),
    LOW_VRAM: Kind(("model", "plan", MODE, *map(str, ESCALATION_ORDER), "target_card", "reserve"), pack_nodes.low_vram),
    TALKING_HEAD: Kind(
        ("model", "plan", "image", "audio", *_PLANNING, MODE, "part_s", "preview_s"),
        pack_nodes.talking_head,
    ),
    UPSCALE: Kind(("video", "upscale_model", "size", "device", "tile"), upscaling.upscale_video),
    FINISH: Kind(("video", "upscale_model", "preset", "height"), upscaling.finish_video),
    **dict.fromkeys(("SonicGuardSmooth", "SonicGuardLipSync"), passes("video", "video")),
    "SonicGuardInterpolate": Kind(("video",), upscaling.interpolate),
    "UpscaleModelLoader": Kind(("model_name",), upscaling.load_upscale_model),
    **FOREIGN,
}
"""By ComfyUI's name of the node."""
_FOR_ANOTHER = sonic_nodes.NODES | {LOW_VRAM}
"""Those whose run is that of the node they lead to."""
PREDICTED = _FOR_ANOTHER | {"SonicGuardPreflight", "SonicGuardOOMRisk", "SonicGuardAutoDowngrade", TALKING_HEAD}
"""The kinds that a prediction can be asked for."""


Setting = bool | int | float | str
"""What a node shows in one of its fields."""


class Evaluation(NamedTuple):
    """What a node will give."""

    outcome: Outcome
    assumed: tuple[Assumption, ...]
    """What could not be read from the graph."""
    outputs: Mapping[str, tuple[Any, ...] | Unknown]
    """Of each node upstream, by id."""


class Preview(NamedTuple):
    """A run that is predicted."""

    judged: Judged
    assumed: tuple[Assumption, ...]
    """What could not be read from the graph."""
    missing: tuple[WeightFile, ...] = ()
    """The weight files that the run needs and that are not there."""
    linked: Mapping[str, Setting] = {}
    """What the links into the node that was asked for will bring: its numbers and texts, as far as they are known."""
    linked_loaders: Mapping[str, Mapping[str, Setting]] = {}
    """The same of the loaders before it, which are not asked for, by their ids."""

    @property
    def unknown(self) -> bool:
        """Whether it rests on an assumption that its verdict depends on: nothing can be said about the run yet."""
        return any(assumption.material for assumption in self.assumed)


def preview(graph: Graph, node_id: str, machine: Machine, target: str = "auto") -> Preview:
    """The run that the node `node_id` of `graph` leads to.

    For Preflight and Auto Downgrade it is the run they plan, for OOM Risk and Sonic's nodes the one of their inputs,
    for Low VRAM that of the node it leads to, for Talking Head its longest part. `target` is the user's setting: the
    card of every node that names none.
    Raises `GraphError` for a graph that is not valid, `FileNameError` and `UnknownNameError` for files and presets
    that do not exist, and what the nodes themselves raise for settings no run can have.
    """
    if node_id not in graph:
        raise GraphError(f"node: there is no node {node_id!r:.{MAX_TEXT}} in the graph.")
    node = asked = graph[node_id]
    if node.type not in PREDICTED:
        raise GraphError(f"node: there is nothing to predict for a {node.type:.{MAX_TEXT}}.")
    if node.type in _FOR_ANOTHER:
        graph = graph | {_ASKED: sonic_nodes.sampler_of(graph, node_id)}
        node_id = _ASKED
    outcome, assumed, outputs = evaluate(graph, node_id, machine, target)
    assert outcome.judged  # noqa: S101  (`PREDICTED` are those that are judged)
    relative = outcome.judged.plan.job.relative
    files = _missing_files(graph, machine, relative)
    loaders = {key: _linked(graph[key], outputs) for key in outputs if graph[key].type in LOADERS}
    return Preview(outcome.judged, assumed, files, _linked(asked, outputs), loaders)


def evaluate(graph: Graph, node_id: str, machine: Machine, target: str = "auto") -> Evaluation:
    """What the node `node_id` of `graph` will give; of a kind that is not in `KINDS`, nothing. Raises as `preview`."""
    context, assumed = Context(machine, graph, target), dict[Assumption, None]()
    outputs: dict[str, tuple[Any, ...] | Unknown] = {}
    outcome = Outcome(())
    for current in upstream(graph, node_id, _needs):  # `node_id` is the last
        node = graph[current]
        if kind := KINDS.get(node.type):
            context.node_id = current
            try:
                outcome = kind.evaluate(Inputs(node, outputs, assumed), context)
                outputs[current] = outcome.outputs
            except NotKnownError as error:
                outcome = Outcome((error.unknown,) * MOST_OUTPUTS)
                outputs[current] = error.unknown
        else:
            outputs[current] = Unknown(Cause.NODE, node.type[:MAX_TEXT])
    return Evaluation(outcome, tuple(assumed), outputs)


def _linked(node: Node, outputs: Mapping[str, tuple[Any, ...] | Unknown]) -> dict[str, Setting]:
    inputs = Inputs(node, outputs, {})
    brought = {name: inputs.value(name) for name, value in node.inputs.items() if isinstance(value, Link)}
    return {name: value for name, value in brought.items() if _is_setting(value)}


def _is_setting(value: object) -> bool:
    """Whether a field can show it: a text of a usual length, or a number that JSON knows."""
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return isinstance(value, bool) or (isinstance(value, (int, float)) and -MAX_NUMBER < value < MAX_NUMBER)


def _missing_files(graph: Graph, machine: Machine, relative: Relative) -> tuple[WeightFile, ...]:
    selected = {
        node.type: name
        for node in graph.values()
        if isinstance(name := node.inputs.get(SELECTED_BY.get(node.type, "")), str)
    }
    return missing(files_on(relative, machine.has_models), machine.has_weights, selected)


def job_for(prompt: Mapping[str, Any], sampler_id: str, machine: Machine, target: str = "auto") -> Job | None:
    """The run that `sampler_id` is about to make in a whole prompt; None where it cannot be predicted.

    `target` is the user's setting, as in `preview`.
    """
    try:
        predicted = preview(parse_graph(prompt, max_nodes=None), sampler_id, machine, target)
    except SonicGuardError as error:
        log.debug("No prediction for node %s: %s", sampler_id, error)
        return None
    return None if predicted.unknown else predicted.judged.plan.job


_ASKED = ""
"""Id of the sampler that `sampler_of` returns; no node of a graph has it."""


def _needs(node: Node) -> Collection[str]:
    kind = KINDS.get(node.type)
    return kind.needed(node) if kind else ()
