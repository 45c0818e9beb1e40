"""Calibrates predictions with the figures of earlier runs: a corrected value, an upper bound, and a probability.

The model counts the bytes of tensors. What torch's allocator reserves for them differs between cards. So each run
yields one number, the *ratio* of the bytes that the allocator reserved to the bytes of tensors that the model
predicts, at the stage with the largest prediction. The fixed terms, context and workspace, are learned before
(`card_overhead`), and the workspace does not count as reserved.

- The corrected prediction uses the median ratio of a card's runs instead of the model's, shrunk towards the model's
  while there are few runs.
- The upper bound uses a high quantile of the ratios: split conformal prediction (Vovk; Lei et al. 2018) with the ratio
  as score. Nothing is fitted before the scores are computed, so no runs are set aside for fitting.

For a run that ran out of memory only a lower bound of its ratio is known. It is treated as right-censored
(Efron's redistribution to the right, the Kaplan-Meier estimate). See `docs/history.md`.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from ..job import Job
from ..memory.overhead import Overhead, overhead
from ..memory.stage_model import STAGES, Estimate, predict
from .card_overhead import learn_fixed_terms, unet_bytes_of
from .run_record import Outcome, Run

GRAIN = 20
"""One run in this many may exceed the bound. With 20 m - 1 scores the rank is whole: exactly 95 % stay below."""
MAX_RUNS = 400 - 1
"""Number of newest runs that are used, so that the effect of an old driver or torch version disappears."""
PRIOR_RUNS = 2
"""Weight of the model's own ratio, in runs."""


class Point(NamedTuple):
    """The figures of one run that the calibration uses."""

    tensor_bytes: int
    """Bytes of tensors that the model predicts for the compared stage."""
    reserved_bytes: int
    """Bytes that the allocator reserved there, less the workspace; of a run that ran out of memory, a lower bound."""
    out_of_memory: bool = False

    @property
    def ratio(self) -> float:
        """Reserved bytes per byte of tensors."""
        return self.reserved_bytes / self.tensor_bytes


