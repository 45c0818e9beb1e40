"""What Upscale Video, and Finish Video with a model, will need on their device: a line on the node before it runs.

The plan is that of the run itself (`Upscale.plan`): the network in the model's file is traced once, and what is kept of
it is its shape, without weights.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import FinishError, brief
from ..finishing.finish_presets import PRESETS, FinishPreset
from ..finishing.output_size import SIZES, OutputSize
from ..messages.upscale_messages import plan_lines, unknown_line, verdict_line
from ..planning.planner import Level
from .context import Context, Machine, Outcome
from .node_inputs import Film, Inputs, NotKnownError, Picture, UpscaleModel, Voice

if TYPE_CHECKING:  # it loads torch
    from ..finishing.upscale.upscale_video import Upscale

UPSCALE, FINISH = "SonicGuardUpscaleVideo", "SonicGuardFinishVideo"
UPSCALING = frozenset((UPSCALE, FINISH))
"""The nodes that show this line."""
_KEPT = 16
"""Models whose shape is kept."""


class Upscaling(NamedTuple):
    """What a node will enlarge, and how."""

    frame: Picture
    frames: int | None
    """How many; None where the graph does not tell."""
    model: UpscaleModel | None
    """None: without a network."""
    size: OutputSize | None
    """None: it is not enlarged."""
    device: str = "auto"
    tile: int | None = None


def upscale_video(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardUpscaleVideo."""
    model = inputs.needed("upscale_model", UpscaleModel)
    size, device = SIZES.get(inputs.text("size", "1080p")), inputs.text("device", "auto")
    tile = inputs.whole("tile", 0) or None
    return Outcome((Upscaling(*_extent(inputs, context), model, size, device, tile),))


def finish_video(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardFinishVideo."""
    model = inputs.needed("upscale_model", UpscaleModel) if inputs.has("upscale_model") else None
    preset = inputs.word("preset", FinishPreset, FinishPreset.HD)
    height = inputs.whole("height", 0) or PRESETS[preset].height
    size = OutputSize(height) if height else None
    return Outcome((Upscaling(*_extent(inputs, context), model, size),))


def interpolate(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardInterpolate: twice the pictures, as VIDEO and as IMAGE."""
    video = inputs.value("video")
    made = video._replace(multiple=2 * video.multiple) if isinstance(video, Film) else video
    return Outcome((made, made))


def _extent(inputs: Inputs, context: Context) -> tuple[Picture, int | None]:
    """A frame of the VIDEO or IMAGE at the input ``video``, and how many there are. Raises `NotKnownError`."""
    match inputs.get("video"):
        case (Picture() as picture) | Film(picture=Picture() as picture):
            return picture, None
        case Film(voice=Voice(name=str(name)), multiple=multiple):  # a file's, which nobody has asked for yet
            width, height, frames = context.machine.files.video_extent(name)
            return Picture(width, height), multiple * frames
    raise NotKnownError(inputs.unknown("video"))


def load_upscale_model(inputs: Inputs, context: Context) -> Outcome:
    """UpscaleModelLoader of ComfyUI."""
    return Outcome((UpscaleModel(inputs.text("model_name", "")),))


def upscale_answer(asked: Any, machine: Machine, lang: str = "en") -> dict[str, Any]:
    """What the page shows of what a node of `UPSCALING` gives: a level, a line, and its details.

    Raises `FinishError` for a model that cannot be read, or that does not fit.
    """
    if not isinstance(asked, Upscaling):
        return _line(Level.UNKNOWN, unknown_line(lang), "")
    if asked.model is None or asked.size is None:
        return _line(Level.OK, verdict_line(None, lang), "")
    path = machine.upscale_model(asked.model.name)
    if path is None:
        raise FinishError(
            f"upscale_model: {brief(asked.model.name)} is not in models/upscale_models. Put it there and press R, or "
            "choose another one."
        )
    status = path.stat()
    step = _step(path, (status.st_size, status.st_mtime_ns), asked.size, asked.device, asked.tile)
    plan = step.plan(asked.frame.width, asked.frame.height)
    return _line(Level.OK, verdict_line(plan, lang, asked.frames), " ".join(plan_lines(step, plan, lang)))


def _line(level: Level, text: str, details: str) -> dict[str, Any]:
    return {"level": str(level), "verdict_text": text, "details": details}


@lru_cache(maxsize=_KEPT)
def _step(path: Path, stamp: tuple[int, int], size: OutputSize, device: str, tile: int | None) -> "Upscale":
    """The filter with a network of which only the shape is there. `stamp` tells one file of that name from the next."""
    from ..finishing.upscale.network import load_network
    from ..finishing.upscale.upscale_video import Upscale

    return Upscale(load_network(path), size, device, tile).without_weights()
