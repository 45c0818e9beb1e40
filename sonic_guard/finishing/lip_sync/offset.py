"""The offset and the drift in how mouth and sound agree.

Drift (a wrong frame rate, or a sound at a wrong speed) is looked for by summing the agreement of short spans along
straight lines, then taken out of the sound's times, so that what is correlated again has a constant offset.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .correlation import LAGS_S, REACH_S, SEARCH_S, STEP_S, Agreement, Motion, Observation, agreement

SPAN_S = 4.0
"""Length of the spans whose own peaks a line is put through; in a short film they are shorter."""
LEAST_SPANS = 5
"""So many of them."""
PIECE_S = 0.5
"""Length of the pieces whose curves are summed along lines."""
FIRSTS_S, WIDER = (12.0, 24.0, 8.0), 2.5
"""The search for lines begins with so much of the middle, and goes on with so many times as much: the fastest drift is
found in the first, and the slowest in all of it. The next beginning is tried if nothing good comes of one."""
GOOD = 1.2
"""A peak that is good: its height times the square root of the seconds. By chance it is below 0.9."""
MAX_DRIFT = 0.045
"""Fastest drift that is looked for: 24 for 25 frames a second is 0.042."""
SHORTEST_S = 10.0
"""In a shorter film no drift is looked for: some line through it always looks good."""
LEAST_DRIFT_S = 0.02
"""Least change of the offset from the first to the last frame that is called drift."""
DRIFT_ERRORS = 4.0
"""Least drift, in its standard errors, that is called one."""
LINE_GAIN = 1.1
"""The agreement along a drifting line over the agreement without drift, from which the line is followed."""
ROUNDS = 3
"""Corrections of the drift by the spans' own peaks."""
NEAR_S = 0.12
"""Farthest that a span's own peak may be from the common one to count."""
PEAK_S = 0.3
"""Lags nearer to the peak than this belong to it."""


class Offset(NamedTuple):
    """What was found, trusted or not."""

    offset_s: float
    """In the middle of the film; positive: the sound is late."""
    drift: float
    """Seconds that the sound gets later in a second; 0 if none is certain."""
    curve: np.ndarray
    """float64 [L], the correlation at each of `LAGS_S`, with the drift taken out."""
    peak: float
    """Of the curve, 0 … 1."""
    prominence: float
    """How far the peak is above unrelated lags, in their standard deviations."""


def find_offset(moving: Motion, observations: Sequence[Observation]) -> Offset:
    """The offset at which mouth and sound agree best. `moving` has at least one frame."""
    middle_s = float(np.median(moving.times_s))
    span_s = float(np.ptp(moving.times_s))
    found = still = agreement(moving, observations)
    if span_s < SHORTEST_S:
        return _offset(still, 0.0)
    best, drift = -np.inf, 0.0
    for first_s in FIRSTS_S:
        followed, there = _followed(moving, observations, still, first_s)
        height = peak_of(there.curve)[1]
        if height > best:
            best, drift, found = height, followed, there
        if best * np.sqrt(moving.seconds) > GOOD:
            break
    error = np.inf
    for _ in range(ROUNDS):
        step, error = _rest(found)
        drift += step
        found = agreement(moving, observations, drift, middle_s)
    if abs(drift) > DRIFT_ERRORS * error and abs(drift) * span_s > LEAST_DRIFT_S:
        return _offset(found, drift)
    return _offset(still, 0.0)


def _followed(
    moving: Motion, observations: Sequence[Observation], still: Agreement, first_s: float
) -> tuple[float, Agreement]:
    """A drift that is followed from `first_s` seconds in the middle to the whole film, and the agreement with it."""
    middle_s = float(np.median(moving.times_s))
    drift, width_s, found = 0.0, first_s, still
    while True:
        step = _line(found, middle_s, width_s)
        if step:
            drift += step
            found = agreement(moving, observations, drift, middle_s)
        if width_s >= 2 * float(np.ptp(moving.times_s)):
            return drift, found
        width_s *= WIDER


