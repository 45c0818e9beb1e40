"""Short pulses of brightness in a series of light changes: what they are, and by how much they brighten each cell.

A pulse rises above (or falls below) the light on both of its span and comes back within `LONGEST` frames, over most of
the picture, by less than a lamp or a flash. A step, a fade, a lamp that is switched on and a flash are no pulses.
Pure arithmetic on arrays.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .light import LightChange

LONGEST = 8
"""Frames of a pulse: two latent frames on either side of a seam, and as many interpolated ones."""
SIDE = 5
"""Frames on either side of a pulse from which the light without it is taken."""
REACH = 13
"""Frames before and after a frame that decide whether it belongs to a pulse."""
LEAST_SIDE = 3
"""Fewest frames on a side, but at a cut or an end of the film."""
LEAST_AT_END = 1
"""There, if the other side has all `SIDE`. Without any, a pulse is not to be told from a step: nothing is one."""
LEAST = 0.004
"""Smallest pulse, as a natural logarithm: 0.4 % is not visible."""
MOST = 0.14
"""Largest one: beyond 15 % it is a flash."""
FADING = 0.5
"""Weight of each frame on a side relative to the next nearer one."""
PEAK_OVER_NOISE = 6.0
"""The peak of a pulse is at least this many times the noise: the usual change from a frame to the next, and the spread
of the light on its span."""
OVER_NOISE = 1.5
"""Each frame of it is at least this many times the noise."""
OF_PEAK = 0.2
"""… and this share of the peak: what has come back to that is the light of its sides."""
OVER_TREND = 1.0
"""… and this many times the difference between its two span, which a fade or a step has."""
SHARE = 0.5
"""Of the picture that takes part, at least half as much as the whole: less is an object or a lamp."""
LEAST_NOISE = 0.0007
"""Least standard deviation of a cell's light from one frame to the next: rounding and compression."""


class Pulse(NamedTuple):
    """What a pulse adds to one frame."""

    gain: float
    """Natural logarithm of the factor by which the whole frame is brighter."""
    field: np.ndarray
    """The same by cell and colour, float64 [gy, gx, 3]: red, green, blue."""
    beside: int
    """Number of the nearest frame that is not in the pulse."""

    @property
    def factor(self) -> float:
        """By which the whole frame is brighter: 1.03 for 3 %."""
        return math.exp(self.gain)


class _Spans(NamedTuple):
    """All spans that could be a pulse in a series of some length, and what is linear in the series about them."""

    first: np.ndarray
    last: np.ndarray
    """Frames of each span, int [spans]."""
    above: np.ndarray
    """[spans, count, count]: times the series gives how far each frame is above the line beside the span."""
    inside: np.ndarray
    """bool [spans, count]: the frames of the span."""
    weight: np.ndarray
    """Of the frames beside the span, [spans, count]; the sum is 1, and 0 elsewhere."""


def pulse_at(
    changes: Sequence[LightChange], at: int, *, begins_shot: bool = False, ends_shot: bool = False
) -> Pulse | None:
    """The pulse in which frame `at` lies; None if it lies in none.

    Args:
        changes: from each frame of a shot to the next; frame 0 is the one before the first change.
        at: number of the frame, 0 … len(changes).
        begins_shot: whether frame 0 is the first one of its shot; if not, the series is a part of it.
        ends_shot: whether the last frame is the last one of its shot.
    """
    if len(changes) < 2 * LEAST_SIDE:
        return None
    gains = np.stack([change.gain for change in changes])
    noise = _noise(gains)
    weight = np.mean([change.weight for change in changes], 0) / noise[..., 0] ** 2
    if not weight.any():
        return None
    light = np.concatenate([np.zeros_like(gains[:1]), np.cumsum(gains, 0)])
    whole = np.tensordot(light[..., 0], weight, 2) / weight.sum()
    spans = _spans(len(whole), begins_shot, ends_shot)
    span = _span_of(whole, spans, at)
    if span is None:
        return None
    above = np.tensordot(spans.above[span], light, 1)
    beside, inside = spans.weight[span] > 0, spans.inside[span]
    error = np.maximum(np.sqrt(np.tensordot(spans.weight[span, beside], above[beside] ** 2, 1)), noise)
    share = np.mean([change.weight for change in changes], 0)
    mean = (spans.above[span] @ whole)[inside].mean()
    taking_part = above[inside, ..., 0].mean(0) * np.sign(mean) > abs(mean) / 2
    if share[taking_part].sum() < SHARE * share.sum():
        return None
    first, last = int(spans.first[span]), int(spans.last[span])
    nearest = first - 1 if at - first < last - at else last + 1
    return Pulse(float(spans.above[span, at] @ whole), _field(above[at], error, share), nearest)


def _noise(gains: np.ndarray) -> np.ndarray:
    """Standard deviation of the change from a frame to the next, [gy, gx, 4], whatever the trend and the pulses are."""
    bends = np.diff(gains, axis=0)
    spread = 1.4826 * np.median(np.abs(bends), 0) / np.sqrt(2)
    return np.maximum(spread, LEAST_NOISE)


