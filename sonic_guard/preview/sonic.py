"""What the three nodes of the Sonic wrapper would run with."""

from ..job import Dtype, Job
from .context import ASSUMED_SOUND_S, Context, Outcome
from .graph import Graph, Link, Node
from .inputs import UNKNOWN, Data, Inputs, Loader

LOADER, PREDATA, SAMPLER = "SONICTLoader", "SONIC_PreData", "SONICSampler"
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
        ),
    ))  # fmt: skip


def sampler(inputs: Inputs, context: Context) -> Outcome:
    """SONICSampler. The others' parts that are not connected are assumed with their defaults."""
    model = inputs.of("model", Loader) or loader(inputs.nothing(), context).outputs[0]
    data = inputs.of("data_dict", Data) or predata(inputs.nothing(), context).outputs[0]
    guard = context.guard_in_front()
    budget = context.budget(guard)
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
        vae_dtype=Dtype.BF16 if budget.bf16 else Dtype.FP32,
    )
    return Outcome((UNKNOWN, fps), context.judge(job, guard, budget))


def sampler_of(graph: Graph, node_id: str) -> Node:
    """The sampler that the Sonic node `node_id` belongs to; where it has none yet, one of its own trio as it is."""
    node = graph[node_id]
    if node.type == SAMPLER:
        return node
    data_id = node_id if node.type == PREDATA else _first(graph, PREDATA, "weight_dtype", node_id)
    for candidate in graph.values():
        if candidate.type == SAMPLER and (
            _leads(candidate, "model", node_id) or (data_id and _leads(candidate, "data_dict", data_id))
        ):
            return candidate
    dtype = graph[data_id].inputs.get("weight_dtype") if data_id else Link(node_id, 1)
    links = {"model": Link(dtype.node, 0)} if isinstance(dtype, Link) else {}
    return Node(SAMPLER, links | ({"data_dict": Link(data_id, 0)} if data_id else {}))


def _leads(node: Node, name: str, source_id: str) -> bool:
    link = node.inputs.get(name)
    return isinstance(link, Link) and link.node == source_id


def _first(graph: Graph, kind: str, name: str, source_id: str) -> str | None:
    """The first node of a kind whose input `name` comes from `source_id`."""
    return next((key for key, node in graph.items() if node.type == kind and _leads(node, name, source_id)), None)
