"""From a wish and a budget to settings that fit, with every change and its reason.

The planner goes through what could be run, mildest loss first, and takes the first that fits. That order
is all of its policy, which is why it never changes what fits, never changes more than it must, and never
asks for more when it is given more.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product

from ..devices.budget import Budget
from ..devices.card_catalogue import GIB, Card, smallest_card_for
from ..errors import PlanError, brief
from ..job import SIZE_STEP, Dtype, Job
from ..memory.stage_model import Estimate, predict
from ..optimizations import ESCALATION_ORDER, Optimization, without_redundant
from .capacity import Capacity, Risk, Verdict
from .part_length import longest_part, parts_for
from .selection import fewest_optimizations, fits_with_some

SPLIT = "split"
"""Offered as a lever: run a long sound in parts."""
GOOD_RESOLUTION = 384
"""Below this the mouth is a few pixels: half the frame rate is the milder loss. A crop keeps as many, too."""
MIN_RESOLUTION = 128
"""The least the wrapper's node accepts."""
ARTICLE_FREE_BYTES = 8 * GIB
ARTICLE_RESOLUTION = 768
ARTICLE_STEPS = 20


class Policy(StrEnum):
    """Which way to go when a job does not fit."""

    LOSSLESS_FIRST = "lossless_first"
    """Levers that keep every pixel, then half the number size, then parts, then fewer pixels."""
    ARTICLE = "article"
    """What the article does: with less than 8 GiB free, at most 768 px and 20 steps. Then levers, then parts."""


@dataclass(frozen=True)
class Change:
    """One thing the planner changed."""

    name: str
    """An optimization of `ESCALATION_ORDER`, dtype, split, interpolate, min_resolution or steps."""
    before: str
    after: str
    before_bytes: int
    """Peak of the run without this change (and with those listed before it), overhead included."""
    after_bytes: int


@dataclass(frozen=True)
class Plan:
    """What to run."""

    job: Job
    """The settings; where nothing fits those wished for, as far as the policy leaves them. Of one part, where
    the sound is split."""
    changes: tuple[Change, ...]
    estimate: Estimate
    risk: Risk
    capacity: Capacity
    policy: Policy | None = Policy.LOSSLESS_FIRST
    """What was allowed to change; None: nothing."""
    parts: int = 1
    """Runs it takes to cover the whole sound."""
    smallest_card: Card | None = None
    """Where nothing fits here: the smallest common card on which something would."""
    longest_s: float | None = None
    """Where nothing fits but a shorter sound would: its length in seconds."""

    @property
    def fits(self) -> bool:
        """Whether the run stays within its capacity, the reserve included."""
        return self.risk.verdict is Verdict.SAFE

    @property
    def budget(self) -> Budget:
        """The memory of the card that was planned for."""
        return self.capacity.budget


def make_plan(
    job: Job,
    capacity: Capacity,
    policy: Policy | str | None = Policy.LOSSLESS_FIRST,
    *,
    available: Collection[str] = (),
) -> Plan:
    """Settings that fit `capacity`, as near to `job` as the policy knows; with policy None, `job` as it is.

    `available` names what the user can really enable (of `ESCALATION_ORDER`, and `SPLIT`).
    Raises `PlanError` for an unknown policy or optimization.
    """
    if policy is not None and policy not in tuple(Policy):
        raise PlanError(f"policy: there is no {brief(policy)}; choose one of {', '.join(Policy)}.")
    if unknown := set(available) - {*ESCALATION_ORDER, SPLIT}:
        raise PlanError(
            f"optimizations: unknown {', '.join(sorted(unknown))}; known are {', '.join([*ESCALATION_ORDER, SPLIT])}."
        )

    budget, fits = capacity.budget, capacity.fits

    def could_fit(candidate: Job) -> bool:
        return fits_with_some(
            replace(candidate, optimizations=job.optimizations), candidate.optimizations - job.optimizations, fits
        )

    def card_for(candidates: Iterable[Job]) -> Card | None:
        estimates = (predict(candidate) for candidate in candidates)  # the cards proposed are NVIDIA's
        peaks = [each.peak_bytes for each in estimates if capacity.has_host_ram(each) and not each.limits]
        return smallest_card_for(min(peaks), budget.reserve) if peaks else None

    def finish(chosen: Job, order: tuple[str, ...] = (), card: Card | None = None, longest: Job | None = None) -> Plan:
        estimate = capacity.estimate(chosen)
        parts = parts_for(job, chosen)
        changes = tuple(_changes(job, chosen, order))
        risk = capacity.assess(estimate)
        allowed = None if policy is None else Policy(policy)
        return Plan(
            chosen, changes, estimate, risk, capacity, allowed, parts, card, longest.duration_s if longest else None
        )

    if policy is None or fits(job):
        return finish(job)
    if policy == Policy.ARTICLE:
        kept, ways, order = _capped(job, budget), _with_parts, _ARTICLE_ORDER
    else:
        kept, ways, order = job, _visible, _ORDER
    offered = job.optimizations.union(each for each in ESCALATION_ORDER if each in available)
    enabled = replace(kept, optimizations=without_redundant(offered))
    tried = []
    for candidate in ways(enabled, SPLIT in available, could_fit):
        if could_fit(candidate):
            return finish(_cheapest(job, candidate, fits), order)
        tried.append(candidate)
    return finish(kept, order, card_for(tried), longest_part(tried[-1], could_fit))


