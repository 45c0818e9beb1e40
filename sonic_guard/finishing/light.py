"""How much brighter each part of a frame is than the same part of the frame before it, by colour.

The frames are brought midway by optical flow first (`frame_pairs`), so that what is compared is the same skin, hair and
wall. Pixels that flow does not explain (something appears, a reflection moves) are outliers of their cell and lose
their weight; clipped and black ones have none.

Imports OpenCV: import this module lazily.
"""

from typing import NamedTuple

import cv2
import numpy as np

from .frame_pairs import Midway, luma

GRID = 6
"""Cells along the longer side. A decoder's border effect is as wide as the picture or a face, not smaller."""
BRIGHTEST = 244.0
"""Level from which a pixel may be clipped by a pulse of a few per cent, in reduced, low-passed frames."""
DARKEST = 20.0
"""Luma below which rounding to whole levels is as large as a pulse."""
WHOLE_ROUNDS = 3
"""Rounds of reweighting by the whole picture."""
ROUNDS = 2
"""Rounds of reweighting by cell."""
TOLERANCE = 1.5
"""Residual in standard deviations at which a pixel has a quarter of its weight."""
LEAST_SPREAD = 0.003
"""Least standard deviation of the residuals: rounding."""


class LightChange(NamedTuple):
    """From one frame to the next, by cell of a coarse grid."""

    gain: np.ndarray
    """Natural logarithm of the ratio of brightness, float64 [gy, gx, 4]: luma, red, green, blue. 0 without weight."""
    weight: np.ndarray
    """Share of the cell's pixels that tell, 0 … 1, float64 [gy, gx]."""


def grid_of(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the grid for a reduced frame: cells about square, at most one per pixel."""
    scale = GRID / max(height, width)
    return min(height, max(1, round(height * scale))), min(width, max(1, round(width * scale)))


def light_change(pair: Midway) -> LightChange:
    """The change of light from the first frame of `pair` to the second."""
    first, second = pair
    rows, columns = grid = grid_of(*first.shape[:2])
    before_luma, after_luma = luma(first), luma(second)
    total = before_luma + after_luma
    usable = (np.maximum(first, second).max(2) < BRIGHTEST) & (total > 2 * DARKEST)
    ratio = 2 * (after_luma - before_luma) / np.maximum(total, 1)
    weight = _inliers(ratio, total * usable, grid)
    before, after = (
        _cells(cv2.merge([grey, *cv2.split(side)]) * weight[..., None], grid).astype(np.float64)
        for side, grey in ((first, before_luma), (second, after_luma))
    )
    told = (before.min(2) > 0) & (after.min(2) > 0)
    gain = np.zeros((rows, columns, 4))
    gain[told] = np.log(after[told] / before[told])
    return LightChange(gain, np.where(told, _cells(weight / np.maximum(total, 1), grid), 0.0).astype(np.float64))


def _inliers(ratio: np.ndarray, weight: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """`weight` times the trust in each pixel (Geman-McClure).

    First by its distance from what is usual in the whole picture, most of which stands still, then in its cell.
    """
    height, width = ratio.shape
    usable = ratio[weight > 0]
    if not usable.size:
        return weight
    usual, spread = np.float32(np.median(usable)), np.float32(LEAST_SPREAD)
    for _ in range(WHOLE_ROUNDS):
        spread = max(1.4826 * np.median(np.abs(usable - usual)), LEAST_SPREAD)
        trusted = weight / (1 + ((ratio - usual) / (TOLERANCE * spread)) ** 2) ** 2
        usual = (trusted * ratio).sum() / trusted.sum()
    trusted = weight / (1 + ((ratio - usual) / (TOLERANCE * spread)) ** 2) ** 2
    for _ in range(ROUNDS):
        total = _cells(trusted, grid)
        usual = _cells(trusted * ratio, grid) / np.maximum(total, 1e-6)
        residual = ratio - cv2.resize(usual, (width, height), interpolation=cv2.INTER_LINEAR)
        spread = np.sqrt(_cells(trusted * residual**2, grid) / np.maximum(total, 1e-6))
        limit = TOLERANCE * np.maximum(spread, LEAST_SPREAD)
        scaled = residual / cv2.resize(limit, (width, height), interpolation=cv2.INTER_LINEAR)
        trusted = weight / (1 + scaled**2) ** 2
    return trusted


def _cells(picture: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Means by cell, [rows, columns] or [rows, columns, channels]."""
    rows, columns = grid
    return cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns, *picture.shape[2:])
