"""What a line of the tables is made of: a `Kind` from a small rule on a picture's size or a sound's samples.

A rule is a pure function. It gets the size or the sound that flows in and the node's settings by name, and returns
what flows out. A line of a table names the settings that the rule takes, with the node's defaults, which also tell
their types. A rule that does not read what flows in has a result even where that is unknown: a picture of unknown size
scaled to 512×512 is 512×512. What it cannot know, it passes on with the cause, so that a message can name it.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from ...comfy.api_graph import Node
from ...errors import GraphError
from ..context import Context, Outcome
from ..kind import Kind
from ..node_inputs import NOTHING, UNKNOWN, Inputs, NotKnownError, Picture, Unknown, Voice, is_empty


class Size(Protocol):
    """A picture's size in pixels."""

    @property
    def width(self) -> int:
        """From left to right."""
        ...

    @property
    def height(self) -> int:
        """From top to bottom."""
        ...


class Samples(NamedTuple):
    """A sound's length."""

    samples: int
    """Samples of a channel."""
    rate: int
    """Samples a second."""

    def of(self, seconds: float) -> int:
        """The samples nearest to a time, as most nodes round it."""
        return round(seconds * self.rate)

    def voice(self) -> Voice:
        """A sound of that length that is no file's."""
        return Voice(None, self.samples / self.rate, self.rate)


PICTURE: Final = object()
"""Default of a setting that is a second picture: the rule gets its `Size`, or None if nothing is connected."""
SOUND: Final = object()
"""The same for a second sound: the rule gets its `Samples`."""


def resized(
    rule: Callable[..., tuple[int, int]],
    *,
    image: str = "image",
    gives: str = "image",
    keeps: bool = True,
    **settings: Any,
) -> Kind:
    """A node that gives the picture at `image` in the size that `rule` returns.

    `gives` names its outputs in order: image, width, height; any other word is an output that cannot be predicted.
    `keeps`: pixels stay as they are where the size does, so that faces are found where they were.
    """
    names = gives.split()

    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        width, height = _sensible(rule, _SizeAt(inputs, image), inputs, context, settings)
        before = inputs.of(image, Picture) if keeps else None
        after = before.sized(width, height) if before else Picture(width, height)
        values = {"image": after, "width": width, "height": height}
        return Outcome(tuple(values.get(name, UNKNOWN) for name in names))

    return Kind((image, *settings) if image else tuple(settings), evaluate)


def redrawn(*, image: str = "image", gives: str = "image") -> Kind:
    """A node that gives a picture of the same size with other pixels, such as a filter."""
    return resized(lambda size: (size.width, size.height), image=image, gives=gives, keeps=False)


def made(rule: Callable[..., tuple[int, int]], **settings: Any) -> Kind:
    """A node that makes a picture out of its settings alone."""
    return resized(lambda _, **values: rule(**values), image="", **settings)


def measures(*, image: str = "image", gives: str = "width height") -> Kind:
    """A node that gives a picture's size as numbers, and perhaps the picture."""
    return resized(lambda size: (size.width, size.height), image=image, gives=gives)


def sounding(rule: Callable[..., Samples], *, audio: str = "audio", keeps: bool = True, **settings: Any) -> Kind:
    """A node that gives the sound at `audio`, as long as `rule` returns.

    `keeps`: samples stay as they are where the length does, so that silence is found where it was.
    """

    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        before = _voice_at(inputs, audio, context) if audio else None
        sound = samples_of(before) if before else None
        after = _sensible(rule, sound, inputs, context, settings)
        if after.samples <= 0:
            raise GraphError(f"{audio or 'audio'}: with these settings nothing is left of the sound.")
        return Outcome((before if keeps and before and after == sound else after.voice(),))

    return Kind((audio, *settings) if audio else tuple(settings), evaluate)


def passes(*names: str) -> Kind:
    """A node that gives the values of some of its inputs as they are."""
    return Kind(names, lambda inputs, _: Outcome(tuple(inputs.value(name) for name in names)))


