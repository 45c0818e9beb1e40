"""Which levers a run may pull, and which of them it does: what the user's switches say, and the least that fits.

Pure. The nodes read their switches with it, and the pages foresee with it what the nodes will do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations

from ..errors import OptimizationError, brief
from ..job import Job
from ..optimizations import DEFAULTS, ESCALATION_ORDER, EXACT, Optimization, Setting

_TAKE_HOST_MEMORY = frozenset({Optimization.TENSOR_OFFLOAD, Optimization.FP8_WEIGHTS})
"""Levers with which a run needs more host memory; the others need less, or as much."""
CHUNK_SIZE_FACTORS = (16, 8, 4, 2)
"""How much larger than the least a piece may be, where there is room: beyond it nothing is gained."""


@dataclass(frozen=True)
class Switches:
    """The levers that are pulled anyway, and those that are pulled where they are needed."""

    on: frozenset[Optimization] = frozenset()
    auto: frozenset[Optimization] = frozenset()

    def within(self, allowed: frozenset[Optimization]) -> "Switches":
        """The same without the levers that cannot be pulled."""
        return Switches(self.on & allowed, self.auto & allowed)

    def enable(self, job: Job, fits: Callable[[Job], bool]) -> Job:
        """`job` as a lean model begins it: with the levers for it, in pieces as large as there is room for."""
        enabled = replace(job, optimizations=self.choose(job, fits))
        return replace(enabled, chunk_size=largest_chunk_size(enabled, fits))

    def choose(self, job: Job, fits: Callable[[Job], bool]) -> frozenset[Optimization]:
        """The levers for `job`: those that are on, and the cheapest others with which `fits` says yes; else all."""
        enabled = job.optimizations | self.on
        least = fewest_optimizations(replace(job, optimizations=enabled), self.auto - enabled, fits)
        return enabled | self.auto if least is None else least


STREAMED = frozenset({Optimization.STREAMING_DECODE, Optimization.UNET_OFFLOAD})
"""What Sonic Long Video pulls whatever the switches say: without the first no file grows, the second is free there."""
NONE = Switches()
"""The wrapper alone: no lever can be pulled."""
DEFAULT = Switches(frozenset({Optimization.UNET_OFFLOAD}), EXACT - {Optimization.UNET_OFFLOAD})
"""Those of a node that nobody has moved: every exact lever where it is needed."""


def read_switches(values: Mapping[str, object]) -> Switches:
    """The switches by lever name; those missing are as in `DEFAULTS`. Raises `OptimizationError` for a word that is none."""
    settings: dict[Optimization, str] = {}
    for optimization, default in DEFAULTS.items():
        setting = values.get(optimization, default)
        if not isinstance(setting, str) or setting not in tuple(Setting):
            raise OptimizationError(
                f"{optimization}: there is no {brief(setting)}; choose one of {', '.join(Setting)}."
            )
        settings[optimization] = str(setting)
    return Switches(
        frozenset(optimization for optimization, setting in settings.items() if setting == Setting.ON),
        frozenset(optimization for optimization, setting in settings.items() if setting == Setting.AUTO),
    )


def largest_chunk_size(job: Job, fits: Callable[[Job], bool]) -> int:
    """The largest piece with which `job` fits, and the least where it has none or fits with none."""
    if Optimization.LAYER_CHUNKING not in job.optimizations:
        return job.chunk_size
    pieces = (job.chunk_size * factor for factor in CHUNK_SIZE_FACTORS)
    return next((chunk_size for chunk_size in pieces if fits(replace(job, chunk_size=chunk_size))), job.chunk_size)


def parse_optimizations(text: str) -> frozenset[Optimization]:
    """The levers named in `text`, between plus signs: what Preflight hands on. Raises `OptimizationError` for other words."""
    if not isinstance(text, str):
        raise OptimizationError(f"optimizations: expected names between plus signs, got {brief(text)}.")
    names = [name for name in text.replace(" ", "").split("+") if name]
    if unknown := [name for name in names if name not in tuple(Optimization)]:
        raise OptimizationError(f"optimizations: unknown {', '.join(unknown):.100}; known are {', '.join(ESCALATION_ORDER)}.")
    return frozenset(map(Optimization, names))


def format_optimizations(optimizations: frozenset[Optimization]) -> str:
    """The text that `parse_optimizations` reads."""
    return "+".join(optimization for optimization in ESCALATION_ORDER if optimization in optimizations)


def fewest_optimizations(
    job: Job, optional: frozenset[Optimization], fits: Callable[[Job], bool]
) -> frozenset[Optimization] | None:
    """The levers of `job` and the cheapest of `optional` with which it fits; None if it does not even with all."""
    if not fits_with_some(job, optional, fits):
        return None
    candidates = map(job.optimizations.union, _subsets(optional))
    return next(optimizations for optimizations in candidates if fits(replace(job, optimizations=optimizations)))


def fits_with_some(job: Job, optional: frozenset[Optimization], fits: Callable[[Job], bool]) -> bool:
    """Whether `job` fits with any of the `optional` levers beside its own."""
    return any(fits(replace(job, optimizations=job.optimizations | most)) for most in _most(optional))


@cache
def _most(optimizations: frozenset[Optimization]) -> tuple[frozenset[Optimization], ...]:
    """Subsets of which one fits where any does: all levers, and without those that take host memory for the GPU's."""
    hungry = sorted(optimizations & _TAKE_HOST_MEMORY)
    return tuple(
        optimizations.difference(spared) for count in range(len(hungry) + 1) for spared in combinations(hungry, count)
    )


@cache
def _subsets(optimizations: frozenset[Optimization]) -> tuple[frozenset[Optimization], ...]:
    """All of them, cheapest first: a lever further down the ladder costs more than all before it together."""
    ordered = [optimization for optimization in ESCALATION_ORDER if optimization in optimizations]
    numbers = range(1 << len(ordered))
    return tuple(
        frozenset(optimization for bit, optimization in enumerate(ordered) if number >> bit & 1) for number in numbers
    )
