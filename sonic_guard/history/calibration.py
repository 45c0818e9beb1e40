"""From what earlier runs took to a better prediction, with an upper bound and a probability.

The model counts the bytes of tensors; what torch's allocator takes for them is its own affair, and differs from card
to card. So a run teaches one number, the *ratio* of the bytes the allocator reserved to the bytes of tensors the model
counted, at the stage that decides the prediction.

- The corrected prediction puts the median ratio of a card's runs in the place of the model's, drawn towards the
  model's while runs are few.
- The upper bound multiplies with a high quantile of the ratios: split conformal prediction (Vovk; Lei et al. 2018) with
  the ratio as score. Nothing is fitted before the scores, so no run is held back for fitting.

A run that ran out of memory says only that its ratio is above a bound. It counts as one of the higher ratios, with
equal chances (Efron's redistribution to the right: the Kaplan-Meier estimate). See `docs/history.md`.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from ..job import Job
from ..memory.stage_model import STAGES, Estimate, Overhead, overhead, predict, stage_bytes
from .run_record import Outcome, Run

GRAIN = 20
"""One run in this many may go over the bound. With 20 m - 1 scores that is a whole rank: exactly 95 % stay below."""
MAX_RUNS = 400 - 1
"""Only the newest this many count: what changed since, a driver or a version of torch, is forgotten."""
PRIOR_RUNS = 2
"""The model's own ratio counts as much as this many runs."""


class Point(NamedTuple):
    """What one run teaches."""

    tensor_bytes: int
    """Bytes of tensors the model counts at the stage compared."""
    reserved_bytes: int
    """Bytes the allocator reserved there; of a run that ran out of memory, a bound it went over."""
    out_of_memory: bool = False

    @property
    def ratio(self) -> float:
        """What the allocator took for a byte of tensors."""
        return self.reserved_bytes / self.tensor_bytes


