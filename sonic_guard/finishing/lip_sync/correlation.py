"""How well mouth and sound agree at each lag between them.

Two readings of the mouth are compared with the levels of the voice. The *template* is a fixed linear reading of the
mouth's shape, the same for everybody. The *fit* is a linear reading that is learned from this film alone: at each lag
from some blocks of it, and judged on the others, so that a chance agreement is not mistaken for a good one. Their
correlations are averaged.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .mouth import Mouth
from .speech import BANDS_HZ, TREND_S, Speech
from .template import reading

SEARCH_S = 0.5
"""Offsets that are looked for."""
REACH_S = 1.5
"""Lags computed: those beyond the search show how well unrelated mouth and sound agree in this film."""
STEP_S = 0.01
LAGS_S = np.round(np.arange(-REACH_S, REACH_S + STEP_S / 2, STEP_S), 6)
"""float64 [L]; positive: the sound is late."""
COMPONENTS = 12
"""Principal components of the shapes that the fit may use."""
RIDGE = 0.02
"""Penalty of the fit, in variances of the first component."""
BLOCKS = 5
"""Blocks of the film, each judged by what the others teach."""
GAP_S = 0.3
"""Around a block, nothing is learned: neighbouring frames are alike."""
LONGEST_STEP_S = 0.5
"""Frames that are farther apart have something else between them."""
MIN_SHOT = 12
"""Fewest frames of a shot that count."""


class Observation(NamedTuple):
    """A stretch of film: the mouth, and the sound around it."""

    mouth: Mouth
    speech: Speech


class Motion(NamedTuple):
    """The mouth's motion in all stretches, without its slow part."""

    times_s: np.ndarray
    """float64 [N]."""
    shapes: np.ndarray
    """float64 [N, coefficients]."""
    stretches: np.ndarray
    """int [N], which observation a frame belongs to."""

    @property
    def seconds(self) -> float:
        """The time in which the mouth is seen, however far apart the stretches are."""
        steps = np.diff(self.times_s)
        return float(steps[steps < LONGEST_STEP_S].sum())


class Agreement(NamedTuple):
    """By frame and lag."""

    times_s: np.ndarray
    """float64 [N]."""
    template: np.ndarray
    """float32 [N, L]; their sum over the frames is the correlation, between −1 and 1."""
    fit: np.ndarray
    """float32 [N, L], the same of the fit."""

    @property
    def curve(self) -> np.ndarray:
        """float64 [L], the mean of both correlations."""
        return (self.template.sum(0, np.float64) + self.fit.sum(0, np.float64)) / 2


def motion(observations: Sequence[Observation]) -> Motion:
    """The mouth's motion in the frames that show it."""
    times, shapes, stretches = [np.zeros(0)], [np.zeros((0, reading().shape[0]))], [np.zeros(0, int)]
    for number, (mouth, _) in enumerate(observations):
        for shot in np.unique(mouth.shots[mouth.seen]):
            chosen = mouth.seen & (mouth.shots == shot)
            if chosen.sum() < MIN_SHOT:
                continue
            times.append(mouth.times_s[chosen])
            shapes.append(_without_trend(mouth.shapes[chosen].astype(np.float64), times[-1]))
            stretches.append(np.full(len(times[-1]), number))
    return Motion(np.concatenate(times), np.concatenate(shapes), np.concatenate(stretches))


def agreement(
    moving: Motion, observations: Sequence[Observation], drift: float = 0.0, middle_s: float = 0.0
) -> Agreement:
    """How mouth and sound agree in each frame at each of `LAGS_S`.

    Args:
        moving: the mouth, of at least one frame.
        observations: what it was made of.
        drift: seconds that the sound gets later in a second, which is taken out.
        middle_s: the moment at which that changes nothing.
    """
    levels = _levels(moving, observations, drift, middle_s)
    moving_shapes = moving.shapes / max(float(np.sqrt((moving.shapes**2).mean())), 1e-9)
    template = np.asarray(moving_shapes @ reading(), np.float32)
    return Agreement(
        moving.times_s, _products(template[:, None, :], levels), _products(_fitted(moving, levels), levels)
    )


def _levels(moving: Motion, observations: Sequence[Observation], drift: float, middle_s: float) -> np.ndarray:
    """The sound's levels at each frame and lag, [N, L, bands]."""
    levels = np.zeros((len(moving.times_s), len(LAGS_S), len(BANDS_HZ)), np.float32)
    for number, (_, speech) in enumerate(observations):
        chosen = moving.stretches == number
        times = moving.times_s[chosen]
        heard = times + drift * (times - middle_s)
        levels[chosen] = speech.at(heard[:, None] + LAGS_S)
    return levels - levels.mean(0)


def _fitted(moving: Motion, levels: np.ndarray) -> np.ndarray:
    """The levels as the mouth predicts them, [N, L, bands], each block by a fit to the others."""
    frames = len(levels)
    wanted = levels.reshape(frames, -1)
    components = _principal(moving.shapes).astype(np.float32)
    predicted = np.zeros_like(wanted)
    edges = np.linspace(0, frames, BLOCKS + 1).astype(int)
    for first, end in zip(edges[:-1], edges[1:], strict=True):
        if first == end:
            continue
        begin_s, end_s = moving.times_s[first] - GAP_S, moving.times_s[end - 1] + GAP_S
        taught = (moving.times_s < begin_s) | (moving.times_s > end_s)
        known = components[taught]
        squares = known.T @ known + RIDGE * max(1, taught.sum()) * np.eye(known.shape[1], dtype=np.float32)
        predicted[first:end] = components[first:end] @ np.linalg.solve(squares, known.T @ wanted[taught])
    return predicted.reshape(levels.shape)


def _principal(shapes: np.ndarray) -> np.ndarray:
    """The shapes' first `COMPONENTS` principal components, [N, K], the first of variance 1."""
    values, vectors = np.linalg.eigh(shapes.T @ shapes / max(1, len(shapes)))
    return shapes @ vectors[:, : -COMPONENTS - 1 : -1] / np.sqrt(max(float(values[-1]), 1e-12))


def _products(mouth: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The products of two signals [N, L or 1, bands], scaled so that they add up to the bands' mean correlation."""
    scale = np.sqrt((mouth**2).sum(0, np.float64) * (levels**2).sum(0, np.float64)) + 1e-9
    return ((mouth * levels) / scale.astype(np.float32)).mean(2)


def _without_trend(values: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """Values [N, n] at any times without their local mean, as the sound's levels are."""
    weights = np.exp(-0.5 * ((times_s[:, None] - times_s) / TREND_S) ** 2)
    return values - (weights / weights.sum(1, keepdims=True)) @ values
