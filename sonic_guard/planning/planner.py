"""From requested settings and a capacity to settings that fit, with every change and its reason.

The planner goes through what could be run, the smallest visible loss first, and takes the first that fits. That order
is all of its policy. Therefore it never changes what fits, never changes more than it must, and never gives less for
more memory.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import product

from ..devices.budget import Budget
from ..devices.card_catalogue import GIB, Card, smallest_card_for
from ..errors import PlanError, brief
from ..job import SIZE_STEP, Dtype, Job
from ..memory.hard_limits import Limit
from ..memory.stage_model import Estimate, predict
from ..optimizations import ESCALATION_ORDER, Optimization, without_redundant
from .capacity import Capacity, Risk, Verdict
from .part_length import longest_part, parts_for
from .selection import Fits, fewest_optimizations, fits_with_some, largest_chunk_size

SPLIT = "split"
"""Name of a change that is no optimization: run a long sound in parts."""
CHUNK_SIZE = "chunk_size"
"""Name of a setting that the planner chooses with layer chunking: the largest that fits, unless it is fixed."""
GOOD_RESOLUTION = 384
"""Below this the mouth is a few pixels: half the frame rate is the smaller loss. A crop keeps as many pixels, too."""
MIN_RESOLUTION = 128
"""The least the wrapper's node accepts."""
ARTICLE_FREE_BYTES = 8 * GIB
ARTICLE_RESOLUTION = 768
ARTICLE_STEPS = 20


class Policy(StrEnum):
    """What may change, and in which order, when a job does not fit."""

    LOSSLESS_FIRST = "lossless_first"
    """Optimizations that keep every pixel, then fp16 instead of fp32, then parts, then fewer pixels."""
    ARTICLE = "article"
    """What the article does: with less than 8 GiB free, at most 768 px and 20 steps. Then optimizations, then parts."""


@dataclass(frozen=True)
class Change:
    """One thing the planner changed."""

    name: str
    """An optimization, dtype, split, interpolate, min_resolution or steps."""
    before: str
    after: str
    before_bytes: int
    """Peak of the run without this change (and with those listed before it), overhead included."""
    after_bytes: int
    """Peak of the run with it."""
    clears: tuple[Limit, ...] = ()
    """Hard limits that the run meets without this change, and does not meet with it."""


@dataclass(frozen=True)
class Plan:
    """What to run."""

    job: Job
    """The settings. Where nothing fits: the best attempt, the one that needs least. Where the sound is split: those of
    one part."""
    changes: tuple[Change, ...]
    estimate: Estimate
    risk: Risk
    capacity: Capacity
    policy: Policy | None = Policy.LOSSLESS_FIRST
    """What was allowed to change; None: nothing."""
    parts: int = 1
    """Runs it takes to cover the whole sound."""
    smallest_card: Card | None = None
    """Where nothing fits here: the smallest common card on which something would, and meets none of its hard limits."""
    longest_s: float | None = None
    """Where nothing fits but a shorter sound would: its length in seconds."""

    @property
    def fits(self) -> bool:
        """Whether the run stays within its capacity, the reserve included, and meets no hard limit."""
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
    fixed: Collection[str] = (),
) -> Plan:
    """Settings that fit `capacity`, as near to `job` as the policy allows; with policy None, `job` as it is.

    `available` names what the user can really enable: optimizations, and `SPLIT`. `fixed` names settings that the
    graph cannot change: dtype, interpolate, `CHUNK_SIZE`.
    Raises `PlanError` for an unknown policy or optimization.
    """
    allowed = _checked(policy, available)
    if allowed is None:
        return _plan(job, job, capacity, allowed)

    def sized(candidate: Job) -> Job:
        if CHUNK_SIZE in fixed:
            return candidate
        return replace(candidate, chunk_size=largest_chunk_size(candidate, capacity.fits))

    if capacity.fits(job):
        return _plan(job, sized(job), capacity, allowed)
    if allowed is Policy.ARTICLE:
        kept, candidates_of = _capped(job, capacity.budget), _whole_and_part
    else:
        # A CPU computes in fp32 only, at any speed that is worth waiting for.
        keeps = {*fixed, "dtype"} if capacity.budget.device == "cpu" else fixed
        kept, candidates_of = job, partial(_by_visible_loss, fixed=keeps)

    def could_fit(candidate: Job) -> bool:
        optional = candidate.optimizations - job.optimizations
        return fits_with_some(replace(candidate, optimizations=job.optimizations), optional, capacity.fits)

    offered = job.optimizations.union(each for each in ESCALATION_ORDER if each in available)
    tried: list[Job] = []
    for candidate in candidates_of(replace(kept, optimizations=offered), SPLIT in available, could_fit):
        if could_fit(candidate):
            return _plan(job, sized(_with_fewest_changes(job, candidate, capacity.fits)), capacity, allowed)
        tried.append(replace(candidate, optimizations=without_redundant(candidate.optimizations)))
    longest = longest_part(tried[-1], could_fit)
    return replace(
        _plan(job, _best_attempt(kept, tried, capacity), capacity, allowed),
        smallest_card=_smallest_card(tried, capacity),
        longest_s=longest.duration_s if longest else None,
    )


def _checked(policy: Policy | str | None, available: Collection[str]) -> Policy | None:
    if policy is not None and policy not in tuple(Policy):
        raise PlanError(f"policy: there is no {brief(policy)}; choose one of {', '.join(Policy)}.")
    if unknown := set(available) - {*ESCALATION_ORDER, SPLIT}:
        raise PlanError(
            f"optimizations: unknown {', '.join(sorted(unknown))}; known are {', '.join([*ESCALATION_ORDER, SPLIT])}."
        )
    return None if policy is None else Policy(policy)


