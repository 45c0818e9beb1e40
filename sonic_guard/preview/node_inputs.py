"""A node's inputs as values: what flows into them, or what has to be assumed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeVar

from ..comfy.api_graph import MAX_TEXT, Link, Node
from ..errors import GraphError
from ..job import Dtype
from ..media.audio_file import TrackChoice
from ..operations.low_vram_choice import LowVramChoice
from ..operations.preflight import PlannedRun
from ..planning.advice import Where
from ..planning.planner import Change
from ..relatives import Relative

Word = TypeVar("Word", bound=str)
Value = TypeVar("Value")

MAX_SIDE = 1 << 17
"""Longest side of a picture in pixels, as for a `Job`."""
MAX_NUMBER = 1e15
"""Beyond it no setting makes sense, and a Python int may not even fit into a float."""


class Cause(StrEnum):
    """Why a value is not known before the run. Each has a text in `plan_texts`."""

    RUN = "run"
    """It follows from pixels or samples, which are there only during a run."""
    NODE = "node"
    """It comes from a node that is not in `KINDS`."""
    BEYOND = "beyond"
    """It comes from a part of the graph that was not sent: a page sends the nearest nodes of a large one."""
    NOTHING = "nothing"
    """Nothing is connected or chosen."""
    LOST = "lost"
    """The file is not in the input folder (any more)."""
    OUTSIDE = "outside"
    """The file is not in a folder that a preview may read."""


@dataclass(frozen=True)
class Unknown:
    """The value of an output that cannot be predicted. Nodes downstream that need the value pass it on."""

    cause: Cause = Cause.RUN
    source: str = ""
    """The class of the node, or the name of the file."""


UNKNOWN: Final = Unknown()
NOTHING: Final = Unknown(Cause.NOTHING)


def is_empty(value: Any) -> bool:
    """Whether a node that takes the value has nothing to work on: None, or nothing connected or chosen."""
    return value is None or value == NOTHING


class NotKnownError(Exception):
    """A value is needed that is not known before the run: then nothing that the node gives is known."""

    def __init__(self, unknown: Unknown) -> None:
        super().__init__(unknown)
        self.unknown = unknown


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

    def sized(self, width: int, height: int) -> "Picture":
        """What a node gives that makes it that large: the same picture where it is."""
        return self if (width, height) == (self.width, self.height) else Picture(width, height)


@dataclass(frozen=True)
class UpscaleModel:
    """An UPSCALE_MODEL: the name of its file."""

    name: str


@dataclass(frozen=True)
class Voice:
    """An AUDIO: a file's, or one of which only the length is known."""

    name: str | None = None
    seconds: float = 0.0
    """Length of a sound that is no file's."""
    rate: int = 44_100
    """Samples a second of a sound that is no file's, as far as known: nodes cut between two samples."""
    track: TrackChoice = 1
    """Of the file."""
    by_load_audio: bool = False
    """Whether ComfyUI's LoadAudio reads the file, which refuses some."""


class Film(NamedTuple):
    """A VIDEO: its pictures and its sound."""

    picture: Any
    """A `Picture` or an `Unknown`."""
    voice: Any
    """A `Voice` or an `Unknown`."""
    multiple: int = 1
    """Pictures for each one of the file."""


@dataclass(frozen=True)
class SonicModel:
    """A MODEL_SONIC, or a relative's: the settings of its loader, and those of Sonic Low VRAM."""

    dtype: Dtype
    interpolate: bool
    low_vram: LowVramChoice | None = None
    """None: the wrapper's own model, without optimizations."""
    relative: Relative = Relative.SONIC
    """Whose loader made it."""


@dataclass(frozen=True)
class SonicData:
    """A SONIC_PREDATA, or a relative's: the inputs of the node that makes it."""

    picture: Picture
    sound_s: float
    min_resolution: int
    expand_ratio: float


class PlannerNode(NamedTuple):
    """A node of this pack with a `target_card`: nodes downstream are predicted for its card, too."""

    target: str
    reserve: float
    where: Where
    """Where the user would change what it plans."""
    losses: tuple[Change, ...] = ()
    """What a viewer sees of the changes it made."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A SONIC_PLAN, and the node that made it."""

    run: PlannedRun
    planner: PlannerNode
    cropped: Any = None
    """What is shown of the crop: a `context.Cropped`, if the picture is a file's."""


