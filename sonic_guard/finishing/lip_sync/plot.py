"""A small picture of how well mouth and sound agree, by offset."""

from typing import Any

import numpy as np

from ...media.picture import Rgb
from .correction import LEAST_CORRECTION_MS
from .measurement import LipSync

WIDTH, HEIGHT = 640, 240
MARGIN = 28
_PAPER, _GRID, _AXIS, _CURVE, _PEAK, _GOOD = "#ffffff", "#e4e6eb", "#5b6270", "#4a6fae", "#c0392b", "#e3f3e6"
_TICK_MS = 100
_OVERSAMPLING = 2
"""Pillow's lines have no smooth edges; so the picture is drawn larger."""


def draw_plot(found: LipSync) -> Rgb:
    """The correlation over offsets from −500 to 500 ms, uint8 [240, 640, 3], with a line at the offset that was found.

    Numbers instead of words, so that it is the same in every language. Green: offsets that nobody sees.
    """
    from PIL import Image, ImageDraw

    scale = _OVERSAMPLING
    width, height, margin = WIDTH * scale, HEIGHT * scale, MARGIN * scale
    image = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(image)
    first, last = float(found.lags_ms[0]), float(found.lags_ms[-1])
    low, high = _range(found.correlation)

    def x_of(ms: float) -> float:
        return margin + (ms - first) / (last - first) * (width - 2 * margin)

    def y_of(value: float) -> float:
        return height - margin - (value - low) / (high - low) * (height - 2 * margin)

    bottom, top = y_of(low), y_of(high)
    draw.rectangle((x_of(-LEAST_CORRECTION_MS), top, x_of(LEAST_CORRECTION_MS), bottom), fill=_GOOD)
    for tick in range(int(first), int(last) + 1, _TICK_MS):
        draw.line((x_of(tick), top, x_of(tick), bottom), fill=_GRID, width=scale)
        _write(draw, x_of(tick), bottom + 3 * scale, f"{tick:+d} ms" if tick else "0")
    draw.line((x_of(first), y_of(0), x_of(last), y_of(0)), fill=_AXIS, width=scale)
    points = [(x_of(ms), y_of(value)) for ms, value in zip(found.lags_ms, found.correlation, strict=True)]
    draw.line(points, fill=_CURVE if found.offset_ms is not None else _AXIS, width=2 * scale, joint="curve")
    if found.offset_ms is not None:
        at = x_of(found.offset_ms)
        draw.line((at, top, at, bottom), fill=_PEAK, width=2 * scale)
        side = -1 if at > width * 0.8 else 1
        _write(draw, at + side * 34 * scale, top + 2 * scale, f"{found.offset_ms:+.1f} ms")
    return np.array(image.resize((WIDTH, HEIGHT), Image.Resampling.BOX), np.uint8)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Lowest and highest value of the axis."""
    return min(-0.1, float(values.min()) - 0.02), max(0.3, float(values.max()) + 0.05)


def _write(draw: Any, x: float, y: float, text: str) -> None:
    """A short text, centred at `x`, in Pillow's own font, at a size that every version of it has."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default()
    left, top, right, bottom = font.getbbox(text)
    size = int(right - left) + 2, int(bottom - top) + 2
    small = Image.new("L", size, 0)
    ImageDraw.Draw(small).text((1 - left, 1 - top), text, font=font, fill=255)
    large = small.resize((size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING), Image.Resampling.BICUBIC)
    draw.bitmap((round(x - large.width / 2), round(y)), large, fill=_AXIS)
