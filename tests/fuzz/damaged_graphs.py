"""Graphs as a page sends them, with faults.

A failing example prints as ``damaged("template", [edits])``.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from sonic_guard.preview.evaluation import KINDS, PREDICTED
from tests.support.graphs import after_preflight, low_vram, low_vram_trio, node, preflight, sources, talking_head, trio

Graph = dict[str, Any]


def _guarded(kind: str, **inputs: Any) -> Graph:
    settings = {
        "image": ["1", 0], "min_resolution": 512, "duration": 10.0, "fps": 25.0, "dtype": "fp16",
        "use_interframe": True, "target_card": "8 GiB", "reserve": 0.1, "language": "en",
    }  # fmt: skip
    links = {"min_resolution": ["3", 0], "duration": ["3", 1], "fps": ["3", 2], "dtype": ["3", 3]}
    return sources() | {"3": node(kind, **settings | inputs)} | trio(**links)


TEMPLATES: dict[str, Callable[[], Graph]] = {
    "trio": lambda: sources() | trio(),
    "after preflight": after_preflight,
    "silence cut": lambda: after_preflight(cut_silence=True, target_card="auto"),
    "low vram": lambda: sources() | low_vram() | low_vram_trio(),
    "low vram by a plan": lambda: sources() | preflight() | low_vram(plan=["3", 0], mode="off") | low_vram_trio(),
    "talking head": lambda: sources() | talking_head(),
    "talking head in parts": lambda: sources() | low_vram() | talking_head(model=["10", 0], part_s=60.0),
    "a preview": lambda: sources() | talking_head(preview_s=3.0, mode="least_memory"),
    "preflight and talking head": lambda: sources() | preflight(target_card="8 GiB") | talking_head(plan=["3", 0]),
    "preflight beside": lambda: sources() | preflight(target_card="8 GiB") | talking_head(audio=["3", 2]),
    "oom risk": lambda: _guarded("SonicGuardOOMRisk", stop=False),
    "auto downgrade": lambda: _guarded("SonicGuardAutoDowngrade", inference_steps=25, policy="article"),
    "preset": lambda: sources() | {"3": node("SonicGuardPreset", preset="hd", audio=["2", 0])} | trio(fps=["3", 4]),
    "duration": lambda: (
        sources()
        | {"3": node("SonicGuardAudioDuration", audio=["2", 0], cut_silence=True, use_interframe=True)}
        | trio(duration=["3", 0])
    ),
    "face box": lambda: (
        sources()
        | {"3": node("SonicGuardFaceBox", image=["1", 0], aspect="9:16", face_index=0, face_box="")}
        | trio(image=["3", 0])
    ),
    "scaled": lambda: (
        sources()
        | {"8": node("ImageScale", image=["1", 0], width=640, height=0)}
        | {"9": node("ImageScaleToTotalPixels", image=["8", 0], megapixels=0.5)}
        | {"12": node("ImageCrop", image=["9", 0], width=300, height=300, x=10, y=10)}
        | trio(image=["12", 0])
    ),
    "other packs": lambda: (
        sources()
        | {"8": node("ImageResizeKJv2", image=["1", 0], width=576, height=0, keep_proportion="pad", divisible_by=16)}
        | {"9": node("ImpactSwitch", select=2, input1=["1", 0], input2=["8", 0])}
        | {"10": node("Context (rgthree)", images=["9", 0]), "11": node("Any Switch (rgthree)", any_01=["10", 7])}
        | {"12": node("VHS_LoadAudio", audio_file="input/voice.wav", seek_seconds=1.5, duration=2.0)}
        | trio(image=["11", 0], audio=["12", 0], duration=["12", 1])
    ),
    "primitives": lambda: (
        sources()
        | {"8": node("PrimitiveInt", value=512), "9": node("Reroute", **{"": ["8", 0]})}
        | trio(min_resolution=["9", 0])
    ),
    "nothing": dict,
}


class Set(NamedTuple):
    """Another value at an input of a node."""

    node: int
    input: int
    value: Any

    def apply(self, graph: Graph) -> None:
        inputs = _inputs(graph, self.node)
        if inputs:
            inputs[sorted(inputs)[self.input % len(inputs)]] = self.value


class Add(NamedTuple):
    """An additional input."""

    node: int
    name: str
    value: Any

    def apply(self, graph: Graph) -> None:
        _inputs(graph, self.node)[self.name] = self.value


class Drop(NamedTuple):
    """An input removed."""

    node: int
    input: int

    def apply(self, graph: Graph) -> None:
        inputs = _inputs(graph, self.node)
        if inputs:
            del inputs[sorted(inputs)[self.input % len(inputs)]]


class Retype(NamedTuple):
    """A node of another kind."""

    node: int
    kind: Any

    def apply(self, graph: Graph) -> None:
        each = _node(graph, self.node)
        if isinstance(each, dict):
            each["class_type"] = self.kind


class Replace(NamedTuple):
    """Replaces a node by something that is none."""

    id: str
    value: Any

    def apply(self, graph: Graph) -> None:
        graph[self.id] = self.value


class Remove(NamedTuple):
    """A node removed, but not the links to it."""

    node: int

    def apply(self, graph: Graph) -> None:
        if graph:
            del graph[sorted(graph)[self.node % len(graph)]]


class Chain(NamedTuple):
    """Many nodes in a row, or in a circle."""

    kind: str
    name: str
    count: int
    closed: bool

    def apply(self, graph: Graph) -> None:
        for number in range(self.count):
            previous = number - 1 if number else (self.count - 1 if self.closed else 0)
            source = [f"c{previous}", 0] if number or self.closed else ["1", 0]
            graph[f"c{number}"] = node(self.kind, **{self.name: source})
        if "6" in graph and isinstance(graph["6"], dict):
            _inputs(graph, sorted(graph).index("6"))[self.name] = [f"c{self.count - 1}", 0]


Edit = Set | Add | Drop | Retype | Replace | Remove | Chain


def damaged(template: str, edits: Sequence[Edit] = ()) -> Graph:
    """A graph of a template after all `edits`."""
    graph = copy.deepcopy(TEMPLATES[template]())
    for edit in edits:
        edit.apply(graph)
    return graph


def nested(depth: int, inside: Any = 0, *, in_objects: bool = False) -> Any:
    """A list in a list in a list …"""
    for _ in range(depth):
        inside = {"a": inside} if in_objects else [inside]
    return inside


def _node(graph: Graph, number: int) -> Any:
    return graph[sorted(graph)[number % len(graph)]] if graph else {}


def _inputs(graph: Graph, number: int) -> dict[str, Any]:
    each = _node(graph, number)
    inputs = each.get("inputs") if isinstance(each, dict) else None
    return inputs if isinstance(inputs, dict) else {}


FILES = (
    *("portrait.png", "sub/wide.jpg", "no face.png", "broken.png", "voice.wav", "short.wav", "quiet.wav", "ghost.png"),
    *("../secret.png", "out.png", "outside/secret.png", "/etc/passwd", "a\0.png", "portrait.png [input]", "sub", "."),
)
WORDS = ("fast", "hd", "mine", "8 GiB", "auto", "4090", "fp16", "fp32", "off", "on", "article", "none", "9:16", "en")
texts = st.one_of(
    st.sampled_from((*FILES, *WORDS, "", " ", "\ud800", "\0", "\u202e", "\r\n", "x" * 5000, "é" * 300, "9" * 400)),
    st.sampled_from(
        [
            "0, 0, 100, 100",
            "1,2,3,4",
            "nan,1,2,3",
            "inf, 0, 9, 9",
            "1e999,0,1,1",
            "streaming_decode+layer_chunking",
            "+",
        ]
    ),
    st.text(max_size=30),
)
numbers = st.one_of(
    st.sampled_from([0, 1, -1, 64, 128, 2048, 2049, 10**9, 10**15, 10**30, 10**400, 2**31, 2**63, -(10**18)]),
    st.sampled_from([0.0, 0.5, 1e-300, 1e15, 1e300, 1.5, -0.0, 25.5, float("nan"), float("inf"), float("-inf")]),
    st.integers() | st.floats(),
)
ids = st.sampled_from(["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "c0", "ghost", ""])
links = st.tuples(ids, st.integers(-2, 20) | st.sampled_from([10**30, True, 0.0, "0"])).map(list)
plain = st.none() | st.booleans() | numbers | texts
values = st.one_of(
    plain,
    plain,
    links,
    links,
    st.builds(nested, st.sampled_from([1, 3, 50, 400]), plain, in_objects=st.booleans()),
    st.lists(plain, max_size=4),
    st.dictionaries(st.text(max_size=5), plain, max_size=4),
)
sensible = st.sampled_from([
    *(128, 512, 768, 2048, 0.1, 0.5, 3.0, 25.0, 12.5, 600.0, 7200.0, 0, 1, True, False, "fast", "hd", "minimal"),
    *("8 GiB", "auto", "4090", "6", "fp16", "bf16", "fp32", "off", "on", "article", "none", "1:1", "warn", ""),
    *("portrait.png", "voice.wav", "quiet.wav", "sub/wide.jpg", ["1", 0], ["2", 0], ["3", 0], ["3", 3], ["5", 0]),
    *(["3", 1], ["3", 9], ["10", 0], ["10", 1], ["6", 0], ["8", 0]),
    *("streaming_decode+unet_offload", "100, 50, 300, 250", "scale dimensions", "keep proportion", "right", "pad"),
    *("input/voice.wav", "ghost.png", "portrait.png [output]"),
])  # fmt: skip
"""Values that fit somewhere."""
_kinds = st.sampled_from([*KINDS, *KINDS, "UnknownNode", "VAEDecode"])
_names = st.sampled_from(
    sorted({name for kind in KINDS.values() if isinstance(kind.needs, tuple) for name in kind.needs})
)
_positions = st.integers(0, 12)
_edits = st.one_of(
    st.builds(Set, _positions, st.integers(0, 15), values),
    st.builds(Set, _positions, st.integers(0, 15), sensible),
    st.builds(Set, _positions, st.integers(0, 15), sensible),
    st.builds(Add, _positions, _names | texts, values),
    st.builds(Drop, _positions, st.integers(0, 15)),
    st.builds(Retype, _positions, _kinds | texts | values),
    st.builds(Replace, ids | texts, values | st.builds(node, _kinds)),
    st.builds(Remove, _positions),
    st.builds(
        Chain,
        st.sampled_from(["Reroute", "ImageScale", "SonicGuardOOMRisk", "SonicGuardFaceBox", "SonicGuardLowVRAM"]),
        st.sampled_from(["image", "model", ""]),
        st.sampled_from([1, 2, 19, 25, 150, 198]),
        st.booleans(),
    ),
)
graphs = st.one_of(
    st.builds(damaged, st.sampled_from(sorted(TEMPLATES)), st.lists(_edits, max_size=4)),
    st.builds(damaged, st.sampled_from(sorted(TEMPLATES)), st.lists(_edits, max_size=1)),
)
"""Graphs in API format, most of them with up to four faults."""
anything = st.one_of(graphs, graphs, graphs, graphs, values)


def node_asked(graph: Any, pick: int) -> str:
    """One of the nodes that a page would ask for, if there is any."""
    nodes = graph.items() if isinstance(graph, dict) else ()
    kinds = [(key, each.get("class_type")) for key, each in nodes if isinstance(each, dict)]
    found = sorted(key for key, kind in kinds if isinstance(kind, str) and kind in PREDICTED)
    return found[pick % len(found)] if found else "7"
