"""A node's inputs as values: what flows into them, or what has to be assumed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from ..comfy.api_graph import MAX_TEXT, Link, Node
from ..errors import GraphError
from ..job import Dtype
from ..operations.low_vram_choice import LowVramChoice
from ..operations.preflight import PlannedRun
from ..planning.advice import Where

Word = TypeVar("Word", bound=str)
Value = TypeVar("Value")

MAX_SIDE = 1 << 17
"""Longest side of a picture in pixels, as for a `Job`."""
MAX_NUMBER = 1e15
"""Beyond it no setting makes sense, and a Python int may not even fit into a float."""


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""The value of an output that cannot be predicted."""


@dataclass(frozen=True)
class Picture:
    """An IMAGE: its size in pixels."""

    width: int
    height: int
    name: str | None = None
    """The file whose pixels these are; None once they have been changed."""
    assumed: bool = False
    """Whether its size is an assumption."""

    def __post_init__(self) -> None:
        if not (1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE):
            raise GraphError(f"image: {self.width:.6g}×{self.height:.6g} pixels is not a possible size.")


@dataclass(frozen=True)
class Voice:
    """An AUDIO: a file's, or one of which only the length is known."""

    name: str | None = None
    seconds: float = 0.0
    """Length of a sound that is no file's."""
    track: int = 1
    """Of the file."""
    by_load_audio: bool = False
    """Whether ComfyUI's LoadAudio reads the file, which refuses some."""


@dataclass(frozen=True)
class SonicModel:
    """A MODEL_SONIC: the settings of SONICTLoader, and those of Sonic Low VRAM."""

    dtype: Dtype
    interpolate: bool
    low_vram: LowVramChoice | None = None
    """None: the wrapper's own model, without optimizations."""


class OffloadedDtype(NamedTuple):
    """A DTYPE that exists only after the UNet has left the GPU."""

    dtype: Dtype


@dataclass(frozen=True)
class SonicData:
    """A SONIC_PREDATA: the inputs of SONIC_PreData."""

    picture: Picture
    sound_s: float
    min_resolution: int
    expand_ratio: float
    unet_offloaded: bool = False
    """Whether the UNet has left the GPU before."""


class PlannerNode(NamedTuple):
    """A node of this pack with a `target_card`: nodes downstream are predicted for its card, too."""

    target: str
    reserve: float
    where: Where
    """Where the user would change what it plans."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A SONIC_PLAN, and the node that made it."""

    run: PlannedRun
    planner: PlannerNode


_TYPE_WORDS: Mapping[type, str] = {
    Picture: "picture",
    Voice: "voice",
    SonicModel: "Sonic model",
    SonicData: "SONIC_PREDATA",
    Plan: "plan",
}
"""What messages call a value of such a type."""


class Assumption(NamedTuple):
    """A value that could not be read from the graph, and the one that was assumed instead."""

    key: str
    """value, picture, sound, face or silence: see `plan_messages.assumption`."""
    name: str = ""
    value: object = None


class Inputs:
    """The inputs of one node. What is assumed is noted in `assumed`."""

    def __init__(self, node: Node, outputs: Mapping[str, tuple[Any, ...]], assumed: dict[Assumption, None]) -> None:
        self._node = node
        self._outputs = outputs
        self._assumed = assumed

    def nothing(self) -> "Inputs":
        """The inputs of a node that does not exist: all are unknown."""
        return Inputs(Node("", {}), {}, self._assumed)

    def has(self, name: str) -> bool:
        """Whether anything is connected or set there."""
        return name in self._node.inputs

    def get(self, name: str) -> Any:
        """The value, or `UNKNOWN`."""
        value = self._node.inputs.get(name, UNKNOWN)
        if not isinstance(value, Link):
            return value
        outputs = self._outputs.get(value.node, ())
        return outputs[value.slot] if 0 <= value.slot < len(outputs) else UNKNOWN

    def whole(self, name: str, default: int) -> int:
        """A whole number."""
        value = self.number(name, default)
        if value != int(value):
            raise GraphError(f"{name}: expected a whole number, got {value:g}.")
        return int(value)

    def number(self, name: str, default: float, *, matters: bool = True) -> float:
        """A finite number. If it does not matter, no assumption is noted."""
        value = self._or_assumed(name, default, matters=matters)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _wrong(name, "a number", value)
        if not -MAX_NUMBER < value < MAX_NUMBER:
            raise GraphError(f"{name}: the number is too large, or none.")
        return float(value)

    def flag(self, name: str, default: bool, *, matters: bool = True) -> bool:
        """True or false, or a whole number, as the nodes take it. If it does not matter, no assumption is noted."""
        value = self._or_assumed(name, default, matters=matters)
        if not isinstance(value, int):
            raise _wrong(name, "true or false", value)
        return bool(value)

    def text(self, name: str, default: str) -> str:
        """A text."""
        value = self._or_assumed(name, default)
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise _wrong(name, f"a text of at most {MAX_TEXT} characters", value)
        return value

    def word(self, name: str, options: Iterable[Word], default: Word) -> Word:
        """One of `options`."""
        value, words = self.text(name, default), tuple(options)
        if value not in words:
            raise GraphError(f"{name}: there is no {value!r:.{MAX_TEXT}}; choose one of {', '.join(words)}.")
        return words[words.index(value)]

    def of(self, name: str, kind: type[Value]) -> Value | None:
        """A value of one of the types above; None where it is not known."""
        value = self.get(name)
        if isinstance(value, kind):
            return value
        if value is UNKNOWN or value is None:
            return None
        raise _wrong(name, f"a link to a {_TYPE_WORDS[kind]}", value)

    def assume(self, key: str, name: str = "", value: object = None) -> None:
        """Note that something is assumed."""
        self._assumed[Assumption(key, name, value)] = None

    def _or_assumed(self, name: str, default: object, *, matters: bool = True) -> Any:
        value = self.get(name)
        if value is not UNKNOWN:
            return value
        if matters:
            self.assume("value", name, default)
        return default


def _wrong(name: str, expected: str, value: object) -> GraphError:
    return GraphError(f"{name}: expected {expected}, got {value!r:.{MAX_TEXT}}.")
