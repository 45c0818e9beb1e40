"""What the three nodes of the Sonic wrapper, or of a relative, would run with."""

from collections.abc import Callable, Collection, Iterator
from functools import partial

from ..comfy.api_graph import Graph, Link, Node, upstream
from ..comfy.sonic_objects import check_runs_in
from ..errors import PictureError
from ..job import Dtype
from ..memory.constants import constants
from ..operations.run_settings import RunSettings, job_from, vae_dtype_on
from ..planning.capabilities import LOW_VRAM, TALKING_HEAD
from ..relatives import ADAPTERS, LOADERS, PREDATAS, SAMPLERS, Relative
from .context import ASSUMED_SOUND_S, LONGEST_GUESS_S, Context, Outcome
from .kind import Kind
from .node_inputs import UNKNOWN, Inputs, Picture, SonicData, SonicModel

NODES = frozenset({*LOADERS, *PREDATAS, *SAMPLERS})
"""Class names of Sonic's nodes and of those of its relatives."""


def kinds() -> Iterator[tuple[str, Kind]]:
    """The kinds of these nodes, by their class names."""
    for relative, adapter in ADAPTERS.items():
        if adapter.constants is None:
            yield adapter.loader, Kind((), _unpredicted_loader(relative))
            continue
        yield adapter.loader, Kind(("dtype", "use_interframe"), partial(loader, relative=relative))
        data = "weight_dtype", "audio", "image", "min_resolution", "duration", "expand_ratio"
        yield adapter.predata, Kind(data, partial(predata, relative=relative))
        run = "model", "data_dict", "inference_steps", adapter.scale, "fps"
        yield adapter.sampler, Kind(run, partial(sampler, relative=relative))


def loader(inputs: Inputs, context: Context, relative: Relative) -> Outcome:
    """SONICTLoader, or a relative's."""
    dtype = inputs.word("dtype", Dtype, Dtype.FP16)
    return Outcome((SonicModel(dtype, inputs.flag("use_interframe", True), relative=relative), dtype))


def _unpredicted_loader(relative: Relative) -> Callable[[Inputs, Context], Outcome]:
    """The loader of a relative whose memory is not predicted: raises `WrapperError` instead of Sonic's figures."""

    def raises(inputs: Inputs, context: Context) -> Outcome:
        constants(relative)
        raise AssertionError(f"{relative} has constants, and no prediction of its nodes")

    return raises


def predata(inputs: Inputs, context: Context, relative: Relative) -> Outcome:
    """SONIC_PreData, or a relative's."""
    duration = inputs.number("duration", ASSUMED_SOUND_S)
    sound_s = context.sound_s(inputs)
    if sound_s is None:  # a duration beyond all clips stands for "all of the sound"
        sound_s = duration if duration <= LONGEST_GUESS_S else ASSUMED_SOUND_S
        inputs.assume("sound", value=sound_s, unknown=inputs.unknown("audio"))
    picture = context.picture(inputs)
    _check_taken(picture, context, inputs, ADAPTERS[relative].predata)
    return Outcome((
        SonicData(
            picture,
            min(duration, sound_s),
            inputs.whole("min_resolution", 512),
            inputs.number("expand_ratio", 0.5, matters=False),
        ),
    ))  # fmt: skip


def _check_taken(picture: Picture, context: Context, inputs: Inputs, node: str) -> None:
    """Raise `PictureError` if `node` does not take a picture; note if it probably finds no face in it."""
    if min(picture.width, picture.height) == 1:
        raise PictureError(f"image: {node} takes no picture of {picture.width}×{picture.height} pixels.")
    if picture.name is None:
        return
    if context.machine.files.is_batch(picture.name):
        raise PictureError(
            f"image: {picture.name!r} has several frames, and {node} takes one picture. Put Preflight (Sonic "
            "Guard) in between, which takes the first, or save one frame as PNG."
        )
    if context.machine.files.faces(picture.name) == ():
        inputs.assume("no face")