@dataclass(frozen=True)
class Calibration:
    """The calibration for one card and one version of the wrapper."""

    runs: int = 0
    """Number of runs used; repeated runs of a job count once. 0: the prediction is the model's."""
    overhead: Overhead = field(default_factory=overhead)
    """The model's overhead with the card's own context, workspace and fraction."""
    median_error_model: float | None = None
    """Median relative error of the model alone on these runs; None without runs."""
    median_error: float | None = None
    """Median relative error of the corrected prediction, by leave-one-out cross-validation."""
    scores: tuple[Point, ...] = ()
    """The runs that give the bound, sorted by ratio; empty while there are too few."""

    def corrected(self, estimate: Estimate) -> int:
        """Corrected bytes at the peak of `estimate`, overhead included; the model's own figure without runs."""
        tensors, upper = _tensors(estimate), self.upper(estimate)
        corrected = tensors + self.overhead.of(tensors)
        return corrected if upper is None else min(corrected, upper)

    def upper(self, estimate: Estimate) -> int | None:
        """Bytes that 95 % of such runs stay below; None if there are too few, or too many ran out of memory."""
        ratio = self._upper_ratio
        return None if ratio is None else self.overhead.fixed_bytes + round(ratio * _tensors(estimate))

    def probability(self, estimate: Estimate, available_bytes: int) -> float | None:
        """The probability, 0 … 1, that the run needs more than `available_bytes`; None if there are too few runs."""
        if not self.scores:
            return None
        limit = (available_bytes - self.overhead.fixed_bytes) / _tensors(estimate)
        below = sum(mass for ratio, mass in _masses(self.scores) if ratio < limit)
        return 1 - below / (len(self.scores) + 1)

    @property
    def upper_factor(self) -> float | None:
        """The upper bound divided by the corrected prediction, both without the fixed terms."""
        ratio = self._upper_ratio
        return None if ratio is None else ratio / (1 + self.overhead.fraction)

    @property
    def _upper_ratio(self) -> float | None:
        count = len(self.scores)
        return _at_rank(self.scores, (count + 1) * (GRAIN - 1) // GRAIN) if count else None


def calibrate(runs: Iterable[Run]) -> Calibration:
    """The calibration from `runs`, which must be of one card, one relative and one version of the wrapper.

    Of repeated runs of a job only the newest counts. Otherwise the scores would represent that job instead of the jobs
    to come, and the bound would cover the first run of another job far less often than stated.
    """
    newest: dict[object, Point] = {}
    runs = sorted(runs, key=lambda run: run.id, reverse=True)
    card = learn_fixed_terms(runs[:MAX_RUNS])
    for run in runs:
        job = run.job
        formats = job.dtype, job.vae_dtype
        clip = job.relative, job.frame_size, job.latent_frames, job.window
        same = clip, formats, job.interpolate, job.optimizations, job.to_file
        if same not in newest and (point := point_of(run, card)):
            newest[same] = point
    return calibrate_points([*newest.values()], card)


def calibrate_points(points: Sequence[Point], card: Overhead | None = None) -> Calibration:
    """The calibration from `points`, newest first; `card` is the overhead with the card's fixed terms."""
    card = card or overhead()
    points = points[:MAX_RUNS]
    whole = (len(points) + 1) // GRAIN * GRAIN - 1
    scores = tuple(sorted(points[: max(0, whole)], key=_order))
    points = sorted(points, key=_order)
    # The error is unknown for a run that ran out of memory as predicted.
    known = [index for index, point in enumerate(points) if not point.out_of_memory or _missed(point, card)]
    if not known:
        return Calibration(len(points), card, scores=scores)
    model_error = median(_error(points[index], card) for index in known)
    corrected_error = median(
        _error(points[index], _fit([*points[:index], *points[index + 1 :]], card)) for index in known
    )
    # The errors of a few runs also decrease by chance; the card's own fraction has to improve them by more than that.
    if corrected_error >= model_error * (1 - 1 / math.sqrt(len(known))):
        return Calibration(len(points), card, model_error, model_error, scores)
    return Calibration(len(points), _fit(points, card), model_error, corrected_error, scores)


def point_of(run: Run, card: Overhead | None = None) -> Point | None:
    """The figures of `run` for the calibration; `card` is the overhead with the card's fixed terms.

    None if it neither completed the stage with the largest prediction nor ran out of memory. The prediction is computed
    with the current model, so that the errors of older versions do not count.
    """
    card = card or overhead()
    estimate = predict(run.job, unet_bytes=unet_bytes_of(run), device=run.environment.device)
    # A stage that adapts to the free memory does not show what it needs.
    sizes = {stage: size for stage, size in estimate.stages.items() if size and stage not in estimate.floors}
    if run.outcome is Outcome.OUT_OF_MEMORY:
        return _bound(run, sizes, card)
    stage = max(sizes, key=sizes.__getitem__)
    if run.outcome is not Outcome.DONE and not _is_past(run, stage):
        return None
    reserved = _reserved(run, stage)
    before = max((_reserved(run, earlier) for earlier in STAGES[: STAGES.index(stage)]), default=0)
    # If the reserved bytes did not grow in this stage, they are the cache of an earlier stage or run.
    return Point(sizes[stage], reserved - card.workspace_bytes) if reserved > before else None


def peaks(run: Run) -> tuple[int | None, int | None]:
    """Predicted and measured peak bytes of `run`, both with the context; the measured one up to where it ended.

    Stages that adapt to the free memory are left out of both. None if nothing was predicted or measured.
    """
    adaptive = predict(run.job).floors
    predicted = max((size for stage, size in run.predicted.items() if stage not in adaptive), default=0)
    reserved = max((_reserved(run, stage) for stage in run.stages if stage not in adaptive), default=0)
    return (
        predicted + overhead().of(predicted) if predicted else None,
        reserved + overhead().context_bytes if reserved else None,
    )


def denoise_times(runs: Iterable[Run]) -> list[tuple[Job, float]]:
    """Job and seconds of denoising of the finished runs: the input of `planning.pace.learn_pace`."""
    done = [run for run in runs if run.outcome is Outcome.DONE and "denoise" in run.stages]
    return [(run.job, seconds) for run in done if (seconds := run.stages["denoise"].seconds)]


def _bound(run: Run, sizes: dict[str, int], card: Overhead) -> Point | None:
    tensors = sizes.get(run.stage)
    available = run.environment.available_bytes - card.context_bytes
    bound = max(_reserved(run, run.stage), available) - card.workspace_bytes
    # If not even the tensors fitted, the run shows nothing about the allocator's share.
    return Point(tensors, bound, out_of_memory=True) if tensors and bound > tensors else None


def _is_past(run: Run, stage: str) -> bool:
    return run.stage in STAGES and STAGES.index(run.stage) > STAGES.index(stage)


def _reserved(run: Run, stage: str) -> int:
    return (run.stages[stage].reserved_bytes or 0) if stage in run.stages else 0


def _tensors(estimate: Estimate) -> int:
    return estimate.peak_bytes - estimate.overhead_bytes


def _order(point: Point) -> tuple[float, bool]:
    return point.ratio, point.out_of_memory


def _fit(points: Sequence[Point], card: Overhead) -> Overhead:
    """`card` with the median ratio of `points`, which are sorted, shrunk towards its own."""
    count = len(points)
    if not count:
        return card
    middle = [_at_rank(points, rank) or points[-1].ratio for rank in ((count + 1) // 2, count // 2 + 1)]
    weight = count / (count + PRIOR_RUNS)
    return card._replace(fraction=card.fraction + weight * (sum(middle) / 2 - 1 - card.fraction))


def _masses(points: Sequence[Point]) -> Iterator[tuple[float, float]]:
    """The measured ratios in order, each with the number of runs it represents.

    The next run counts as a score at infinity. The mass of a run that ran out of memory is distributed equally to all
    scores above it, including that one.
    """
    mass = 1.0
    for above, point in zip(range(len(points), 0, -1), points, strict=True):
        if point.out_of_memory:
            mass += mass / above
        else:
            yield point.ratio, mass


def _at_rank(points: Sequence[Point], rank: int) -> float | None:
    """The ratio that `rank` of the runs do not exceed; None if it is above all measured ones."""
    reached = 0.0
    for ratio, mass in _masses(points):
        reached += mass
        if reached > rank - 1e-6:  # masses are sums of fractions
            return ratio
    return None


def _missed(point: Point, card: Overhead) -> bool:
    return point.reserved_bytes > (1 + card.fraction) * point.tensor_bytes


def _error(point: Point, card: Overhead) -> float:
    """Relative error of the prediction for a run; a lower bound of it for a run that ran out of memory."""
    taken = card.fixed_bytes + point.reserved_bytes
    off = taken - card.fixed_bytes - (1 + card.fraction) * point.tensor_bytes
    return (max(0.0, off) if point.out_of_memory else abs(off)) / taken
