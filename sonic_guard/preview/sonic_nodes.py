"""What the three nodes of the Sonic wrapper would run with."""

from collections.abc import Collection
from dataclasses import replace

from ..comfy.api_graph import Graph, Link, Node
from ..comfy.sonic_objects import LOADER, PREDATA, SAMPLER
from ..job import Dtype, Job
from ..optimizations import Optimization
from ..planning.capabilities import LONG_VIDEO, LOW_VRAM
from ..planning.capacity import Span
from .context import ASSUMED_SOUND_S, Context, Outcome
from .node_inputs import UNKNOWN, Data, Inputs, Loader, OffloadedDtype

TRIO = frozenset({LOADER, PREDATA, SAMPLER})


def loader(inputs: Inputs, context: Context) -> Outcome:
    """SONICTLoader."""
    dtype = inputs.word("dtype", Dtype, Dtype.FP16)
    return Outcome((Loader(dtype, inputs.flag("use_interframe", True)), dtype))


def predata(inputs: Inputs, context: Context) -> Outcome:
    """SONIC_PreData."""
    duration = inputs.number("duration", ASSUMED_SOUND_S)
    sound_s = context.sound_s(inputs)
    if sound_s is None:
        inputs.assume("sound", value=duration)
        sound_s = duration
    return Outcome((
        Data(
            context.picture(inputs),
            min(duration, sound_s),
            inputs.whole("min_resolution", 512),
            inputs.number("expand_ratio", 0.5, matters=False),
            isinstance(inputs.get("weight_dtype"), OffloadedDtype),
        ),
    ))  # fmt: skip


def sampler(inputs: Inputs, context: Context) -> Outcome:
    """SONICSampler. The others' parts that are not connected are assumed with their defaults."""
    model = model_of(inputs, context)
    data = inputs.of("data_dict", Data) or predata(inputs.nothing(), context).outputs[0]
    guard = context.guard_in_front()
    capacity = context.capacity(guard)
    fps = inputs.number("fps", 25.0)
    job = Job(
        data.picture.width,
        data.picture.height,
        data.sound_s,
        min_resolution=data.min_resolution,
        fps=fps,
        dtype=model.dtype,
        steps=inputs.whole("inference_steps", 25),
        dynamic_scale=inputs.number("dynamic_scale", 1.0, matters=False),
        expand_ratio=data.expand_ratio,
        interpolate=model.interpolate,
        vae_dtype=Dtype.BF16 if capacity.budget.bf16 else Dtype.FP32,
    )
    if model.low_vram is None:
        return Outcome((UNKNOWN, fps), context.judge(job, guard, capacity, low_vram=True))
    switches = model.low_vram.switches
    job, left = switches.enable(job, context.own_capacity(model.low_vram, guard), Span.SAMPLER), switches.auto
    if not data.unet_offloaded:  # then to park the UNet comes too late; a wire would help
        job, left = (
            replace(job, optimizations=job.optimizations - {Optimization.UNET_OFFLOAD}),
            left | switches.on & {Optimization.UNET_OFFLOAD},
        )
    return Outcome((UNKNOWN, fps), context.judge(job, guard, capacity, available=left))


def model_of(inputs: Inputs, context: Context) -> Loader:
    """The model at an input; where it is not known, what SONICTLoader gives with its defaults."""
    return inputs.of("model", Loader) or loader(inputs.nothing(), context).outputs[0]


def sampler_of(graph: Graph, node_id: str) -> Node:
    """The node that runs what `node_id`, one of Sonic's or Sonic Low VRAM, is for: a sampler or Sonic Long Video.

    Where there is none yet it is a sampler that has what is there of its trio.
    """
    node = graph[node_id]
    if node.type == SAMPLER:
        return node
    models = set() if node.type == PREDATA else {node_id}
    while more := {
        key
        for key, each in graph.items()
        if key not in models and each.type == LOW_VRAM and _fed(each, "model", models)
    }:
        models |= more
    data = {key for key, each in graph.items() if each.type == PREDATA and _fed(each, "weight_dtype", models)}
    data |= {node_id} - models
    for each in graph.values():
        if each.type in (SAMPLER, LONG_VIDEO) and (_fed(each, "model", models) or _fed(each, "data_dict", data)):
            return each
    data_id = min(data, default=None)
    dtype = graph[data_id].inputs.get("weight_dtype") if data_id else Link(node_id, 1)
    links = {"model": Link(dtype.node, 0)} if isinstance(dtype, Link) else {}
    return Node(SAMPLER, links | ({"data_dict": Link(data_id, 0)} if data_id else {}))


def _fed(node: Node, name: str, sources: Collection[str]) -> bool:
    link = node.inputs.get(name)
    return isinstance(link, Link) and link.node in sources
