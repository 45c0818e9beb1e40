"""Tiles: their cores cover a frame once, and what is put together is the frame."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_guard.finishing.upscale.tiles import FADE, LEAST_CORE, Canvas, Tile, Tiling, tiles_of

TILINGS = st.builds(
    lambda core, halo, exact: Tiling(core + 2 * halo, halo, exact or halo < FADE),
    st.integers(LEAST_CORE, 90), st.integers(0, 40), st.booleans(),
)  # fmt: skip
SIDES = st.integers(1, 300)


def part(frame, tile):
    return frame[tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop]


@given(SIDES, SIDES, TILINGS)
def test_cores_cover_the_frame_once(width, height, tiling):
    covered = np.zeros((height, width), int)
    for rows, columns in tiles_of(width, height, tiling):
        covered[rows.core_start : rows.core_stop, columns.core_start : columns.core_stop] += 1
        for span, length in ((rows, height), (columns, width)):
            assert span.start == max(0, span.core_start - tiling.halo) or span.start == 0
            assert span.stop == min(length, span.core_stop + tiling.halo) or span.stop == length
    assert (covered == 1).all()


@given(SIDES, SIDES, TILINGS)
def test_no_tile_is_much_larger_than_asked_for(width, height, tiling):
    for rows, columns in tiles_of(width, height, tiling):
        assert max(rows.stop - rows.start, columns.stop - columns.start) <= max(tiling.side, LEAST_CORE) + 8


@given(SIDES, SIDES, TILINGS, st.integers(1, 3))
def test_unchanged_tiles_make_the_frame(width, height, tiling, scale):
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    canvas = Canvas(width, height, scale, tiling)
    for tile in tiles_of(width, height, tiling):
        large = part(frame, tile).repeat(scale, 0).repeat(scale, 1)
        canvas.add(tile, large if tiling.is_exact else large.astype(np.float32))
    assert np.array_equal(canvas.result(), frame.repeat(scale, 0).repeat(scale, 1))


def test_neighbours_that_differ_are_blended_without_a_step():
    tiling = Tiling(112, 32, is_exact=False)
    canvas = Canvas(128, 48, 2, tiling)
    for rows, columns in tiles_of(128, 48, tiling):
        level = 100.0 if columns.core_start == 0 else 160.0
        size = (2 * (rows.stop - rows.start), 2 * (columns.stop - columns.start), 3)
        canvas.add(Tile(rows, columns), np.full(size, level, np.float32))
    row = canvas.result()[40, :, 0].astype(int)
    assert (row[0], row[-1]) == (100, 160)
    assert 0 < np.abs(np.diff(row)).max() <= 3


@pytest.mark.parametrize(("side", "halo", "wanted"), [(112, 18, 36), (80, 18, 20), (68, 18, 16), (48, 0, 24)])
def test_a_core_is_halved(side, halo, wanted):
    assert Tiling(side, halo, True).halved() == Tiling(wanted + 2 * halo, halo, True)


def test_the_smallest_is_not_halved():
    assert Tiling(LEAST_CORE + 36, 18, True).halved() is None
