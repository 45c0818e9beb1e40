"""A node of another pack, and what the preview foresees of it, in plain values."""

from pathlib import Path
from typing import Any

from sonic_guard.comfy.api_graph import parse_graph
from sonic_guard.preview.context import Machine
from sonic_guard.preview.evaluation import evaluate
from sonic_guard.preview.node_inputs import Picture, Voice
from tests.support.graphs import node

Plain = dict[str, list[int]]


def picture(width: int, height: int) -> Plain:
    """A picture as an input, or as an output."""
    return {"picture": [width, height]}


def sound(samples: int, rate: int) -> Plain:
    """A sound as an input, or as an output."""
    return {"sound": [samples, rate]}


def video(path: Path) -> dict[str, str]:
    """A video of Load Video as an input; the file is in the input folder."""
    return {"video": str(path)}


def foreseen(kind: str, inputs: dict[str, Any], here: Machine) -> tuple[Any, ...]:
    """The outputs of a node; its pictures, sounds and videos come from nodes that make them."""
    widgets, makers = dict(inputs), {}
    for name, value in inputs.items():
        match value:
            case {"picture": [width, height]}:
                makers[name] = node("EmptyImage", width=width, height=height)
            case {"sound": [samples, rate]}:
                makers[name] = node("EmptyAudio", duration=samples / rate, sample_rate=rate)
            case {"video": path}:
                makers[name] = node("LoadVideo", file=Path(path).name)
            case _:
                continue
        widgets[name] = [name, 0]
    return evaluate(parse_graph(makers | {"node": node(kind, **widgets)}), "node", here).outcome.outputs


def plain(value: Any) -> Any:
    """An output as JSON can hold it."""
    if isinstance(value, Picture):
        return picture(value.width, value.height)
    return sound(round(value.seconds * value.rate), value.rate) if isinstance(value, Voice) else value