def _plan(requested: Job, chosen: Job, capacity: Capacity, policy: Policy | None) -> Plan:
    """`chosen` as the plan for `requested`."""
    estimate = capacity.estimate(chosen)
    changes = () if chosen == requested or policy is None else tuple(_changes(requested, chosen, capacity, policy))
    return Plan(chosen, changes, estimate, capacity.assess(estimate), capacity, policy, parts_for(requested, chosen))


def _best_attempt(kept: Job, tried: Iterable[Job], capacity: Capacity) -> Job:
    """Where nothing fits: what meets the fewest hard limits and needs least; `kept` where that is no less."""

    def shortfall(job: Job) -> tuple[int, bool, int]:
        estimate = capacity.estimate(job)
        return len(estimate.limits), not capacity.has_host_ram(estimate), max(0, estimate.peak_bytes - usable)

    usable = capacity.budget.usable_bytes
    return min((kept, *tried), key=shortfall)


def _smallest_card(jobs: Iterable[Job], capacity: Capacity) -> Card | None:
    """The smallest common card on which one of the `jobs` would run."""
    estimates = (predict(each) for each in jobs)  # the cards proposed are NVIDIA's, so their limits are CUDA's
    peaks = [each.peak_bytes for each in estimates if capacity.has_host_ram(each) and not each.limits]
    return smallest_card_for(min(peaks), capacity.budget.reserve) if peaks else None


_ORDER = {
    Policy.LOSSLESS_FIRST: (*ESCALATION_ORDER, "dtype", SPLIT, "interpolate", "min_resolution"),
    Policy.ARTICLE: ("min_resolution", "steps", *ESCALATION_ORDER, SPLIT),
}
"""The order in which changes are listed."""


def _capped(job: Job, budget: Budget) -> Job:
    """`job` with the article's upper limits for small cards."""
    if budget.free_bytes >= ARTICLE_FREE_BYTES:
        return job
    return replace(job, min_resolution=min(job.min_resolution, ARTICLE_RESOLUTION), steps=min(job.steps, ARTICLE_STEPS))


def _whole_and_part(whole: Job, split: bool, fits: Fits) -> Iterator[Job]:
    """`whole`, and the longest part of it that fits if it may be split."""
    yield whole
    if split and (part := longest_part(whole, fits)):
        yield part


def _by_visible_loss(optimized: Job, split: bool, fits: Fits, *, fixed: Collection[str]) -> Iterator[Job]:
    """What could be run instead of `optimized` (every available optimization), the smallest visible loss first.

    fp16 comes before fewer pixels, because it cannot be seen. Half the frame rate comes after the resolutions
    that still show a mouth; below them every size is tried at both rates before a smaller one. Parts are tried
    wherever the whole does not fit, except in fp32 where fp16 is still to be tried.
    """
    halves = optimized.dtype is Dtype.FP32 and "dtype" not in fixed
    half = replace(optimized, dtype=Dtype.FP16) if halves else optimized
    smaller = range((optimized.min_resolution - 1) // SIZE_STEP * SIZE_STEP, MIN_RESOLUTION - 1, -SIZE_STEP)
    sizes = [optimized.min_resolution, *smaller]
    floor = min(GOOD_RESOLUTION, optimized.min_resolution)
    good = [size for size in sizes if size >= floor]
    poor = [size for size in sizes if size < floor]
    rates = dict.fromkeys((optimized.interpolate, optimized.interpolate and "interpolate" in fixed))
    yield optimized
    for size, rate in (*((size, rate) for rate in rates for size in good), *product(poor, rates)):
        yield from _whole_and_part(replace(half, min_resolution=size, interpolate=rate), split, fits)


def _with_fewest_changes(requested: Job, candidate: Job, fits: Fits) -> Job:
    """`candidate` in the requested number format if it fits in that, and with the fewest optimizations that fit."""
    for dtype in dict.fromkeys((requested.dtype, candidate.dtype)):
        bare = replace(candidate, dtype=dtype, optimizations=requested.optimizations)
        optimizations = fewest_optimizations(bare, candidate.optimizations - requested.optimizations, fits)
        if optimizations is not None:
            return replace(bare, optimizations=optimizations)
    return candidate


def _changes(requested: Job, chosen: Job, capacity: Capacity, policy: Policy) -> Iterator[Change]:
    """The way from `requested` to `chosen`, one change after the other."""
    now = replace(requested, optimizations=without_redundant(requested.optimizations), chunk_size=chosen.chunk_size)
    before = capacity.estimate(now)
    for name in _ORDER[policy]:
        if name in ESCALATION_ORDER:
            added = now.optimizations | ({Optimization(name)} & chosen.optimizations)
            after, words = replace(now, optimizations=without_redundant(added)), ("off", "on")
        else:
            field = "duration_s" if name == SPLIT else name
            after = replace(now, **{field: getattr(chosen, field)})
            words = (_word(getattr(now, field)), _word(getattr(chosen, field)))
        if after == now:
            continue
        estimate = capacity.estimate(after)
        yield change_between(name, words, before, estimate)
        now, before = after, estimate


def change_between(name: str, words: tuple[str, str], before: Estimate, after: Estimate) -> Change:
    """The change `name`, given the values and the estimates before and after it."""
    left = {limit.kind for limit in after.limits}
    clears = tuple(limit for limit in before.limits if limit.kind not in left)
    return Change(name, *words, before.peak_bytes, after.peak_bytes, clears)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
