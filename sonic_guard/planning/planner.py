"""From requested settings and a capacity to settings that fit, with every change and its reason.

The planner goes through what could be run, the smallest visible loss first, and takes the first that fits. That order
is all of its policy. Therefore it never changes what fits, never changes more than it must, and never gives less for
more memory.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import product

from ..devices.budget import Budget
from ..devices.card_catalogue import GIB, Card, smallest_card_for
from ..errors import PlanError, brief
from ..job import SIZE_STEP, Dtype, Job
from ..memory.hard_limits import Limit
from ..memory.stage_model import STAGES, Estimate, predict
from ..optimizations import ESCALATION_ORDER, EVERY, Optimization, without_redundant
from .capacity import Capacity, Risk, Slowdown, Verdict
from .part_length import longest_part, parts_for
from .selection import Fits, first_fast, fits_with_some, largest_chunk_size

SPLIT = "split"
"""Name of a change that is no optimization: run a long sound in parts."""
CHUNK_SIZE = "chunk_size"
"""Name of a setting that the planner chooses with layer chunking: the largest that fits, unless it is fixed."""
GOOD_RESOLUTION = 384
"""Below this the mouth is a few pixels: half the frame rate is the smaller loss. A crop keeps as many pixels, too."""
MIN_RESOLUTION = 128
"""The least the wrapper's node accepts."""
VISIBLE = frozenset({"min_resolution", "interpolate"})
"""Names of the changes that a viewer of the video sees."""
ARTICLE_FREE_BYTES = 8 * GIB
ARTICLE_RESOLUTION = 768
ARTICLE_STEPS = 20


class Policy(StrEnum):
    """What may change, and in which order, when a job does not fit."""

    LOSSLESS_FIRST = "lossless_first"
    """Optimizations that keep every pixel, then fp16 instead of fp32, then parts, then fewer pixels."""
    ARTICLE = "article"
    """What the article does: with less than 8 GiB free, at most 768 px and 20 steps. Then optimizations, then parts."""


class Level(StrEnum):
    """How a user should take a run that is predicted: what the page colours by."""

    OK = "ok"
    WARN = "warn"
    """It runs, but not as it was asked for, or only just."""
    BAD = "bad"
    UNKNOWN = "unknown"
    """Too little of it is known."""


_LEVELS: Mapping[Verdict, Level] = {
    Verdict.SAFE: Level.OK,
    Verdict.TIGHT: Level.WARN,
    Verdict.FAIL: Level.BAD,
}


def level_of(verdict: Verdict, losses: Collection["Change"]) -> Level:
    """The level of a run with a verdict, given the changes to it that a viewer sees."""
    level = _LEVELS[verdict]
    return Level.WARN if level is Level.OK and losses else level


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
    stage: str
    """The stage whose memory it reduces most; where it reduces none, the one with the peak."""
    stage_before_bytes: int
    """What that stage requires without the change, overhead included."""
    stage_after_bytes: int
    """What it requires with the change."""
    clears: tuple[Limit, ...] = ()
    """Hard limits that the run meets without this change, and does not meet with it."""


def is_in(loss: Change, job: Job) -> bool:
    """Whether `job` has what a change that a viewer sees has led to."""
    return _word(getattr(job, loss.name)) == loss.after


@dataclass(frozen=True)
class Plan:
    """What to run."""

    job: Job
    """The settings. Where nothing fits: the requested ones, as far as the policy leaves them, with every optimization
    there is. Where the sound is split: those of one part."""
    requested: Job
    """The settings that were asked for."""
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
    attempt: Estimate | None = None
    """Where nothing fits: of all that was tried, what needs the least memory."""
    rescue: "Plan | None" = None
    """Where nothing fits: the plan that fits with optimizations that are not available yet."""

    @property
    def losses(self) -> tuple[Change, ...]:
        """The changes that a viewer of the video sees."""
        return tuple(change for change in self.changes if change.name in VISIBLE)

    @property
    def level(self) -> Level:
        """How a user should take it, as a colour shows it."""
        return level_of(self.risk.verdict, self.losses)

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
            fewest = _with_fewest_changes(job, candidate, capacity.fits, lambda run: capacity.slowdown(sized(run)))
            return _plan(job, sized(fewest), capacity, allowed)
        tried.append(replace(candidate, optimizations=without_redundant(candidate.optimizations)))
    longest = longest_part(tried[-1], could_fit)
    # Where memory is not what is missing, optimizations would change nothing.
    shown = kept if capacity.fits_bytes(kept) else replace(kept, optimizations=without_redundant(offered))
    return replace(
        _plan(job, shown, capacity, allowed),
        smallest_card=_smallest_card(tried, capacity),
        longest_s=longest.duration_s if longest else None,
        attempt=_least(tried, capacity),
        rescue=_rescue(job, capacity, frozenset(available)) if allowed is Policy.LOSSLESS_FIRST else None,
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
    risk, parts = capacity.assess(estimate), parts_for(requested, chosen)
    return Plan(chosen, requested, changes, estimate, risk, capacity, policy, parts)


def _rescue(job: Job, capacity: Capacity, available: frozenset[str]) -> Plan | None:
    """The plan for `job` with the optimizations that are not `available`; None if it does not fit."""
    if available >= EVERY:
        return None
    plan = make_plan(job, capacity, available=available | EVERY)
    return plan if plan.fits else None


def _least(candidates: Iterable[Job], capacity: Capacity) -> Estimate:
    """What the candidate with the lowest peak needs, with all of its optimizations."""
    return min(map(capacity.estimate, candidates), key=lambda estimate: estimate.peak_bytes)


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
    if budget.available_bytes >= ARTICLE_FREE_BYTES:
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


def _with_fewest_changes(requested: Job, candidate: Job, fits: Fits, slowdown: Slowdown) -> Job:
    """`candidate` in the requested number format if it fits in that, and with the first optimizations that do fast."""
    for dtype in dict.fromkeys((requested.dtype, candidate.dtype)):
        bare = replace(candidate, dtype=dtype, optimizations=requested.optimizations)
        optimizations = first_fast(bare, candidate.optimizations - requested.optimizations, fits, slowdown)
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
    saved = {stage: before.required(stage) - after.required(stage) for stage in STAGES}
    stage = max(STAGES, key=saved.__getitem__) if max(saved.values()) > 0 else after.peak_stage
    stage_bytes = before.required(stage), after.required(stage)
    return Change(name, *words, before.peak_bytes, after.peak_bytes, stage, *stage_bytes, clears)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
