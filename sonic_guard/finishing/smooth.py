"""Smoothing of a video: without pulses of brightness first, because flow compares light, then without jitter."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .frames import Frame, FrameFilter

STRENGTH = 1.0
"""Of the jitter's removal, unless the user sets another."""
SAMPLED = 4
"""Every fourth pixel of every fourth row tells a frame's brightness."""


class FrameNote(NamedTuple):
    """What smoothing has seen of one frame."""

    before: float
    """Its brightness as it came: the mean of its levels, 0 … 255."""
    after: float
    """Its brightness without its pulse."""
    factor: float | None
    """By which it was too bright; below 1, too dark; None outside of a pulse."""


@dataclass
class SmoothNotes:
    """What smoothing has seen, by frame; it grows while a run goes on. Without deflicker it stays empty."""

    frames: list[FrameNote] = field(default_factory=list)
    _again: int = 0

    def add(self, given: Frame, result: Frame, pulse: Any) -> None:
        """Note a frame that has passed the deflicker."""
        if self._again:
            self._again -= 1
            return
        factor = None if pulse is None else pulse.factor
        self.frames.append(FrameNote(_brightness(given), _brightness(result), factor))

    def of(self, first: int, end: int) -> list[FrameNote]:
        """The notes of the frames `first` … `end` − 1 of the video, as JSON values."""
        return self.frames[first:end]

    def resume(self, kept: Iterable[Any], again: int) -> None:
        """Begin with `kept`, what `of` gave in an earlier run. The first `again` frames to come are among them."""
        self.frames = [FrameNote(*each) for each in kept]
        self._again = min(again, len(self.frames))

    @property
    def before(self) -> list[float]:
        """Brightness of each frame as it came."""
        return [each.before for each in self.frames]

    @property
    def after(self) -> list[float]:
        """Brightness of each frame without its pulse."""
        return [each.after for each in self.frames]

    @property
    def factors(self) -> list[float]:
        """Of the frames in a pulse."""
        return [each.factor for each in self.frames if each.factor is not None]

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
