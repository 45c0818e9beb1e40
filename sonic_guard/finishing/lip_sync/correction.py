"""Corrects an offset: the sound is moved, the pictures are not touched."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import FinishError, brief
from ...media.footage import Footage
from ..assembly import CONTAINERS, can_copy
from ..frames import Frame
from .measurement import LipSync

MAX_CORRECTION_MS = 50.0
"""Farthest that the sound is moved unless told otherwise."""
LEAST_CORRECTION_MS = 10.0
"""Offsets below it are left: nobody sees them, and by that much the measurement may be wrong."""
FARTHEST_MS = 500.0
"""Largest limit: larger offsets are not looked for."""


class Correction(NamedTuple):
    """What is done about an offset."""

    applied_ms: float
    """By how much the sound comes later; negative: earlier; 0: not moved."""
    left_ms: float
    """The offset that remains, above the limit."""


def check_limit(max_correction_ms: object) -> None:
    """Raises `FinishError` if the limit is no number between 0 and `FARTHEST_MS`."""
    limit = max_correction_ms
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit <= FARTHEST_MS:
        raise FinishError(
            f"max_correction_ms: {brief(limit)} is not between 0 and {FARTHEST_MS:g}. Start from {MAX_CORRECTION_MS:g}."
        )


def correction_for(found: LipSync, max_correction_ms: float = MAX_CORRECTION_MS) -> Correction:
    """How far the sound is to be moved: never farther than `max_correction_ms`, and not if nothing is certain.

    Raises `FinishError` if the limit is not between 0 and `FARTHEST_MS`.
    """
    check_limit(max_correction_ms)
    if found.offset_ms is None:
        return Correction(0.0, 0.0)
    if abs(found.offset_ms) < LEAST_CORRECTION_MS:
        return Correction(0.0, found.offset_ms)
    applied_ms = float(np.clip(-found.offset_ms, -max_correction_ms, max_correction_ms))
    return Correction(applied_ms, found.offset_ms + applied_ms)


@dataclass(frozen=True)
class Unchanged:
    """A step that leaves the pictures as they are: for a file whose packets do not go into another one."""

    before = after = 0
    multiple = 1

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The same."""
        return width, height

    def run(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The same."""
        yield from frames


def steps_for(footage: Footage, target: Path) -> tuple[Unchanged, ...]:
    """The steps that move the sound into `target`: none, so that packets are copied, wherever that is possible."""
    return () if target.suffix.lower() not in CONTAINERS or can_copy(footage, target) else (Unchanged(),)


def moved(waveform: np.ndarray, sample_rate: int, by_ms: float) -> np.ndarray:
    """Sound [..., samples] that comes `by_ms` later, to the nearest sample, as long as before; silence moves in.

    The same array if it does not move.
    """
    shift = round(by_ms / 1e3 * sample_rate)
    samples = waveform.shape[-1]
    if shift == 0:
        return waveform
    result = np.zeros_like(waveform)
    if 0 < shift < samples:
        result[..., shift:] = waveform[..., : samples - shift]
    elif 0 < -shift < samples:
        result[..., :shift] = waveform[..., -shift:]
    return result
