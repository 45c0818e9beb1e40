"""Removes short pulses of brightness, such as Sonic's about once a second, and leaves all other frames as they are.

Sonic decodes 14 latent frames at a time, without context; at the seams pictures come out a few per cent brighter (see
docs/finishing-smooth.md). A pulse is measured against the light before and after it, by cell and colour, and divided
out. What is no pulse (`pulses`) is not touched: the same frame comes out.

Imports OpenCV: import this module lazily.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..media.picture import Rgb, size_of
from .cuts import is_cut
from .frame_pairs import Matcher, Reduced, reduced
from .frames import Frame
from .light import LightChange, light_change
from .pulses import REACH, Pulse, pulse_at
from .sliding import Window, windows

WHITE = 255
OnFrame = Callable[[Frame, Frame, Pulse | None], object]
"""Receives each frame as it came, as it leaves, and its pulse, if it lies in one."""


@dataclass(frozen=True)
class Deflicker:
    """The filter. How much a pulse brightens is measured: there is nothing to set."""

    on_frame: OnFrame | None = None
    """Is called in the order of the frames."""

    before: int = field(default=REACH, init=False)
    after: int = field(default=REACH, init=False)
    multiple: int = field(default=1, init=False)

    @property
    def key(self) -> list[Any]:
        """What determines the result."""
        return []

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Of the output: that of the input."""
        return width, height

    def run(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames, uint8 [H, W, 3], without pulses; a frame that lies in none is the same object.

        Holds `before` + `after` + 1 frames.
        """
        for window in windows(_lit(frames), self.before, self.after):
            frame = window.middle.frame
            pulse, beside = _pulse(window)
            result = frame if pulse is None else without(frame, pulse.field, beside)
            if self.on_frame is not None:
                self.on_frame(frame, result, pulse)
            yield result


class _Lit(NamedTuple):
    frame: Rgb
    change: LightChange | None
    """From the frame before; None if this one begins a shot."""


def _lit(frames: Iterable[Rgb]) -> Iterator[_Lit]:
    matcher = Matcher()
    last: Reduced | None = None
    for frame in frames:
        this = reduced(frame)
        pair = matcher.midway(last, this) if last is not None and last.size == this.size else None
        yield _Lit(frame, None if pair is None or is_cut(pair) else light_change(pair))
        last = this


def _pulse(window: Window[_Lit]) -> tuple[Pulse | None, Rgb]:
    """The pulse of the frame in the middle, if there is one, and the nearest frame without."""
    items, at = window
    starts = [number for number, item in enumerate(items) if item.change is None]
    first = max((number for number in starts if number <= at), default=0)
    end = min((number for number in starts if number > at), default=len(items))
    changes = [item.change for item in items[first + 1 : end] if item.change is not None]
    # With fewer frames than the filter looks at, the film begins or ends.
    begins = first > 0 or at < REACH
    ends = end < len(items) or len(items) - 1 - at < REACH
    pulse = pulse_at(changes, at - first, begins_shot=begins, ends_shot=ends)
    return pulse, items[first + pulse.beside if pulse else at].frame


def without(frame: Rgb, field: np.ndarray, beside: Rgb) -> Rgb:
    """The frame divided by its pulse.

    What the pulse has driven to white lay between white divided by its gain and white: the frame beside it says where.

    Args:
        frame: uint8 [H, W, 3].
        field: natural logarithm of the gain by cell and colour, [gy, gx, 3]; smoothly interpolated.
        beside: a near frame without the pulse.
    """
    gain = cv2.resize(np.exp(-field).astype(np.float32), size_of(frame), interpolation=cv2.INTER_LINEAR)
    corrected = cv2.multiply(frame, gain, dtype=cv2.CV_8U)
    clipped = (frame == WHITE) & (gain < 1)
    if clipped.any():
        least = corrected[clipped]
        corrected[clipped] = np.maximum(least, beside[clipped])
    return np.asarray(corrected, np.uint8)