def _offset(found: Agreement, drift: float) -> Offset:
    curve = found.curve
    offset_s, peak = peak_of(curve)
    unrelated = curve[np.abs(LAGS_S - offset_s) > PEAK_S]
    level, spread = float(unrelated.mean()), max(float(unrelated.std()), 1e-6)
    return Offset(offset_s, drift, curve, peak, (peak - level) / spread)


def peak_of(curve: np.ndarray) -> tuple[float, float]:
    """Lag and height of the highest peak within the search, between the lags by a parabola."""
    inside = np.flatnonzero(np.abs(LAGS_S) <= SEARCH_S + STEP_S / 2)
    around = slice(inside[0] - 1, inside[-1] + 2)  # a peak at the end of the search has lags on both sides
    return _top(LAGS_S[around], curve[around]), float(curve[inside].max())


def _curves(found: Agreement, length_s: float, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean times [W] and summed curves [W, L] of pieces of the chosen frames."""
    numbers = np.floor((found.times_s - found.times_s[0]) / length_s).astype(int)
    each = (found.template + found.fit) / 2
    pieces = [chosen & (numbers == number) for number in np.unique(numbers[chosen])]
    times = np.array([found.times_s[piece].mean() for piece in pieces])
    return times, np.array([each[piece].sum(0, np.float64) for piece in pieces])


def _line(found: Agreement, middle_s: float, width_s: float) -> float:
    """The drift along which the frames within `width_s` around the middle agree best; 0 if none is clearly better."""
    inside = np.abs(found.times_s - middle_s) <= width_s / 2
    times, curves = _curves(found, PIECE_S, inside)
    from_middle = times - middle_s
    reach_s = float(np.abs(from_middle).max())
    if reach_s < PIECE_S:
        return 0.0
    steps = int(min(MAX_DRIFT * reach_s, REACH_S - SEARCH_S) / STEP_S)
    lags = np.arange(len(LAGS_S))
    heights = {}
    for step in range(-steps, steps + 1):
        drift = step * STEP_S / reach_s
        moved = np.clip(lags + np.rint(drift * from_middle / STEP_S).astype(int)[:, None], 0, len(LAGS_S) - 1)
        heights[drift] = peak_of(np.take_along_axis(curves, moved, axis=1).sum(0))[1]
    best = max(heights, key=lambda drift: heights[drift])
    return best if heights[best] > LINE_GAIN * heights[0.0] else 0.0


def _rest(found: Agreement) -> tuple[float, float]:
    """The drift that is left, by a line through the spans' own peaks, and the standard error of its slope."""
    length_s = min(SPAN_S, float(np.ptp(found.times_s)) / LEAST_SPANS)
    times, curves = _curves(found, max(length_s, PIECE_S), np.ones(len(found.times_s), bool))
    centre, _ = peak_of(found.curve)
    near = np.abs(LAGS_S - centre) <= NEAR_S
    tops = np.array([_top(LAGS_S[near], curve[near]) for curve in curves])
    weights = np.maximum(np.array([curve[near].max() for curve in curves]), 0)
    weights[np.abs(tops - centre) > NEAR_S - 1.5 * STEP_S] = 0
    if (weights > 0).sum() < 4:
        return 0.0, np.inf
    x = times - np.average(times, weights=weights)
    y = tops - np.average(tops, weights=weights)
    spread = float(np.average(x * x, weights=weights))
    slope = float(np.average(x * y, weights=weights)) / spread
    rest = float(np.average((y - slope * x) ** 2, weights=weights)) + STEP_S**2 / 12
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    return slope, float(np.sqrt(rest / spread / max(1.0, effective - 2)))


def _top(lags_s: np.ndarray, curve: np.ndarray) -> float:
    """Where a curve is highest, between its lags by a parabola."""
    top = int(np.argmax(curve))
    if not 0 < top < len(curve) - 1:
        return float(lags_s[top])
    left, middle, right = (float(curve[top + step]) for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    return float(lags_s[top]) + (0.0 if bend >= 0 else STEP_S * (left - right) / (2 * bend))