@dataclass(frozen=True)
class Calibration:
    """What the runs of one card and one version of the wrapper say about the next one there."""

    runs: int = 0
    """How many runs it was learnt from; a job run again counts once. 0: everything is from the model alone."""
    overhead: Overhead = field(default_factory=overhead)
    """The model's overhead with the card's own fraction."""
    median_error_model: float | None = None
    """Median error of the model alone on these runs, as a part of what they took; None without any."""
    median_error: float | None = None
    """Median error of the corrected prediction, each run left out of what corrected it."""
    scores: tuple[Point, ...] = ()
    """The runs behind the bound, by ratio; none before there are enough."""

    def corrected(self, estimate: Estimate) -> int:
        """Bytes at the peak of `estimate`, overhead included; its own figure while the model stands alone."""
        tensors, upper = _tensors(estimate), self.upper(estimate)
        corrected = tensors + self.overhead.of(tensors)
        return corrected if upper is None else min(corrected, upper)

    def upper(self, estimate: Estimate) -> int | None:
        """Bytes that 95 of 100 such runs stay below; None while there are too few, or too many ran out of memory."""
        ratio = self._upper_ratio
        return None if ratio is None else self.overhead.context_bytes + round(ratio * _tensors(estimate))

    def probability(self, estimate: Estimate, available_bytes: int) -> float | None:
        """The chance that the run needs more than `available_bytes`; None while there are too few runs."""
        if not self.scores:
            return None
        limit = (available_bytes - self.overhead.context_bytes) / _tensors(estimate)
        below = sum(mass for ratio, mass in _masses(self.scores) if ratio < limit)
        return 1 - below / (len(self.scores) + 1)

    @property
    def upper_factor(self) -> float | None:
        """The upper bound as a multiple of the corrected prediction, the context left out of both."""
        ratio = self._upper_ratio
        return None if ratio is None else ratio / (1 + self.overhead.fraction)

    @property
    def _upper_ratio(self) -> float | None:
        count = len(self.scores)
        return _at_rank(self.scores, (count + 1) * (GRAIN - 1) // GRAIN) if count else None


def calibrate(runs: Iterable[Run]) -> Calibration:
    """The calibration of `runs`, which must be of one card and one version of the wrapper.

    A job that was run again and again counts once, with its newest run: otherwise it would stand for all the jobs to
    come, and the first run of another one would be covered far less often than said.
    """
    newest: dict[object, Point] = {}
    for run in sorted(runs, key=lambda run: run.id, reverse=True):
        job = run.job
        formats = job.dtype, job.vae_dtype
        same = job.frame_size, job.latent_frames, job.window, formats, job.interpolate, job.optimizations, job.to_file
        if same not in newest and (point := point_of(run)):
            newest[same] = point
    return calibrate_points([*newest.values()])


def calibrate_points(points: Sequence[Point]) -> Calibration:
    """The calibration of `points`, newest first."""
    points = points[:MAX_RUNS]
    whole = (len(points) + 1) // GRAIN * GRAIN - 1
    scores = tuple(sorted(points[: max(0, whole)], key=_order))
    points = sorted(points, key=_order)
    # Nobody knows by how much a prediction missed that ran out of memory where the model said it would.
    telling = [index for index, point in enumerate(points) if not point.out_of_memory or _missed(point, overhead())]
    if not telling:
        return Calibration(len(points), scores=scores)
    alone = median(_error(points[index], overhead()) for index in telling)
    left_out = median(_error(points[index], _fit([*points[:index], *points[index + 1 :]])) for index in telling)
    # By chance alone the errors of a few runs fall too; a card's own fraction has to gain more than that.
    if left_out >= alone * (1 - 1 / math.sqrt(len(telling))):
        return Calibration(len(points), overhead(), alone, alone, scores)
    return Calibration(len(points), _fit(points), alone, left_out, scores)


def point_of(run: Run) -> Point | None:
    """What `run` teaches, or None: it must have got past the stage that decides its prediction, or died of it.

    The prediction is made anew with today's model, so that an update of the model does not inherit the old errors.
    """
    estimate = predict(run.job, unet_bytes=_unet_bytes(run))
    # A stage that takes what is free says nothing of what it needs.
    sizes = {stage: size for stage, size in estimate.stages.items() if size and stage not in estimate.floors}
    if run.outcome is Outcome.OUT_OF_MEMORY:
        return _bound(run, sizes)
    stage = max(sizes, key=sizes.__getitem__)
    if run.outcome is not Outcome.DONE and not _is_past(run, stage):
        return None
    reserved = _reserved(run, stage)
    before = max((_reserved(run, earlier) for earlier in STAGES[: STAGES.index(stage)]), default=0)
    # Reserved bytes that did not grow in this stage are the cache of an earlier stage or an earlier run.
    return Point(sizes[stage], reserved) if reserved > before else None


def peaks(run: Run) -> tuple[int | None, int | None]:
    """What was predicted for `run` before it began, and what it took, so far as it got: both with the context.

    The stages that take what is free are left out of both. None where nothing was predicted or measured.
    """
    adaptive = predict(run.job).floors
    predicted = max((size for stage, size in run.predicted.items() if stage not in adaptive), default=0)
    reserved = max((_reserved(run, stage) for stage in run.stages if stage not in adaptive), default=0)
    return (
        predicted + overhead().of(predicted) if predicted else None,
        reserved + overhead().context_bytes if reserved else None,
    )


def denoise_times(runs: Iterable[Run]) -> list[tuple[Job, float]]:
    """Job and seconds of denoising of the finished runs: what `timing.learn_pace` learns from."""
    done = [run for run in runs if run.outcome is Outcome.DONE and "denoise" in run.stages]
    return [(run.job, seconds) for run in done if (seconds := run.stages["denoise"].seconds)]


def _unet_bytes(run: Run) -> int | None:
    """The weights of the checkpoint that the prediction before the run was made with."""
    weights = run.predicted.get("load", 0) - stage_bytes(run.job, unet_bytes=0)["load"]
    return weights if weights > 0 else None


def _bound(run: Run, sizes: dict[str, int]) -> Point | None:
    tensors = sizes.get(run.stage)
    bound = max(_reserved(run, run.stage), run.environment.available_bytes - overhead().context_bytes)
    # Where not even the tensors had room, nothing is learnt of what comes on top of them.
    return Point(tensors, bound, out_of_memory=True) if tensors and bound > tensors else None


def _is_past(run: Run, stage: str) -> bool:
    return run.stage in STAGES and STAGES.index(run.stage) > STAGES.index(stage)


def _reserved(run: Run, stage: str) -> int:
    return (run.stages[stage].reserved_bytes or 0) if stage in run.stages else 0


def _tensors(estimate: Estimate) -> int:
    return estimate.peak_bytes - estimate.overhead_bytes


def _order(point: Point) -> tuple[float, bool]:
    return point.ratio, point.out_of_memory


def _fit(points: Sequence[Point]) -> Overhead:
    """The overhead with the median ratio of `points`, which are sorted, drawn towards the model's."""
    shipped, count = overhead(), len(points)
    if not count:
        return shipped
    middle = [_at_rank(points, rank) or points[-1].ratio for rank in ((count + 1) // 2, count // 2 + 1)]
    weight = count / (count + PRIOR_RUNS)
    return shipped._replace(fraction=shipped.fraction + weight * (sum(middle) / 2 - 1 - shipped.fraction))


def _masses(points: Sequence[Point]) -> Iterator[tuple[float, float]]:
    """The ratios that were measured, in order, and how many runs each stands for, of all and the one to come.

    The run to come stands at infinity. A run that ran out of memory hands its part to all above it, that one too.
    """
    mass = 1.0
    for above, point in zip(range(len(points), 0, -1), points, strict=True):
        if point.out_of_memory:
            mass += mass / above
        else:
            yield point.ratio, mass


def _at_rank(points: Sequence[Point], rank: int) -> float | None:
    """The ratio that `rank` of the runs do not exceed; None where that is beyond all that was measured."""
    reached = 0.0
    for ratio, mass in _masses(points):
        reached += mass
        if reached > rank - 1e-6:  # masses are sums of fractions
            return ratio
    return None


def _missed(point: Point, card: Overhead) -> bool:
    return point.reserved_bytes > (1 + card.fraction) * point.tensor_bytes


def _error(point: Point, card: Overhead) -> float:
    """How far the prediction is from what the run took, as a part of that; at least, if it ran out of memory."""
    taken = card.context_bytes + point.reserved_bytes
    off = taken - card.context_bytes - (1 + card.fraction) * point.tensor_bytes
    return (max(0.0, off) if point.out_of_memory else abs(off)) / taken
