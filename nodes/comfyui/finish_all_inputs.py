"""What Finish Video and Sonic Talking Head share: a preset and an UPSCALE_MODEL as a request to the library."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ...sonic_guard.errors import FinishError, brief
from ...sonic_guard.finishing.finish_all import FinishAllRequest
from ...sonic_guard.finishing.finish_presets import PRESETS, FinishPreset, FinishSteps
from ...sonic_guard.finishing.output_size import OutputSize
from ...sonic_guard.finishing.upscale.network import from_descriptor
from ...sonic_guard.finishing.upscale.upscale_video import Upscale
from ...sonic_guard.media.video_writer import Encoding
from ...sonic_guard.operations.input_values import is_whole, one_of
from . import host

PRESETS_SHOWN = tuple(map(str, FinishPreset))


def finish_steps(preset: Any, height: Any = 0) -> FinishSteps:
    """The steps of a preset, and another `height` unless it is 0. Raises `SonicGuardError` for impossible values."""
    steps = PRESETS[FinishPreset(one_of("preset", preset, PRESETS_SHOWN))]
    if not is_whole(height, 0):
        raise FinishError(f"height: {brief(height)} is no number of pixels.")
    return replace(steps, height=height) if height else steps


def finish_request(source: Path, steps: FinishSteps, encoding: Encoding, upscale_model: Any) -> FinishAllRequest:
    """The request for the file `source`. Raises `FinishError` for what is no UPSCALE_MODEL."""
    request = FinishAllRequest(source, steps, encoding)
    if upscale_model is None or steps.height is None:
        return request
    network = from_descriptor(upscale_model)

    def upscale(size: OutputSize) -> Upscale:
        return Upscale(network, size, make_room=host.make_room, check=host.stop_if_interrupted)

    return replace(request, model=network.name, upscale=upscale)
