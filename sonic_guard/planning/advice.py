"""The one hint to the user about a run: what would help most, or how much larger the picture could be.

Pure: numbers in, an `Advice` out; `advice_messages.advice_sentence` puts it into words.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from ..devices.card_catalogue import Card
from ..job import SIZE_STEP, Dtype, Job
from ..memory.hard_limits import Limit, LimitKind
from ..optimizations import ESCALATION_ORDER, EVERY, Mode, without_redundant
from .capabilities import MODE
from .capacity import Capacity
from .planner import GOOD_RESOLUTION, Change, Plan, Policy, change_between, make_plan
from .selection import Switches

MAX_RESOLUTION = 2048
"""The most the wrapper's node accepts."""
MUCH_LARGER = 1.25
"""A larger picture is mentioned if its sides are at least this many times as long."""
LOW_VRAM = "low_vram"
"""Name of a change: add the node Sonic Low VRAM, which enables the optimizations it takes to fit."""
POLICY = "policy"
"""Name of a change: another policy of the planner, which keeps more of the picture."""
_LOW_VRAM_SWITCHES = Switches(auto=EVERY)
"""What that node can enable. Without a wire to SONIC_PreData it cannot offload the UNet, so that one is not taken for
granted either."""


class Where(StrEnum):
    """Where the user would change the settings."""

    THIS_NODE = "here"
    """On this node."""
    SONIC_NODES = "sonic"
    """On Sonic's nodes: the sentence names the node."""
    ON_RISK = "on_risk"
    """On a planning node before this one, which keeps the requested settings: set its `on_risk` to "downgrade"."""
    POLICY = "policy"
    """On a planning node before this one, which has changed all that its policy allows: choose another policy."""


PLANNER_SETTINGS: Mapping[Where, tuple[str, str]] = {
    Where.ON_RISK: ("on_risk", "downgrade"),
    Where.POLICY: (POLICY, str(Policy.LOSSLESS_FIRST)),
}
"""The setting of a planning node, and its value, with which that node changes what has to be changed."""


@dataclass(frozen=True)
class Advice:
    """What would help, or how much larger the picture could be."""

    fits: bool
    """Whether the run fits as it is. Then `changes` would fit too; else they make it fit."""
    changes: tuple[Change, ...] = ()
    """One change that is enough, or all it takes; empty where nothing helps."""
    keeps: Job | None = None
    """Where a plan made the picture smaller or the frame rate lower: the run that `changes` allow instead."""
    card: Card | None = None
    """Where nothing helps: the smallest common card on which something would."""
    longest_s: float | None = None
    """Where nothing helps except a shorter sound: its length in seconds."""
    limits: tuple[Limit, ...] = ()
    """Hard limits that no card and no setting clears, such as too short a sound."""
    rescue: bool = False
    """Whether `changes` enable optimizations that no node enables yet, which a planning node does not do by itself."""

    def takes_planner(self, where: Where) -> bool:
        """Whether a planning node has to be set, so that it changes what is not an optimization."""
        names = {change.name for change in self.changes}
        return where in PLANNER_SETTINGS and not self.keeps and not names <= {LOW_VRAM, MODE, *ESCALATION_ORDER}


def advise(
    plan: Plan,
    where: Where = Where.THIS_NODE,
    *,
    available: Collection[str] = (),
    low_vram: bool = False,
) -> Advice | None:
    """The advice for the run in `plan`; None if it fits, nothing was lost, and a much larger picture would not fit.

    Where the plan lost size or frame rate: the optimizations that keep more of them. Where it does not fit: the first
    single change that is enough, in this order: optimizations, fp16, the largest picture that still shows a mouth, half
    the frame rate. Else what the planner changes in total; else the same with optimizations that no node enables yet;
    else the smallest card. With a planning node before it (`ON_RISK`, `POLICY`) it is
    what that node would do.

    `available` is `make_plan`'s. `low_vram`: Sonic Low VRAM could be added, which keeps every pixel. Together with
    other changes, or after a planning node, it is proposed only if less is lost then.
    """
    job, capacity = plan.job, plan.capacity
    if plan.fits and plan.losses:
        return _keeping(plan, available, low_vram=low_vram)
    if plan.fits:
        larger = None if plan.changes else next(filter(capacity.fits, _larger(job)), None)
        return Advice(True, (_change("min_resolution", job, larger, capacity),)) if larger else None
    if unclearable := tuple(limit for limit in plan.risk.limits if limit.kind is LimitKind.SHORT_SOUND):
        return Advice(False, limits=unclearable)
    can_change_settings = where in (Where.THIS_NODE, Where.SONIC_NODES)
    if can_change_settings:
        for name, changed in _single_changes(job, available, _with_low_vram(job, capacity) if low_vram else None):
            if capacity.fits(changed):
                return Advice(False, (_change(name, job, changed, capacity),))
    best = make_plan(job, capacity, available=available)
    if low_vram:
        optimized = replace(job, optimizations=without_redundant(job.optimizations | EVERY))
        better = make_plan(optimized, capacity, available=available)
        same_settings = replace(better.job, optimizations=best.job.optimizations) == best.job
        loses_less = not same_settings if can_change_settings else _shows_more(better.job, best.job)
        if better.fits and (loses_less or not best.fits):
            if not better.changes:  # no more is enabled than has to be
                optimized = _with_low_vram(job, capacity)
            return Advice(False, (_change(LOW_VRAM, job, optimized, capacity), *better.changes), rescue=True)
    if best.rescue:
        return Advice(False, _by_node(best.rescue, available, low_vram=low_vram), rescue=True)
    return Advice(False, best.changes if best.fits else (), card=best.smallest_card, longest_s=best.longest_s)


