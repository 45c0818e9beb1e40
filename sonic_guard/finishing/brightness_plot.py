"""A small picture of the brightness by frame, before and after the deflicker."""

from collections.abc import Sequence

import numpy as np

from .frames import Frame

SIZE = (960, 270)
MARGIN = (54, 14)
"""Pixels left of and around the curves."""
SHOWN = 250
"""Frames at most: those with the largest corrections among them."""
LEAST_RANGE = 2.0
"""Levels from the bottom to the top at least, so that noise does not fill the picture."""
BEFORE, AFTER, LINES, PAPER = (214, 94, 60), (38, 92, 166), (222, 222, 222), (255, 255, 255)
"""Colours of the curves, the grid and the ground."""


def brightness_plot(before: Sequence[float], after: Sequence[float]) -> Frame:
    """Brightness by frame as curves, before in red and after in blue over it: uint8 [270, 960, 3].

    Args:
        before: mean levels, 0 … 255. With more than `SHOWN`, the part around the largest correction is shown.
        after: as many.
    """
    from PIL import Image, ImageDraw  # as late as OpenCV, for a light import

    picture = Image.new("RGB", SIZE, PAPER)
    draw = ImageDraw.Draw(picture)
    first, last = _shown(before, after)
    curves = [np.asarray(values[first:last], np.float64) for values in (before, after)]
    low, high = _range(curves)
    for level in np.linspace(low, high, 5):
        y = _y(level, low, high)
        draw.line([(MARGIN[0], y), (SIZE[0] - MARGIN[1], y)], LINES)
        draw.text((6, y - 6), f"{level:.1f}", (90, 90, 90))
    step = (SIZE[0] - MARGIN[0] - MARGIN[1]) / max(1, last - first - 1)
    for curve, colour, width in zip(curves, (BEFORE, AFTER), (3, 2), strict=True):
        points = [(MARGIN[0] + step * n, _y(level, low, high)) for n, level in enumerate(curve)]
        if len(points) > 1:
            draw.line(points, colour, width)
    for n in range(-(-first // 25) * 25, last, 25):
        draw.text((MARGIN[0] + step * (n - first) - 6, SIZE[1] - 14), str(n), (90, 90, 90))
    return np.asarray(picture)


def _shown(before: Sequence[float], after: Sequence[float]) -> tuple[int, int]:
    """First frame to show, and the one after the last."""
    count = len(before)
    if count <= SHOWN:
        return 0, count
    largest = int(np.argmax(np.abs(np.subtract(before, after))))
    first = min(max(0, largest - SHOWN // 2), count - SHOWN)
    return first, first + SHOWN


def _range(curves: Sequence[np.ndarray]) -> tuple[float, float]:
    """Levels at the bottom and the top."""
    values = np.concatenate(curves)
    if not values.size:
        return 0.0, LEAST_RANGE
    low, high = float(values.min()), float(values.max())
    extra = max(0.0, LEAST_RANGE - (high - low)) / 2 + 0.05 * (high - low)
    return low - extra, high + extra


def _y(level: float, low: float, high: float) -> float:
    return SIZE[1] - 24 - (level - low) / (high - low) * (SIZE[1] - 24 - MARGIN[1])