_TYPE_WORDS: Mapping[type, str] = {
    Picture: "picture",
    Voice: "voice",
    Film: "video",
    UpscaleModel: "model of Load Upscale Model",
    SonicModel: "Sonic model",
    SonicData: "SONIC_PREDATA",
    Plan: "plan",
}
"""What messages call a value of such a type."""


MATERIAL = frozenset(("picture", "sound", "value"))
"""The assumptions without which nothing can be said about a run: its verdict is "unknown", and never that it fits.

They are the shape of the picture, the length of the sound, and a setting whose link leads to an unknown value. The
others leave the verdict as it is: a face's place ("face") changes no size; silence that is not cut ("silence") makes
the prediction larger; a header's length ("claimed") is the file's own statement; and where a node is still missing, its
defaults ("default") are what it will be added with.
"""


class Assumption(NamedTuple):
    """A value that could not be read from the graph, and the one that was assumed instead."""

    key: str
    """value, default, picture, sound, face, silence or claimed: see `plan_messages.assumption`."""
    name: str = ""
    """The input, of a value or default."""
    value: object = None
    cause: str = ""
    """Why the value is not known: a `Cause`."""
    source: str = ""
    """What it comes from: the class of a node, or the name of a file."""

    @property
    def material(self) -> bool:
        """Whether the verdict depends on it."""
        return self.key in MATERIAL


class Inputs:
    """The inputs of one node. What is assumed is noted in `assumed`."""

    def __init__(
        self, node: Node, outputs: Mapping[str, tuple[Any, ...] | Unknown], assumed: dict[Assumption, None]
    ) -> None:
        self._node = node
        self._outputs = outputs
        self._assumed = assumed

    def nothing(self) -> "Inputs":
        """The inputs of a node that does not exist: all are unknown."""
        return Inputs(Node("", {}), {}, self._assumed)

    def has(self, name: str) -> bool:
        """Whether anything is connected or set there."""
        return name in self._node.inputs

    def names(self, prefix: str) -> list[str]:
        """The inputs whose names begin with `prefix`, in the order in which the node gets them."""
        return [name for name in self._node.inputs if name.startswith(prefix)]

    def get(self, name: str) -> Any:
        """The value, or `UNKNOWN`, whatever the cause."""
        value = self.value(name)
        return UNKNOWN if isinstance(value, Unknown) else value

    def value(self, name: str) -> Any:
        """The value, or an `Unknown` with its cause."""
        value = self._node.inputs.get(name, NOTHING)
        if not isinstance(value, Link):
            return value
        outputs = self._outputs.get(value.node, Unknown(Cause.BEYOND))
        if isinstance(outputs, Unknown):
            return outputs
        return outputs[value.slot] if 0 <= value.slot < len(outputs) else UNKNOWN

    def unknown(self, name: str) -> Unknown:
        """Why the value at `name` is not known. For one that is there but empty: nothing was chosen."""
        value = self.value(name)
        return value if isinstance(value, Unknown) else NOTHING

    def known(self, name: str, default: Any) -> Any:
        """A setting of the type of its `default`: a bool, int, float or str, or the default if nothing is set.

        Raises `NotKnownError` if it comes from an unknown value, unlike the methods below, which assume the default.
        """
        value = self.value(name)
        if isinstance(value, Unknown):
            if self.has(name):
                raise NotKnownError(value)
            return default
        match default:
            case bool():
                return self.flag(name, default)
            case int():
                return self.whole(name, default)
            case float():
                return self.number(name, default)
        return self.text(name, default)

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

    def needed(self, name: str, kind: type[Value]) -> Value:
        """As `of`. Raises `NotKnownError` where it is not known."""
        value = self.of(name, kind)
        if value is None:
            raise NotKnownError(self.unknown(name))
        return value

    def assume(self, key: str, name: str = "", value: object = None, unknown: Unknown | None = None) -> None:
        """Note that something is assumed, and why the value is not known."""
        reason = (unknown.cause, unknown.source) if unknown else ()
        self._assumed[Assumption(key, name, value, *reason)] = None

    def _or_assumed(self, name: str, default: object, *, matters: bool = True) -> Any:
        value = self.value(name)
        if not isinstance(value, Unknown):
            return value
        if matters:
            self.assume("value" if self.has(name) else "default", name, default, value)
        return default


def _wrong(name: str, expected: str, value: object) -> GraphError:
    return GraphError(f"{name}: expected {expected}, got {value!r:.{MAX_TEXT}}.")
