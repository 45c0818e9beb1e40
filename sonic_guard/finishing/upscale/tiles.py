"""How a frame is cut into tiles so that a network can process it in pieces, and how the pieces are put together.

A tile is a core and a halo around it. Where the halo is as wide as the network sees, the core comes out as it would of
the whole frame; then cores are set side by side. Otherwise neighbours are blended across the border of their cores.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

GRID = 8
"""Cores begin at multiples of this many pixels: networks that halve the resolution up to three times see the same
grid in a tile as in the frame."""
BLENDED_HALO = 32
"""Pixels of halo around the core of a tile of a network that sees farther."""
LEAST_CORE = 16
"""Pixels of a side of the smallest core; smaller ones are nearly all halo."""
FADE = LEAST_CORE // 2
"""Pixels to both sides of a border over which neighbours are blended."""


class Span(NamedTuple):
    """A stretch of rows or columns of the frame."""

    start: int
    stop: int
    core_start: int
    core_stop: int


class Tile(NamedTuple):
    """A rectangle of the frame with the core inside it, in pixels of the frame."""

    rows: Span
    columns: Span


class Tiling(NamedTuple):
    """How to cut: the side of a tile with its halo, and the halo's width."""

    side: int
    halo: int
    is_exact: bool
    """Whether cores come out as those of the whole frame."""

    @property
    def core(self) -> int:
        """Side of a core inside the frame."""
        return max(LEAST_CORE, (self.side - 2 * self.halo) // GRID * GRID)

    def halved(self) -> "Tiling | None":
        """With half the core; None if that is too small."""
        core = self.core // 2
        return self._replace(side=core + 2 * self.halo) if core >= LEAST_CORE else None


def tiles_of(width: int, height: int, tiling: Tiling) -> list[Tile]:
    """The tiles of a frame, row by row. Their cores cover it without overlap."""
    return [Tile(rows, columns) for rows in _spans(height, tiling) for columns in _spans(width, tiling)]


def _spans(length: int, tiling: Tiling) -> list[Span]:
    if length <= tiling.side:
        return [Span(0, length, 0, length)]
    count = -(-length // tiling.core)
    core = -(-length // (count * GRID)) * GRID  # alike, rather than large ones and a rest
    borders = [*range(0, length, core), length]
    if length - borders[-2] < FADE:
        del borders[-2]
    return [
        Span(max(0, begin - tiling.halo), min(length, end + tiling.halo), begin, end)
        for begin, end in pairwise(borders)
    ]


class Canvas:
    """Collects what comes of the tiles of one frame."""

    def __init__(self, width: int, height: int, scale: int, tiling: Tiling) -> None:
        """`width` and `height` are the frame's before scaling."""
        self._size, self._scale = (width, height), scale
        self._fade = 0 if tiling.is_exact else FADE
        kind = np.float32 if self._fade else np.uint8
        self._pixels = np.zeros((height * scale, width * scale, 3), kind)

    def add(self, tile: Tile, pixels: np.ndarray) -> None:
        """Add what came of a tile, [h · scale, w · scale, 3] in 0 … 255: uint8 if the tiling is exact, else float32."""
        width, height = self._size
        rows, columns = (self._reach(span, length) for span, length in ((tile.rows, height), (tile.columns, width)))
        into = self._pixels[rows.start : rows.stop, columns.start : columns.stop]
        top, left = tile.rows.start * self._scale, tile.columns.start * self._scale
        part = pixels[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        if not self._fade:
            into[...] = part
            return
        weights = self._weights(tile.rows, height)[:, None] * self._weights(tile.columns, width)[None]
        into += part * weights[..., None]

    def result(self) -> np.ndarray:
        """The whole frame, uint8 [H · scale, W · scale, 3]."""
        if self._pixels.dtype == np.uint8:
            return self._pixels
        return np.clip(np.rint(self._pixels, out=self._pixels), 0, 255).astype(np.uint8)

    def _reach(self, span: Span, length: int) -> slice:
        """The pixels of the result to which a tile contributes."""
        start = span.core_start - (self._fade if span.core_start > 0 else 0)
        stop = span.core_stop + (self._fade if span.core_stop < length else 0)
        return slice(start * self._scale, stop * self._scale)

    def _weights(self, span: Span, length: int) -> np.ndarray:
        """Weights along `_reach`; those of neighbours add up to 1."""
        reach, fade = self._reach(span, length), 2 * self._fade * self._scale
        weights = np.ones(reach.stop - reach.start, np.float32)
        ramp = (np.arange(fade, dtype=np.float32) + 0.5) / fade
        if span.core_start > 0:
            weights[:fade] *= ramp
        if span.core_stop < length:
            weights[-fade:] *= ramp[::-1]
        return weights
