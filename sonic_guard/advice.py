"""The one thing to say to the user about a run: what would help most, or how much more there is room for.

Pure: numbers in, an `Advice` out; `words.advice_sentence` says it.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from .job import SIZE_STEP, Dtype, Job
from .lean import AVAILABLE
from .plan import GOOD_RESOLUTION, LOSSLESS, Change, Plan, Policy, make_plan
from .vram.budget import Budget
from .vram.cards import Card
from .vram.model import predict
from .vram.risk import Verdict, assess

MAX_RESOLUTION = 2048
"""The most the wrapper's node accepts."""
MUCH_LARGER = 1.25
"""Room for a picture this much larger a side is worth a word."""


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
    available: Collection[str] = AVAILABLE,
    host_ram_bytes: int | None = None,
) -> Advice | None:
    """The advice for the run in `plan`; None if it fits, and fits about as tightly as it should.

    Where it does not fit: the mildest single change that is enough by itself (in the order of `plan`: what keeps
    every pixel, half the number size, the largest picture that still shows a mouth, half the frame rate); else what
    the planner does in total; else the smallest card. With a planner in front (`ON_RISK`,
    `POLICY`) it is what that planner would do. `available` and `host_ram_bytes` are `make_plan`'s.
    """
    job, budget = plan.job, plan.budget
    fits = partial(_fits, budget=budget, host_ram_bytes=host_ram_bytes)
    if plan.fits:
        larger = None if plan.changes else next(filter(fits, _larger(job, budget.device)), None)
        return Advice(True, (_change(job, larger),)) if larger else None
    if where in (Where.HERE, Where.SONIC):
        single = next(filter(fits, _milder(job, available)), None)
        if single:
            return Advice(False, (_change(job, single),))
    best = make_plan(
        job,
        budget,
        Policy.LOSSLESS_FIRST,
        available=available,
        host_ram_bytes=host_ram_bytes,
        device=budget.device,
    )
    return Advice(False, best.changes, best.smallest_card, best.longest_s)


def _fits(job: Job, budget: Budget, host_ram_bytes: int | None) -> bool:
    return assess(predict(job, device=budget.device), budget, host_ram_bytes).verdict is Verdict.SAFE


def _milder(job: Job, available: Collection[str]) -> Iterator[Job]:
    """`job` with one change, the mildest first. Below `GOOD_RESOLUTION` two changes may be milder than one."""
    for lever in LOSSLESS:
        if lever in available and lever not in job.levers:
            yield replace(job, levers=job.levers | {lever})
    if job.dtype is Dtype.FP32:
        yield replace(job, dtype=Dtype.FP16)
    sizes = range((job.min_resolution - 1) // SIZE_STEP * SIZE_STEP, GOOD_RESOLUTION - 1, -SIZE_STEP)
    yield from (replace(job, min_resolution=size) for size in sizes)
    if job.interpolate:
        yield replace(job, interpolate=False)


def _larger(job: Job, device: str) -> Iterator[Job]:
    """`job` with a much larger picture, the largest first: what the source has pixels for and meets no hard limit."""
    top = min(MAX_RESOLUTION, job.width, job.height) // SIZE_STEP * SIZE_STEP
    for size in range(top, 0, -SIZE_STEP):
        if size < MUCH_LARGER * job.min_resolution:
            return
        larger = replace(job, min_resolution=size)
        if not predict(larger, device=device).limits:
            yield larger


def _change(before: Job, after: Job) -> Change:
    """The one thing in which `after` differs from `before`."""
    sizes = predict(before).peak_bytes, predict(after).peak_bytes
    for lever in after.levers - before.levers:
        return Change(lever, "off", "on", *sizes)
    if after.interpolate != before.interpolate:
        return Change("interpolate", "on", "off", *sizes)
    name = "dtype" if after.dtype is not before.dtype else "min_resolution"
    return Change(name, str(getattr(before, name)), str(getattr(after, name)), *sizes)
