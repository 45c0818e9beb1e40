"""Smoothing of a video: without pulses of brightness first, because flow compares light, then without jitter."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .frames import Frame, FrameFilter

STRENGTH = 1.0
"""Of the jitter's removal, unless the user sets another."""
SAMPLED = 4
"""Every fourth pixel of every fourth row tells a frame's brightness."""


@dataclass
class SmoothNotes:
    """What smoothing has seen, frame by frame; it grows while a run goes on. A resumed run notes what it makes itself.

    Without deflicker it stays empty.
    """

    before: list[float] = field(default_factory=list)
    """Brightness of each frame as it came: the mean of its levels, 0 … 255."""
    after: list[float] = field(default_factory=list)
    """Brightness of each frame without its pulse."""
    factors: list[float] = field(default_factory=list)
    """Of the frames in a pulse: by which each was too bright; below 1, too dark."""

    def add(self, given: Frame, result: Frame, pulse: Any) -> None:
        """Note a frame that has passed the deflicker."""
        self.before.append(_brightness(given))
        self.after.append(_brightness(result))
        if pulse is not None:
            self.factors.append(pulse.factor)

    @property
    def largest(self) -> float:
        """The factor that is furthest from 1; 1 without any."""
        return max(self.factors, key=lambda factor: abs(factor - 1), default=1.0)


def smooth_filters(deflicker: bool, strength: float, notes: SmoothNotes) -> tuple[FrameFilter, ...]:
    """The filters of a smoothing: without pulses if `deflicker`, and without jitter by `strength`, 0 … 1.

    Raises `FinishError` for a strength that is not between 0 and 1.
    """
    # Here, because they import OpenCV.
    from .deflicker import Deflicker
    from .jitter import Jitter

    jitter: FrameFilter = Jitter(strength)
    pulses: tuple[FrameFilter, ...] = (Deflicker(notes.add),) if deflicker else ()
    return (*pulses, jitter) if strength > 0 else pulses


def _brightness(frame: Frame) -> float:
    return float(np.mean(frame[::SAMPLED, ::SAMPLED]))
