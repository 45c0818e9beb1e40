"""The optical flow between neighbouring frames, and where each point of a frame is in the frames around it.

Flow is measured once for each pair of neighbours, both ways, and composed for frames further apart. A point is trusted
in a neighbour as far as the way there and back ends where it began: what is hidden by something that moves is not.

Imports OpenCV: import this module lazily.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..media.picture import Rgb, size_of

LONGEST_SIDE = 512
"""Of the picture on which flow is measured, in pixels; half of the frame if that is less."""
SMALLEST_SIDE = 32
"""Shortest side on which DIS has enough scales; a smaller picture has no flow."""
FIELD = 2
"""Pixels of that picture between two points of the field: jitter varies over a latent cell of 8 pixels of the frame."""
PATCH_STRIDE = 6
DESCENT = 24
REFINEMENT = 2
"""Of DIS, with patches of 8 pixels at the full resolution of that picture: less than half the error of its preset
"medium" on jitter that varies over 12 pixels. Without refinement 3 % more of jitter over 8 pixels stays. A stride of 5
with one step of refinement leaves 1 % less, and the edge of what moves less sharp."""
THERE_AND_BACK = 0.4
"""Pixels by which the way there and back may miss; at that the trust is a half."""


class Picture(NamedTuple):
    """A frame as flow sees it."""

    luma: np.ndarray
    """uint8 [h, w]."""
    scale: float
    """Of it relative to the frame."""


class Step(NamedTuple):
    """The motion from a frame to the next, on a grid of points of the frame, float32 [gy, gx, …]."""

    forward: np.ndarray
    """[gy, gx, 2]: how far each point of the first frame has moved in the second, x and y in grid cells."""
    backward: np.ndarray
    """[gy, gx, 2]: how far each point of the second frame is away in the first."""
    forward_trust: np.ndarray
    """[gy, gx], 0 … 1, of `forward`."""
    backward_trust: np.ndarray
    """[gy, gx], 0 … 1, of `backward`."""


class Way(NamedTuple):
    """Where each point of a frame is in another one."""

    moved: np.ndarray
    """float32 [gy, gx, 2], in grid cells."""
    trust: np.ndarray
    """float32 [gy, gx], 0 … 1."""


def picture_for_flow(frame: Rgb) -> Picture:
    """What flow is measured on, of a frame, uint8 [H, W, 3]."""
    width, height = size_of(frame)
    scale = min(0.5, LONGEST_SIDE / max(width, height))
    if min(width, height) * scale < SMALLEST_SIDE:
        scale = 1.0
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Picture(cv2.resize(grey, small, interpolation=cv2.INTER_AREA) if scale < 1 else grey, scale)


class MotionMeter:
    """Measures the motion between frames. Keeps buffers between calls: one instance for one thread."""

    def __init__(self) -> None:
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(0)
        self._flow.setPatchStride(PATCH_STRIDE)
        self._flow.setGradientDescentIterations(DESCENT)
        self._flow.setVariationalRefinementIterations(REFINEMENT)

    def step(self, first: Picture, second: Picture) -> Step:
        """The motion between two pictures of one size, at least `SMALLEST_SIDE` pixels each way."""
        forward, backward = (self._field(*pair) for pair in ((first, second), (second, first)))
        return Step(forward, backward, _trust(forward, backward), _trust(backward, forward))

    def _field(self, first: Picture, second: Picture) -> np.ndarray:
        flow = self._flow.calc(first.luma, second.luma, None)
        height, width = first.luma.shape
        size = (-(-width // FIELD), -(-height // FIELD))
        return cv2.resize(flow, size, interpolation=cv2.INTER_AREA) * np.array(
            (size[0] / width, size[1] / height), np.float32
        )


def positions(shape: tuple[int, ...]) -> np.ndarray:
    """The position of each point of a grid of `shape` [gy, gx, …]: float32 [gy, gx, 2], x and y; not to be written."""
    return _positions(*shape[:2])


@lru_cache(maxsize=4)
def _positions(rows: int, columns: int) -> np.ndarray:
    grid = np.dstack(np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32)))
    grid.flags.writeable = False
    return grid


def squared(vectors: np.ndarray) -> np.ndarray:
    """Squared lengths of vectors [h, w, 2]: [h, w]. Five times as fast as a sum over the last axis."""
    x, y = cv2.split(vectors)
    return x * x + y * y


def at(field: np.ndarray, where: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """The values of `field` at the positions `where`, float32 [h, w, 2]; those outside are those of the edge."""
    # Two maps: OpenCV 5.0.0 reads beyond an empty second one.
    x, y = cv2.split(where)
    return cv2.remap(field, x, y, how, borderMode=cv2.BORDER_REPLICATE)


def onward(way: Way, step_moved: np.ndarray, step_trust: np.ndarray, grid: np.ndarray) -> Way:
    """`way`, one frame further."""
    there = grid + way.moved
    return Way(way.moved + at(step_moved, there), way.trust * at(step_trust, there))


def _trust(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    missed = there + at(back, positions(there.shape) + there)
    limit = THERE_AND_BACK / FIELD
    return 1 / (1 + squared(missed) / limit**2)
