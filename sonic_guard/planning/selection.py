"""Which optimizations a run may enable, and which it needs: the user's switches, and the first that fit and are fast.

Pure. The nodes read their switches with it, and the live preview predicts with it what the nodes will do.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import combinations
from types import MappingProxyType

from ..errors import OptimizationError, brief
from ..job import MIN_CHUNK_SIZE, Job
from ..optimizations import DEFAULTS, OPTIMIZATIONS, Mode, Optimization, Setting, in_order, without_redundant
from .capacity import Capacity, Fits, Slowdown

CHUNK_SIZE_FACTORS = (64, 32, 16, 8, 4, 2)
"""Multiples of the smallest chunk size that are tried; in larger chunks nothing at 1024² runs in more than one."""
FAST = 1.05
"""Slowdown from which on no faster choice is looked for."""


@dataclass(frozen=True)
class Switches:
    """Optimizations that are enabled in any case, and those that are enabled where a run needs them."""

    on: frozenset[Optimization] = frozenset()
    auto: frozenset[Optimization] = frozenset()
    smallest_chunks: bool = False
    """Whether layers run in the smallest chunks even where there is memory for larger ones, which are faster."""

    @property
    def all(self) -> frozenset[Optimization]:
        """Every optimization that may be enabled."""
        return self.on | self.auto

    def within(self, allowed: frozenset[Optimization]) -> "Switches":
        """The same without the optimizations that are not available."""
        return replace(self, on=self.on & allowed, auto=self.auto & allowed)

    def enable(self, job: Job, capacity: Capacity) -> Job:
        """`job` as its nodes start it: with the optimizations it needs, in chunks as large as there is memory for."""
        enabled = replace(job, optimizations=self.choose(job, capacity.slowdown, *capacity.checks))
        return replace(enabled, chunk_size=self.chunk_size(enabled, *capacity.checks))

    def choose(self, job: Job, slowdown: Slowdown, *checks: Fits) -> frozenset[Optimization]:
        """The optimizations for `job`: those that are on, and of the others the first that pass the first check fast.

        Where none passes, the next check decides, which is less strict: then host memory is short, and what reduces it
        at no cost in time is enabled in any case. After the last check, everything is enabled.
        """
        enabled = job.optimizations | self.on
        for number, fits in enumerate(checks):
            if number:
                enabled |= self.auto & FREE

            def time(run: Job, fits: Fits = fits) -> float:
                return slowdown(replace(run, chunk_size=self.chunk_size(run, fits)))

            found = first_fast(replace(job, optimizations=enabled), self.auto - enabled, fits, time)
            if found is not None:
                return found
        return without_redundant(enabled | self.auto)

    def chunk_size(self, job: Job, *checks: Fits) -> int:
        """The chunk size for `job` with its optimizations: see `largest_chunk_size`."""
        return job.chunk_size if self.smallest_chunks else largest_chunk_size(job, *checks)


FREE = frozenset(each for each, traits in OPTIMIZATIONS.items() if traits.time == 1 and not traits.uses_host_memory)
"""Optimizations that cost neither time nor host memory."""
STREAMED = frozenset({Optimization.STREAMING_DECODE, Optimization.UNET_OFFLOAD})
"""What Sonic Talking Head always enables: its file needs the first, and the second costs nothing there."""
NONE = Switches()
"""No optimization is available: Sonic's own nodes."""
DEFAULT = Switches(
    frozenset(each for each, setting in DEFAULTS.items() if setting is Setting.ON),
    frozenset(each for each, setting in DEFAULTS.items() if setting is Setting.AUTO),
)
"""The default of the nodes: every optimization where a run needs it."""


def read_switches(mode: object = Mode.AUTO, values: Mapping[str, object] = MappingProxyType({})) -> Switches:
    """The switches of a mode, with single ones set otherwise by the optimizations' names.

    Raises `OptimizationError` for what is no mode or no setting.
    """
    settings = dict(_BY_MODE[Mode(_option("mode", mode, Mode))])
    for optimization in OPTIMIZATIONS:
        setting = _option(optimization, values.get(optimization, Setting.MODE), Setting)
        if setting != Setting.MODE:
            settings[optimization] = Setting(setting)
    on, auto = (
        frozenset(optimization for optimization, setting in settings.items() if setting is wanted)
        for wanted in (Setting.ON, Setting.AUTO)
    )
    return Switches(on, auto, smallest_chunks=mode == Mode.LEAST_MEMORY)


