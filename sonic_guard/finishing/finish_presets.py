"""What is done to a video by one word: the presets of finishing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .frames import FrameFilter
from .output_size import OutputSize
from .smooth import SmoothNotes, smooth_filters

FULL_HD = 1080
"""Height in pixels."""


class FinishPreset(StrEnum):
    """Names of the presets."""

    FAST = "fast"
    """Pulses of brightness are removed where there are any, and the sound is moved to the lips."""
    HD = "hd"
    """Also without jitter, and enlarged to full HD."""


@dataclass(frozen=True)
class FinishSteps:
    """What is done, in this order: brightness and jitter first, at the source's size, then the size."""

    lip_sync: bool = True
    deflicker: bool = True
    jitter: float = 0.0
    """0 … 1: share of the jitter that is removed."""
    height: int | None = None
    """Of the result in pixels; None: the source's."""


PRESETS: Mapping[FinishPreset, FinishSteps] = {
    FinishPreset.FAST: FinishSteps(),
    FinishPreset.HD: FinishSteps(jitter=1.0, height=FULL_HD),
}


def finish_filters(
    steps: FinishSteps, notes: SmoothNotes, upscale: Callable[[OutputSize], Any] | None = None
) -> tuple[FrameFilter, ...]:
    """The filters of `steps`, in order. `upscale` makes the filter that enlarges; None: Lanczos, without a network."""
    filters = smooth_filters(steps.deflicker, steps.jitter, notes)
    if steps.height is None:
        return filters
    size = OutputSize(steps.height)
    if upscale is not None:
        return (*filters, upscale(size))
    from .resize import Resize  # here, because it imports OpenCV

    return (*filters, Resize(size))