def _span_of(whole: np.ndarray, spans: _Spans, at: int) -> int | None:
    """The number of the span that is a pulse and contains frame `at`, if there is one.

    Of spans less than `SIDE` frames apart, the one with the most energy over the noise beside it is the pulse. A span
    that is too short has a part of the pulse beside it, one that is too long has frames without energy.
    """
    above = spans.above @ whole
    steps = np.diff(whole)
    usual = 1.4826 * float(np.median(np.abs(steps - np.median(steps))))
    spread = np.sqrt((spans.weight * above**2).sum(1))
    pulses = _look_like_pulses(whole, above, spans, np.maximum(spread, usual))
    energy = np.where(pulses, (above**2 * spans.inside).sum(1) / (spread**2 + (usual / 2) ** 2 + LEAST_NOISE**2), 0.0)
    while energy.max(initial=0.0) > 0:
        best = int(energy.argmax())
        first, last = spans.first[best], spans.last[best]
        if first <= at <= last:
            return best
        energy[(spans.first <= last + SIDE) & (spans.last >= first - SIDE)] = 0
    return None


def _look_like_pulses(whole: np.ndarray, above: np.ndarray, spans: _Spans, noise: np.ndarray) -> np.ndarray:
    """Which spans look like a pulse, taken alone: bool [spans]."""
    sign = np.sign(above[np.arange(len(above)), spans.first])[:, None]
    least = np.where(spans.inside, above * sign, np.inf).min(1)
    most = np.where(spans.inside, above * sign, -np.inf).max(1)
    left, right = whole[spans.first - 1], whole[spans.last + 1]
    beyond_both = np.minimum(*(_least_over(whole, level, sign, spans) for level in (left, right)))
    return (
        (most >= np.maximum(LEAST, PEAK_OVER_NOISE * noise))
        & (most <= MOST)
        & (least >= np.maximum(OF_PEAK * most, OVER_NOISE * noise))
        & (beyond_both > 0)
        & (most > OVER_TREND * np.abs(right - left))
    )


def _least_over(whole: np.ndarray, level: np.ndarray, sign: np.ndarray, spans: _Spans) -> np.ndarray:
    """How far every frame of each span is above `level`, [spans], at least; below it if `sign` is negative."""
    return np.where(spans.inside, (whole - level[:, None]) * sign, np.inf).min(1)


@lru_cache(maxsize=4 * (2 * REACH + 1))
def _spans(count: int, begins_shot: bool, ends_shot: bool) -> _Spans:
    """All spans in a series of `count` frames with enough frames on either side.

    The line is fitted to the frames beside the span, the nearest of which count most: light that drifts is at the edge
    of a pulse not what it was five frames before.
    """
    least = LEAST_AT_END if begins_shot else LEAST_SIDE, LEAST_AT_END if ends_shot else LEAST_SIDE
    bounds = [
        (first, last)
        for first in range(least[0], count - least[1])
        for last in range(first, min(first + LONGEST, count - least[1]))
        if min(first, count - 1 - last) >= LEAST_SIDE or max(first, count - 1 - last) >= SIDE
    ]
    first, last = np.array(bounds).T
    frame = np.arange(count)
    inside = (first[:, None] <= frame) & (frame <= last[:, None])
    distance = np.maximum(first[:, None] - frame, frame - last[:, None])
    weight = np.where((distance > 0) & (distance <= SIDE), FADING ** (distance - 1.0), 0.0)
    weight /= weight.sum(1, keepdims=True)
    offset = frame - (weight * frame).sum(1, keepdims=True)
    slope = weight * offset / (weight * offset**2).sum(1, keepdims=True)
    line = weight[:, None, :] + offset[:, :, None] * slope[:, None, :]
    return _Spans(first, last, np.eye(count) - line, inside, weight)


def _field(amount: np.ndarray, error: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The gain by cell and colour, [gy, gx, 3]: the measured one as far as it is larger than its error.

    A cell's own light counts as far as cells differ by more than their errors, a colour's own likewise.
    """
    luma = _pooled(amount[..., 0], error[..., 0], share, to=None)
    tint = [_pooled(amount[..., colour] - amount[..., 0], error[..., colour], share, to=0.0) for colour in (1, 2, 3)]
    return luma[..., None] + np.stack(tint, -1)


def _pooled(amount: np.ndarray, error: np.ndarray, share: np.ndarray, to: float | None) -> np.ndarray:
    """Each cell's amount drawn towards the mean of all, and that towards `to`, by what the errors explain.

    Random effects (DerSimonian and Laird 1986) for the cells; positive-part James-Stein for the mean.
    """
    weight = np.where(share > 0, share / error**2, 0.0)
    total = weight.sum()
    mean = (weight * amount).sum() / total
    used = share > 0
    freedom = max(1, int(used.sum()) - 1)
    q = ((amount - mean)[used] ** 2 / error[used] ** 2).sum()
    mean_precision = (1 / error[used] ** 2).sum()
    between = max(0.0, (q - freedom) / (mean_precision - (1 / error[used] ** 4).sum() / mean_precision or 1))
    own = np.where(used, between / (between + error**2), 0.0)
    if to is not None:
        error_of_mean = between / max(1, used.sum()) + 1 / mean_precision
        mean = to + (mean - to) * max(0.0, 1 - error_of_mean / max((mean - to) ** 2, 1e-12))
    return mean + own * (amount - mean)