def sampler(inputs: Inputs, context: Context, relative: Relative) -> Outcome:
    """SONICSampler, or a relative's. Where one of the other two is not connected, its defaults are assumed."""
    model = model_of(inputs, context, relative, ADAPTERS[relative].sampler)
    data = inputs.of("data_dict", SonicData) or predata(inputs.nothing(), context, relative).outputs[0]
    planner = context.planner_upstream()
    fps = inputs.number("fps", 25.0)
    settings = RunSettings(
        data.picture.width,
        data.picture.height,
        data.sound_s,
        data.min_resolution,
        fps,
        model.dtype,
        model.interpolate,
        inputs.whole("inference_steps", 25),
        inputs.number(ADAPTERS[relative].scale, 1.0, matters=False),
        data.expand_ratio,
        relative,
    )
    capacity = context.capacity(planner.target, planner.reserve)
    job = job_from(settings, vae_dtype_on(capacity.budget))
    if model.low_vram is None:
        return Outcome((UNKNOWN, fps), context.judge(job, capacity, planner.where, low_vram=True))
    if model.low_vram.capacity is not None:  # a plan: the run is judged by what was planned with
        capacity = model.low_vram.capacity
    job = model.low_vram.enable(job, context.choice_capacity(model.low_vram, planner))
    return Outcome((UNKNOWN, fps), context.judge(job, capacity, planner.where, available=model.low_vram.switches.auto))


def model_of(inputs: Inputs, context: Context, relative: Relative, node: str | None = None) -> SonicModel:
    """The model at an input; where it is not known, that of the loader with its defaults.

    Raises `WrapperError` for another relative's where `node` runs it.
    """
    model = inputs.of("model", SonicModel) or loader(inputs.nothing(), context, relative).outputs[0]
    if node is not None:
        check_runs_in(node, relative, model.relative)
    return model


def sampler_of(graph: Graph, node_id: str) -> Node:
    """The sampler or Sonic Talking Head that `node_id`, one of Sonic's nodes or Sonic Low VRAM, leads to.

    Where there is none yet, it is a sampler that is linked to the other nodes as far as they are there.
    """
    node = graph[node_id]
    if node.type in SAMPLERS:
        return node
    loader = _loader_of(graph, node_id)
    # Sonic Low VRAM is asked for its own run, the loader for any.
    models = _with_low_vram(graph, node_id if node.type == LOW_VRAM else loader)
    data = [node_id] if node.type in PREDATAS else _fed_by(graph, PREDATAS, "weight_dtype", [loader])
    runs = [each for each in graph.values() if each.type in (*SAMPLERS, TALKING_HEAD)]
    if node.type not in PREDATAS and (of_model := [each for each in runs if _fed(each, "model", models)]):
        return of_model[0]
    if node.type != LOW_VRAM and (of_data := [each for each in runs if _fed(each, "data_dict", data)]):
        return of_data[0]
    given = {"model": models[-1:], "data_dict": data[:1]}
    links = {name: Link(source, 0) for name, sources in given.items() for source in sources}
    relative = (LOADERS | PREDATAS).get(graph[loader].type if loader else node.type, Relative.SONIC)
    return Node(ADAPTERS[relative].sampler, links)


def _loader_of(graph: Graph, node_id: str) -> str:
    """The loader that the model of one of Sonic's nodes, or of Sonic Low VRAM, comes from; "" if none does."""
    before = upstream(graph, node_id, lambda node: ("weight_dtype", "model", ""))  # a Reroute's input has no name
    return next((each for each in reversed(before) if graph[each].type in LOADERS), "")


def _with_low_vram(graph: Graph, first: str) -> list[str]:
    """`first` and every Sonic Low VRAM that it leads to, in that order; none where it is ""."""
    found = [first] if first else []
    while more := [each for each in _fed_by(graph, (LOW_VRAM,), "model", found) if each not in found]:
        found += more
    return found


def _fed_by(graph: Graph, kinds: Collection[str], name: str, sources: Collection[str]) -> list[str]:
    return sorted(key for key, each in graph.items() if each.type in kinds and _fed(each, name, sources))


def _fed(node: Node, name: str, sources: Collection[str]) -> bool:
    link = node.inputs.get(name)
    return isinstance(link, Link) and link.node in sources