def by_mode(advice: Advice) -> Advice:
    """`advice` for a graph whose Sonic Talking Head has every optimization and is set to use none.

    It has no switch for a single one, so its mode is what the user can set, in place of adding Sonic Low VRAM.
    """
    changes = (
        replace(each, name=MODE, after=str(Mode.AUTO)) if each.name == LOW_VRAM else each for each in advice.changes
    )
    return replace(advice, changes=tuple(changes))


def _keeping(plan: Plan, available: Collection[str], *, low_vram: bool) -> Advice | None:
    """What loses less of the picture than `plan`: another policy, else optimizations."""
    if plan.policy is Policy.ARTICLE:
        kept = make_plan(plan.requested, plan.capacity, available=available)
        if kept.fits and _shows_more(kept.job, plan.job):
            words = str(Policy.ARTICLE), str(Policy.LOSSLESS_FIRST)
            return Advice(True, (change_between(POLICY, words, plan.estimate, kept.estimate),), keeps=kept.job)
    kept = plan_that_shows_more(plan, {*available, *EVERY})
    return Advice(True, _by_node(kept, available, low_vram=low_vram), keeps=kept.job) if kept else None


def plan_that_shows_more(plan: Plan, available: Collection[str]) -> Plan | None:
    """The plan with other optimizations `available`, where it fits and loses less of the picture than `plan`."""
    other = make_plan(plan.requested, plan.capacity, plan.policy, available=available)
    return other if other.fits and _shows_more(other.job, plan.job) else None


def _shows_more(job: Job, other: Job) -> bool:
    """Whether `job` has a larger picture or the higher frame rate, and gives nothing for it."""
    ours, theirs = (job.min_resolution, job.interpolate), (other.min_resolution, other.interpolate)
    return ours != theirs and ours[0] >= theirs[0] and ours[1] >= theirs[1]


def _by_node(plan: Plan, available: Collection[str], *, low_vram: bool) -> tuple[Change, ...]:
    """The changes of `plan` that the user would make: what is `available` is enabled in any case.

    Where Sonic Low VRAM has to be added, that stands for all optimizations.
    """
    if not low_vram or not any(change.name in ESCALATION_ORDER for change in plan.changes):
        shown = [change for change in plan.changes if change.name not in available]
        # What is enabled in any case may come after what the user would do: the last figure is that of all of it.
        return (*shown[:-1], replace(shown[-1], after_bytes=plan.changes[-1].after_bytes)) if shown else ()
    optimizations = plan.requested.optimizations | plan.job.optimizations
    optimized = replace(plan.requested, optimizations=without_redundant(optimizations))
    rest = (change for change in plan.changes if change.name not in EVERY)
    return (_change(LOW_VRAM, plan.requested, optimized, plan.capacity), *rest)


def _with_low_vram(job: Job, capacity: Capacity) -> Job:
    """`job` as Sonic Low VRAM would run it."""
    return _LOW_VRAM_SWITCHES.enable(job, capacity)


def _single_changes(job: Job, available: Collection[str], optimized: Job | None) -> Iterator[tuple[str, Job]]:
    """The name of each single change and `job` with it, the smallest visible loss first.

    No picture below `GOOD_RESOLUTION` is among them: there, two changes may be a smaller loss than one.
    `optimized` is `job` with Sonic Low VRAM, where that can be added.
    """
    for optimization in ESCALATION_ORDER:
        if optimization in available and optimization not in job.optimizations:
            yield optimization, replace(job, optimizations=without_redundant(job.optimizations | {optimization}))
    if optimized:
        yield LOW_VRAM, optimized
    if job.dtype is Dtype.FP32:
        yield "dtype", replace(job, dtype=Dtype.FP16)
    for size in range((job.min_resolution - 1) // SIZE_STEP * SIZE_STEP, GOOD_RESOLUTION - 1, -SIZE_STEP):
        yield "min_resolution", replace(job, min_resolution=size)
    if job.interpolate:
        yield "interpolate", replace(job, interpolate=False)


def _larger(job: Job) -> Iterator[Job]:
    """`job` with a much larger picture, the largest first: what the source has pixels for."""
    top = min(MAX_RESOLUTION, job.width, job.height) // SIZE_STEP * SIZE_STEP
    for size in range(top, 0, -SIZE_STEP):
        if size < MUCH_LARGER * job.min_resolution:
            return
        yield replace(job, min_resolution=size)


def _change(name: str, before: Job, after: Job, capacity: Capacity) -> Change:
    """The change `name`, which leads from `before` to `after`."""
    if name in ("dtype", "min_resolution"):
        words = str(getattr(before, name)), str(getattr(after, name))
    else:
        words = ("on", "off") if name == "interpolate" else ("off", "on")
    return change_between(name, words, capacity.estimate(before), capacity.estimate(after))
