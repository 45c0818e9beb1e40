"""ComfyUI-Impact-Pack, by ltdrdata: ``util_nodes.py``, ``logics.py``, ``impact_pack.py``, ``bridge_nodes.py``."""

from collections.abc import Mapping

from ..context import Context, Outcome
from ..kind import Kind
from ..node_inputs import NOTHING, UNKNOWN, Inputs
from .builders import computed, either, measures, negated, numbered, passes
from .file_loaders import picture_loader

OUTPUTS = 50
"""Outputs of an inversed switch that are looked at."""


def inversed_switch(inputs: Inputs, context: Context) -> Outcome:
    """ImpactInversedSwitch: the input leaves at the output of a number, and the others stop what they lead to."""
    chosen = inputs.known("select", 1)
    return Outcome(tuple(inputs.value("input") if number == chosen else NOTHING for number in range(1, OUTPUTS + 1)))


def image_switch(inputs: Inputs, context: Context) -> Outcome:
    """ImageMaskSwitch: of four pictures one; a number beyond them gives the last."""
    chosen = inputs.known("select", 1)
    return Outcome((inputs.value(_IMAGES[chosen - 1 if 1 <= chosen <= 3 else 3]), UNKNOWN))


def received(inputs: Inputs, context: Context) -> Outcome:
    """ImageReceiver: a file, unless the picture is kept in the workflow."""
    saved = inputs.flag("save_to_workflow", False, matters=False)
    return Outcome((UNKNOWN, UNKNOWN)) if saved else _LOADER.evaluate(inputs, context)


def value_of(typ: str, value: str) -> tuple[object]:
    """ImpactValueReceiver: a text as the type that is chosen."""
    if typ == "BOOLEAN":
        return (value.lower() == "true",)
    return ({"INT": int, "FLOAT": float}.get(typ, str)(value),)


_IMAGES = ("images1", "images2_opt", "images3_opt", "images4_opt")
_LOADER = picture_loader("image")

IMPACT_PACK: Mapping[str, Kind] = {
    **dict.fromkeys(("ImpactSwitch", "LatentSwitch", "SEGSSwitch"), numbered("select", "input")),
    "ImageMaskSwitch": Kind(("select", *_IMAGES), image_switch),
    "ImpactInversedSwitch": Kind(("select", "input"), inversed_switch),
    "ImpactConditionalBranch": either("cond", "tt_value", "ff_value"),
    "ImpactConditionalBranchSelMode": either("cond", "tt_value", "ff_value"),
    "ImpactIfNone": passes("signal"),
    "ImpactNeg": negated("value"),
    "ImpactMinMax": computed(lambda mode, a, b: (max(a, b) if mode else min(a, b),), mode=True, a=0.0, b=0.0),
    "ImpactInt": passes("value"),
    "ImpactFloat": passes("value"),
    "ImpactBoolean": passes("value"),
    "ImpactValueReceiver": computed(value_of, typ="STRING", value=""),
    "ImpactImageInfo": measures(image="value", gives="count height width channels"),
    "ImageReceiver": Kind(("image", "save_to_workflow"), received),
    "PreviewBridge": passes("images"),
    # Of a batch or list Sonic takes the first picture, which decides on the size of the others.
    "ImpactMakeImageBatch": passes("image1"),
    "ImpactMakeImageList": passes("image1"),
    "ImageListToImageBatch": passes("images"),
    "ImpactImageBatchToImageList": passes("image"),
}