def computed(rule: Callable[..., tuple[Any, ...]], **settings: Any) -> Kind:
    """A node that gives what `rule` computes from its settings: numbers, texts, truth values."""

    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        return Outcome(_sensible(lambda _, **values: rule(**values), None, inputs, context, settings))

    return Kind(tuple(settings), evaluate)


def at_run() -> Kind:
    """A node whose outputs are known only when it runs: they follow from pixels, folders or the clock."""
    return Kind((), lambda inputs, _: Outcome(()))


def either(switch: str, on_true: str, on_false: str, *, default: bool = False) -> Kind:
    """A switch between two inputs. What leads to the other is not evaluated, if the switch itself is set by hand."""

    def needed(node: Node) -> tuple[str, ...]:
        value = node.inputs.get(switch, default)
        return (switch, on_true if value else on_false) if isinstance(value, bool) else (switch, on_true, on_false)

    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        return Outcome((inputs.value(on_true if _is_true(inputs, switch, default) else on_false),))

    return Kind(needed, evaluate)


def negated(name: str) -> Kind:
    """A node that gives whether a value is false, as Python takes it."""
    return Kind((name,), lambda inputs, _: Outcome((not _is_true(inputs, name, False),)))


def numbered(select: str, prefix: str) -> Kind:
    """A switch that gives the input of a number, such as ``input3``; without a number, the first."""

    def needed(node: Node) -> list[str]:
        chosen = node.inputs.get(select, 1)
        if isinstance(chosen, int):
            return [select, f"{prefix}{chosen}"]
        return [select, *(name for name in node.inputs if name.startswith(prefix))]

    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        chosen = inputs.known(select, 1)
        return Outcome((inputs.value(f"{prefix}{chosen}"), UNKNOWN, chosen))

    return Kind(needed, evaluate)


def first_of(prefix: str) -> Kind:
    """A switch that gives the first of its inputs that has a value; those that are muted have none."""

    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        values = (inputs.value(name) for name in inputs.names(prefix))
        return Outcome((next((value for value in values if not is_empty(value)), NOTHING),))

    return Kind(lambda node: [name for name in node.inputs if name.startswith(prefix)], evaluate)


class _SizeAt:
    """The size of the picture at an input. Reading one that is not known raises `NotKnownError`."""

    def __init__(self, inputs: Inputs, name: str) -> None:
        self._inputs, self._name = inputs, name

    @property
    def width(self) -> int:
        return self._inputs.needed(self._name, Picture).width

    @property
    def height(self) -> int:
        return self._inputs.needed(self._name, Picture).height


def _voice_at(inputs: Inputs, name: str, context: Context) -> Voice:
    return context.measured(inputs.needed(name, Voice), inputs)


def samples_of(voice: Voice) -> Samples:
    """The length of a sound that was measured."""
    return Samples(round(voice.seconds * voice.rate), voice.rate)


def _sensible(rule: Callable[..., Any], source: Any, inputs: Inputs, context: Context, settings: dict[str, Any]) -> Any:
    """`rule` of `source` and the node's settings. Settings that make no sense to it raise `GraphError`."""
    values = {name.replace(".", "_"): _setting(inputs, name, default, context) for name, default in settings.items()}
    try:
        return rule(source, **values)
    except (ArithmeticError, ValueError) as error:
        raise GraphError(f"{', '.join(settings)}: these settings are not possible: {error}.") from error


def _setting(inputs: Inputs, name: str, default: Any, context: Context) -> Any:
    if default is not PICTURE and default is not SOUND:
        return inputs.known(name, default)
    value = inputs.value(name)
    if is_empty(value):
        return None
    return _SizeAt(inputs, name) if default is PICTURE else samples_of(_voice_at(inputs, name, context))


def _is_true(inputs: Inputs, name: str, default: bool) -> bool:
    """The truth of any value, as Python takes it."""
    value = inputs.value(name)
    if isinstance(value, Unknown):
        if value != NOTHING:
            raise NotKnownError(value)
        return default
    return bool(value)
