"""The one thing to say to the user about a run: what would help most, or how much more there is room for.

Pure: numbers in, an `Advice` out; `words.advice_sentence` says it.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from ..devices.card_catalogue import Card
from ..job import SIZE_STEP, Dtype, Job
from ..memory.stage_model import predict
from ..optimizations import ESCALATION_ORDER, EXACT, without_redundant
from .planner import GOOD_RESOLUTION, Change, Plan, Policy, make_plan
from .selection import Switches

MAX_RESOLUTION = 2048
"""The most the wrapper's node accepts."""
MUCH_LARGER = 1.25
"""Room for a picture this much larger a side is worth a word."""
LOW_VRAM = "low_vram"
"""Offered as a change: put in the node Sonic Low VRAM, which pulls the levers it takes to fit."""
_OPTIMIZATIONS = Switches(auto=EXACT)
"""What that node can pull. Not all of its levers need be wired at first, so none is taken for granted."""


class Where(StrEnum):
    """How the user would follow the advice."""

    HERE = "here"
    """The settings are this node's own."""
    SONIC = "sonic"
    """They are on Sonic's nodes: the sentence says on which."""
    ON_RISK = "on_risk"
    """A planner stands in front, told to keep the wish: let it."""
    POLICY = "policy"
    """A planner has done what its policy allows: allow more."""


@dataclass(frozen=True)
class Advice:
    """What would help, or what there is room for."""

    fits: bool
    """Whether the run fits as it is. Then `changes` would fit too; else they make it fit."""
    changes: tuple[Change, ...] = ()
    """One change that is enough, or all it takes; empty where nothing helps."""
    card: Card | None = None
    """Where nothing helps: the smallest common card on which something would."""
    longest_s: float | None = None
    """Where nothing but a shorter sound helps: its length in seconds."""


def advise(
    plan: Plan,
    where: Where = Where.HERE,
    *,
    available: Collection[str] = (),
    low_vram: bool = False,
) -> Advice | None:
    """The advice for the run in `plan`; None if it fits, and fits about as tightly as it should.

    Where it does not fit: the mildest single change that is enough by itself (in the order of `plan`: what keeps
    every pixel, half the number size, the largest picture that still shows a mouth, half the frame rate); else what
    the planner does in total; else the smallest card. With a planner in front (`ON_RISK`, `POLICY`) it is what that
    planner would do. `available` is `make_plan`'s. `low_vram` says that Sonic Low
    VRAM could be put in, which keeps every pixel; in total it is proposed only if it spares something one can see,
    and with a planner in front only if that planner finds nothing.
    """
    job, capacity = plan.job, plan.capacity
    fits = capacity.fits
    if plan.fits:
        larger = None if plan.changes else next(filter(fits, _larger(job)), None)
        return Advice(True, (_change("min_resolution", job, larger),)) if larger else None
    alone = where in (Where.HERE, Where.SONIC)
    optimized = replace(job, optimizations=without_redundant(job.optimizations | EXACT)) if low_vram else None
    if alone:
        least = replace(job, optimizations=_OPTIMIZATIONS.choose(job, fits, capacity.fits_gpu)) if low_vram else None
        for name, single in _milder(job, available, least):
            if fits(single):
                return Advice(False, (_change(name, job, single),))
    in_total = partial(make_plan, capacity=capacity, policy=Policy.LOSSLESS_FIRST, available=available)
    best = in_total(job)
    if optimized and (alone or not best.fits):
        better = in_total(optimized)
        if better.fits and not (best.fits and replace(better.job, optimizations=best.job.optimizations) == best.job):
            return Advice(False, (_change(LOW_VRAM, job, optimized), *better.changes))
    return Advice(False, best.changes, best.smallest_card, best.longest_s)


def _milder(job: Job, available: Collection[str], optimized: Job | None) -> Iterator[tuple[str, Job]]:
    """`job` with one change, the mildest first, and what changes. Below `GOOD_RESOLUTION` two may be milder than one.

    `lean` is `job` with Sonic Low VRAM in front, where that can be had.
    """
    for optimization in ESCALATION_ORDER:
        if optimization in available and optimization not in job.optimizations:
            yield optimization, replace(job, optimizations=job.optimizations | {optimization})
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


def _change(name: str, before: Job, after: Job) -> Change:
    """The change `name`, which leads from `before` to `after`."""
    sizes = predict(before).peak_bytes, predict(after).peak_bytes
    if name in ("dtype", "min_resolution"):
        return Change(name, str(getattr(before, name)), str(getattr(after, name)), *sizes)
    return Change(name, *(("on", "off") if name == "interpolate" else ("off", "on")), *sizes)