def _option(name: str, value: object, options: type[StrEnum]) -> str:
    if not isinstance(value, str) or value not in tuple(options):
        raise OptimizationError(f"{name}: there is no {brief(value)}; choose one of {', '.join(options)}.")
    return value


_BY_MODE: Mapping[Mode, Mapping[Optimization, Setting]] = {
    Mode.AUTO: DEFAULTS,
    Mode.LEAST_MEMORY: dict.fromkeys(OPTIMIZATIONS, Setting.ON),
    Mode.OFF: dict.fromkeys(OPTIMIZATIONS, Setting.OFF),
}


def largest_chunk_size(job: Job, *checks: Fits) -> int:
    """The largest chunk size with which the first check passes, else the next one; the smallest where none does."""
    if Optimization.LAYER_CHUNKING not in job.optimizations:
        return job.chunk_size
    smallest = min(job.chunk_size, MIN_CHUNK_SIZE)  # a plan's own chunk size does not add to its plan
    for fits in checks:
        for factor in (*CHUNK_SIZE_FACTORS, 1):
            if fits(replace(job, chunk_size=factor * smallest)):
                return factor * smallest
    return smallest


def format_optimizations(optimizations: frozenset[Optimization]) -> str:
    """Their names in escalation order, between plus signs."""
    return "+".join(in_order(optimizations))


def first_fast(
    job: Job, optional: frozenset[Optimization], fits: Fits, slowdown: Slowdown
) -> frozenset[Optimization] | None:
    """The optimizations of `job` and those of `optional` with which it fits and is fast; None if it fits with none.

    Of all sets that fit, the first in escalation order that is `FAST`: a set comes after those without its last
    optimization. Where none is, the fastest. Never one together with another that contains it (`Traits.contains`).
    """
    if not fits_with_some(job, optional, fits):
        return None
    best, least = job.optimizations, math.inf
    for subset in _subsets(optional):
        run = replace(job, optimizations=without_redundant(job.optimizations | subset))
        if fits(run) and (time := slowdown(run)) < least:
            best, least = run.optimizations, time
            if time <= FAST:
                break
    return best


def fits_with_some(job: Job, optional: frozenset[Optimization], fits: Fits) -> bool:
    """Whether `job` fits with any of the `optional` optimizations added to its own."""
    for subset in _largest_subsets(optional):
        every = job.optimizations | subset
        if not fits(replace(job, optimizations=every)):
            continue  # then it fits with none of its subsets
        sets = _without_redundant_pairs(every, optional)
        if every in sets or any(fits(replace(job, optimizations=each)) for each in sets):
            return True
    return False


@cache
def _largest_subsets(optimizations: frozenset[Optimization]) -> tuple[frozenset[Optimization], ...]:
    """Subsets of which one fits where any does: all of them, with and without those that use host memory."""
    using = sorted(each for each in optimizations if OPTIMIZATIONS[each].uses_host_memory)
    return tuple(
        optimizations.difference(left) for count in range(len(using) + 1) for left in combinations(using, count)
    )


@cache
def _without_redundant_pairs(
    every: frozenset[Optimization], optional: frozenset[Optimization]
) -> tuple[frozenset[Optimization], ...]:
    """`every` without those that others contain, and without the others of the `optional` ones instead."""
    others = {each for each in optional if OPTIMIZATIONS[each].contains & every}
    return without_redundant(every), without_redundant(every - others)


@cache
def _subsets(optimizations: frozenset[Optimization]) -> tuple[frozenset[Optimization], ...]:
    """All subsets in the order of binary numbers, whose lowest digit is the first of the escalation order."""
    ordered = in_order(optimizations)
    numbers = range(1 << len(ordered))
    return tuple(frozenset(each for bit, each in enumerate(ordered) if number >> bit & 1) for number in numbers)