_ORDER = (*ESCALATION_ORDER, "dtype", SPLIT, "interpolate", "min_resolution")
_ARTICLE_ORDER = ("min_resolution", "steps", *ESCALATION_ORDER, SPLIT)


def _capped(job: Job, budget: Budget) -> Job:
    """`job` as the article wants it."""
    if budget.free_bytes >= ARTICLE_FREE_BYTES:
        return job
    return replace(job, min_resolution=min(job.min_resolution, ARTICLE_RESOLUTION), steps=min(job.steps, ARTICLE_STEPS))


def _with_parts(whole: Job, split: bool, fits: Callable[[Job], bool]) -> Iterator[Job]:
    """`whole`, and the longest part of it that fits if it may be split."""
    yield whole
    if split and (part := longest_part(whole, fits)):
        yield part


def _visible(enabled: Job, split: bool, fits: Callable[[Job], bool]) -> Iterator[Job]:
    """What could be run instead of `enabled`, the wish with every lossless lever, mildest visible loss first.

    fp16 comes before fewer pixels, because it cannot be seen. Half the frame rate comes after the resolutions
    that still show a mouth; below them every size is tried at both rates before a smaller one. Parts are tried
    wherever the whole does not fit, but for the wished number format.
    """
    half = replace(enabled, dtype=Dtype.FP16) if enabled.dtype is Dtype.FP32 else enabled
    smaller = range((enabled.min_resolution - 1) // SIZE_STEP * SIZE_STEP, MIN_RESOLUTION - 1, -SIZE_STEP)
    sizes = [enabled.min_resolution, *smaller]
    floor = min(GOOD_RESOLUTION, enabled.min_resolution)
    good = [size for size in sizes if size >= floor]
    poor = [size for size in sizes if size < floor]
    rates = dict.fromkeys((enabled.interpolate, False))
    yield enabled
    for size, rate in (*((size, rate) for rate in rates for size in good), *product(poor, rates)):
        yield from _with_parts(replace(half, min_resolution=size, interpolate=rate), split, fits)


def _cheapest(requested: Job, candidate: Job, fits: Callable[[Job], bool]) -> Job:
    """`candidate` with no lossless lever and no number format given up that it can keep."""
    for dtype in dict.fromkeys((requested.dtype, candidate.dtype)):
        bare = replace(candidate, dtype=dtype, optimizations=requested.optimizations)
        optimizations = fewest_optimizations(bare, candidate.optimizations - requested.optimizations, fits)
        if optimizations is not None:
            return replace(bare, optimizations=optimizations)
    return candidate


def _changes(requested: Job, chosen: Job, order: tuple[str, ...]) -> Iterator[Change]:
    """The way from `requested` to `chosen`, one change after the other."""
    now = requested
    for optimization in order:
        if optimization in ESCALATION_ORDER:
            after = replace(
                now, optimizations=now.optimizations | ({Optimization(optimization)} & chosen.optimizations)
            )
            words = ("off", "on")
        else:
            field = {SPLIT: "duration_s"}.get(optimization, optimization)
            after = replace(now, **{field: getattr(chosen, field)})
            words = (_word(getattr(now, field)), _word(getattr(chosen, field)))
        if after != now:
            yield Change(optimization, *words, predict(now).peak_bytes, predict(after).peak_bytes)
        now = after


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
