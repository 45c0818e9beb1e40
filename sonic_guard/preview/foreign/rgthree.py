"""rgthree-comfy, by rgthree: ``any_switch.py``, ``context*.py``, ``image_*.py``, ``power_primitive.py``.

Its reroutes, muters and bypassers exist in the page only, which resolves them.
"""

import re
from collections.abc import Mapping
from typing import Any

from ..context import Context, Outcome
from ..kind import Kind
from ..node_inputs import NOTHING, Inputs, Unknown, is_empty
from .builders import Size, first_of, measures, passes, resized

BIG = (
    "model", "clip", "vae", "positive", "negative", "latent", "images", "seed", "steps", "step_refiner", "cfg",
    "ckpt_name", "sampler", "scheduler", "clip_width", "clip_height", "text_pos_g", "text_pos_l", "text_neg_g",
    "text_neg_l", "mask", "control_net",
)  # fmt: skip
"""What a context holds, in the order of its outputs."""
SMALL = BIG[:8]
"""What the nodes without "Big" show of it."""

Held = Mapping[str, Any]
"""A context: its values by name; an `Unknown` for those that are not known."""


def context_node(shown: tuple[str, ...]) -> Kind:
    """Context: the values at the inputs, and for the others those of the context before it."""

    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        base = _held(inputs.value("base_ctx"))
        own = {name: inputs.value(name) for name in BIG if inputs.has(name)}
        return _given(_over(base, own), shown)

    return Kind(("base_ctx", *BIG), evaluate)


def context_switch(shown: tuple[str, ...]) -> Kind:
    """Context Switch: the first context that is not empty."""

    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        held = (_held(inputs.value(name)) for name in inputs.names("ctx_"))
        return _given(next((each for each in held if not _holds_nothing(each)), {}), shown)

    return Kind(_contexts, evaluate)


def context_merge(shown: tuple[str, ...]) -> Kind:
    """Context Merge: of each value the last that is set."""

    def evaluate(inputs: Inputs, context: Context) -> Outcome:
        merged: Held = {}
        for name in inputs.names("ctx_"):
            merged = _over(merged, _held(inputs.value(name)))
        return _given(merged, shown)

    return Kind(_contexts, evaluate)


def _contexts(node: Any) -> list[str]:
    return [name for name in node.inputs if name.startswith("ctx_")]


def _held(value: Any) -> Held:
    """The context at an input. Of one that is not known, no value is known."""
    if isinstance(value, Unknown) and value != NOTHING:
        return dict.fromkeys(BIG, value)
    return value if isinstance(value, Mapping) else {}


def _over(base: Held, own: Held) -> Held:
    return {**base, **{name: value for name, value in own.items() if not is_empty(value)}}


def _holds_nothing(held: Held) -> bool:
    return all(map(is_empty, held.values()))


def _given(held: Held, shown: tuple[str, ...]) -> Outcome:
    return Outcome((held, *(held.get(name, NOTHING) for name in shown)))


def image_resize(size: Size, measurement: str, width: int, height: int, fit: str) -> tuple[int, int]:
    """Image Resize: in pixels or percent. With "contain", or a side of 0, the other side may be shorter than asked."""
    if measurement == "percentage":
        width, height = round(width * size.width / 100), round(height * size.height / 100)
    if width == height == 0:
        return size.width, size.height
    if not (width and height):
        width, height, fit = (
            width or round(height / size.height * size.width),
            height or round(width / size.width * size.height),
            "contain",
        )
    if fit == "contain" and height / size.height * size.width > width:
        return width, round(width / size.width * size.height)
    if fit == "contain" and width / size.width * size.height > height:
        return round(height / size.height * size.width), height
    return width, height


def inset(size: Size, measurement: str, left: int, right: int, top: int, bottom: int) -> tuple[int, int]:
    """Image Inset Crop: a margin is cut off each side, in pixels or percent, to multiples of 8."""
    if measurement == "Percentage":
        left, right = (int(size.width - size.width * (100 - each) / 100) for each in (left, right))
        top, bottom = (int(size.height - size.height * (100 - each) / 100) for each in (top, bottom))
    left, right, top, bottom = (each // 8 * 8 for each in (left, right, top, bottom))
    return size.width - left - right, size.height - top - bottom


def power_primitive(inputs: Inputs, context: Context) -> Outcome:
    """Power Primitive: a value as the type that is named, perhaps with a remark in parentheses. No number counts 0."""
    value, kind = inputs.value("value"), re.sub(r"\s*\([^)]*\)\s*$", "", inputs.text("type", "STRING"))
    if not isinstance(value, (str, int, float)) or kind == "STRING":
        return Outcome((value,))
    try:
        number = float(value)
        whole = int(number)
    except (ArithmeticError, ValueError):
        number, whole = 0.0, 0
        if kind.startswith("BOOL"):
            return Outcome((str(value).lower() not in ("false", "null", "none", ""),))
    return Outcome(({"FLOAT": number, "INT": whole}.get(kind, bool(number)),))


RGTHREE: Mapping[str, Kind] = {
    f"{name} (rgthree)": kind
    for name, kind in {
        "Any Switch": first_of("any_"),
        "Context": context_node(SMALL),
        "Context Big": context_node(BIG),
        "Context Switch": context_switch(SMALL),
        "Context Switch Big": context_switch(BIG),
        "Context Merge": context_merge(SMALL),
        "Context Merge Big": context_merge(BIG),
        "Image Resize": resized(
            image_resize, gives="image width height", measurement="pixels", width=0, height=0, fit="crop"
        ),
        "Image Inset Crop": resized(inset, measurement="Pixels", left=0, right=0, top=0, bottom=0),
        "Image or Latent Size": measures(image="input"),
        "Power Primitive": Kind(("value", "type"), power_primitive),
        "Seed": passes("seed"),
    }.items()
}
