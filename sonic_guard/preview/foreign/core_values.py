"""ComfyUI's own nodes for values, of 0.3.64 to 0.33.0: primitives, switches, conversions and reroutes."""

import math
from collections.abc import Mapping

from ...comfy.api_graph import MAX_TEXT
from ...errors import GraphError
from ..context import Context, Outcome
from ..kind import Kind
from ..node_inputs import UNKNOWN, Inputs, NotKnownError, Unknown
from .builders import computed, either, negated, passes

RATIOS: Mapping[str, tuple[int, int]] = {
    "1:1": (1, 1), "2:3": (2, 3), "3:2": (3, 2), "3:4": (3, 4), "4:3": (4, 3), "9:16": (9, 16), "16:9": (16, 9),
    "21:9": (21, 9),
}  # fmt: skip


def selected_resolution(aspect_ratio: str, megapixels: float, multiple: int) -> tuple[int, int]:
    """ResolutionSelector: about that many pixels, in units of 1024²; the ratio is followed by its name."""
    ratio = RATIOS.get(aspect_ratio.partition(" ")[0])
    if ratio is None:
        raise NotKnownError(UNKNOWN)  # one of a later version
    across, down = ratio
    scale = math.sqrt(megapixels * 1024 * 1024 / (across * down))
    return round(across * scale / multiple) * multiple, round(down * scale / multiple) * multiple


def converted(inputs: Inputs, context: Context) -> Outcome:
    """ComfyNumberConvert: a number, text or truth value as FLOAT and INT."""
    value = inputs.value("value")
    if isinstance(value, Unknown):
        return Outcome((value, value))
    try:
        return Outcome((float(value), int(float(value))))
    except (ArithmeticError, TypeError, ValueError) as error:
        raise GraphError(f"value: expected a number, got {value!r:.{MAX_TEXT}}.") from error


VALUES: Mapping[str, Kind] = {
    "Reroute": passes(""),
    **dict.fromkeys(
        ("PrimitiveInt", "PrimitiveFloat", "PrimitiveString", "PrimitiveStringMultiline", "PrimitiveBoolean"),
        passes("value"),
    ),
    "PrimitiveBoundingBox": computed(lambda **region: (region,), x=0, y=0, width=512, height=512),
    "SeedNode": passes("seed"),
    "CustomCombo": passes("choice", "index"),
    "ComfySwitchNode": either("switch", "on_true", "on_false"),
    "ComfySoftSwitchNode": either("switch", "on_true", "on_false"),
    "ComfyNotNode": negated("value"),
    "ComfyNumberConvert": Kind(("value",), converted),
    "ResolutionSelector": computed(selected_resolution, aspect_ratio="1:1 (Square)", megapixels=1.0, multiple=8),
}
