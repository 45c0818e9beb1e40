"""Another size without a network: for a result of an exact size where no upscale model is given.

Imports OpenCV: import this module lazily.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2

from .frames import Frame
from .output_size import OutputSize


@dataclass(frozen=True)
class Resize:
    """The filter: Lanczos to enlarge, the mean of the area to shrink. A frame of the right size is left as it is."""

    output: OutputSize

    before: int = field(default=0, init=False)
    after: int = field(default=0, init=False)
    multiple: int = field(default=1, init=False)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what comes out."""
        return self.output.of(width, height)

    def run(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames, uint8 [H, W, 3], one by one."""
        for frame in frames:
            height, width = frame.shape[:2]
            yield resized(frame, self.size(width, height))


def resized(frame: Frame, size: tuple[int, int]) -> Frame:
    """`frame` at exactly `size`, width and height: averaged over areas where it shrinks, Lanczos where it grows.

    The same object if it has that size.
    """
    height, width = frame.shape[:2]
    if size == (width, height):
        return frame
    shrinks = size[0] <= width and size[1] <= height
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4)
