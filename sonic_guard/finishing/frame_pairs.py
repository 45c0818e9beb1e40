"""Two neighbouring frames, reduced in size and brought to the moment midway between them by optical flow.

There they show the same things at the same places, as far as they can: what still differs is light, or another scene.
Both are warped by half the flow rather than one by all of it, because interpolation blurs, and a blurred picture
compared with a sharp one looks darker or brighter where it has edges.

Imports OpenCV: import this module lazily.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np

from ..media.picture import Rgb, size_of

LONG_SIDE = 128
"""Of a reduced frame, in pixels: flow takes half a millisecond, and a cell of a coarse grid still has 200 pixels."""
BLUR = 1.0
"""Standard deviation in reduced pixels; without it a shift by half a pixel changes the contrast."""
SMALLEST_FOR_FLOW = 16
"""Shortest side in pixels at which DIS has scales to work on. Smaller pictures are compared as they are."""
LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)
"""Weights of red, green and blue in luma (ITU-R BT.601)."""

_FINEST_SCALE = 1
"""Flow on every second pixel of the reduced frame."""


class Reduced(NamedTuple):
    """A frame at `LONG_SIDE`."""

    rgb: np.ndarray
    """float32 [h, w, 3], 0 … 255, low-passed."""
    luma: np.ndarray
    """uint8 [h, w]."""
    size: tuple[int, int]
    """Width and height of the frame itself."""


class Midway(NamedTuple):
    """Two frames of one size at the moment midway between them."""

    first: np.ndarray
    second: np.ndarray
    """float32 [h, w, 3]."""


def reduced(frame: Rgb) -> Reduced:
    """A frame, uint8 [H, W, 3], at `LONG_SIDE`; smaller ones keep their size."""
    width, height = size = size_of(frame)
    scale = min(1.0, LONG_SIDE / max(size))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    # In float: rounded to whole levels, a gain of 0.2 % would vanish in a dark picture.
    rgb = cv2.GaussianBlur(cv2.resize(frame.astype(np.float32), small, interpolation=cv2.INTER_AREA), (0, 0), BLUR)
    return Reduced(rgb, (luma(rgb) + 0.5).astype(np.uint8), size)


def luma(rgb: np.ndarray) -> np.ndarray:
    """The luma of float32 [h, w, 3]: [h, w]."""
    return cv2.transform(rgb, LUMA)


class Matcher:
    """Brings reduced frames midway. Keeps buffers between calls: one instance for one thread."""

    def __init__(self) -> None:
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._flow.setFinestScale(_FINEST_SCALE)
        self._grid = np.empty((0, 0, 2), np.float32)

    def midway(self, first: Reduced, second: Reduced) -> Midway:
        """Two frames of the same size, both warped to the moment midway between them."""
        height, width = first.luma.shape
        if min(height, width) < SMALLEST_FOR_FLOW:
            return Midway(first.rgb, second.rgb)
        half = self._flow.calc(second.luma, first.luma, None) / 2
        grid = self._positions(height, width)
        return Midway(_at(first.rgb, grid + half), _at(second.rgb, grid - half))

    def _positions(self, height: int, width: int) -> np.ndarray:
        if self._grid.shape[:2] != (height, width):
            self._grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
        return self._grid


def _at(picture: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The picture's values at `positions`, float32 [h, w, 2]: x, y."""
    # Two maps: OpenCV 5.0.0 reads beyond an empty second one.
    x, y = cv2.split(positions)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
