"""How long denoising takes: measured on this card, estimated from its published speed, or relative to another run.

Every clock of the pack asks `predict_time`. Loading, decoding and interpolation are not counted: see ``docs/time.md``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import NamedTuple

from ..devices.budget import Budget
from ..job import Job
from .pass_time import pace_of, pass_s, span_s

RELATIVE_TO = Job(512, 512, 10.0)
"""The run that others are compared with where the card is unknown: 512², 10 s, 25 steps, fp16."""
SPREAD = (0.9, 1.15)
"""Between what a run takes and what earlier runs on the card, of other settings perhaps, let expect."""


class TimeSource(StrEnum):
    """Where a prediction of time comes from."""

    MEASURED = "measured here"
    """Earlier runs on this card."""
    ESTIMATED = "estimated"
    """The card's published speed."""
    RELATIVE = "relative"
    """Nothing is known of the card."""


class TimePrediction(NamedTuple):
    """How long a run denoises."""

    source: TimeSource
    relative: float
    """Time as a ratio to `RELATIVE_TO` on the same card."""
    seconds: float | None = None
    """Most likely time; None unless it is measured here."""
    low_s: float | None = None
    """Fewest seconds; None where it is relative."""
    high_s: float | None = None


@dataclass(frozen=True)
class Pace:
    """How long a pass keeps one card busy, as a ratio to the card the model was measured on."""

    ratio: float
    runs: int
    """How many runs it was computed from."""


def passes(job: Job) -> int:
    """Passes of the network in a run: steps × windows."""
    return job.steps * job.windows


def learn_pace(runs: Iterable[tuple[Job, float]]) -> Pace | None:
    """The pace of a card from its finished runs (job, seconds of denoising); None without any."""
    ratios = [pace_of(job, seconds / passes(job)) for job, seconds in runs if seconds > 0]
    return Pace(median(ratios), len(ratios)) if ratios else None


def predict_time(
    job: Job, budget: Budget, pace: Pace | None = None, *, parts: Iterable[int] | None = None
) -> TimePrediction:
    """How long `job` denoises on the card of `budget`, whose `pace` is known from its history if it has one.

    `parts` are the latent frames of each part of a video; by default, it is the job alone.
    """
    windows = job.windows if parts is None else sum(-(-frames // job.window) for frames in parts)
    count = job.steps * windows
    relative = count * pass_s(job) / (passes(RELATIVE_TO) * pass_s(RELATIVE_TO))
    if pace is not None:
        seconds = count * pass_s(job, pace.ratio)
        low, high = (share * seconds for share in SPREAD)
        return TimePrediction(TimeSource.MEASURED, relative, seconds, low, high)
    if budget.speed is not None:
        low, high = (count * each for each in span_s(job, budget.speed))
        return TimePrediction(TimeSource.ESTIMATED, relative, None, low, high)
    return TimePrediction(TimeSource.RELATIVE, relative)
