"""Which levers a run may pull, and which of them it does: what the user's switches say, and the least that fits.

Pure. The nodes read their switches with it, and the pages foresee with it what the nodes will do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import combinations

from ..errors import brief
from ..errors import LeverError
from ..job import Job, Lever
from ..low_vram import EXACT

LADDER = (Lever.PAIRWISE, Lever.PARK, Lever.HOST, Lever.BRANCH, Lever.FF, Lever.BLOCK, Lever.FP8)
"""Every lever, in the order they are pulled: cheapest in time first, and at the end the one that changes pixels."""


class Setting(StrEnum):
    """Of one switch."""

    AUTO = "auto"
    """Pull the lever if the run does not fit without."""
    ON = "on"
    OFF = "off"


DEFAULTS: Mapping[Lever, Setting] = {
    **dict.fromkeys(LADDER, Setting.AUTO),
    Lever.PARK: Setting.ON,  # costs a second, and is pulled before anybody knows how long the sound is
    Lever.FP8: Setting.OFF,  # nothing changes a pixel unasked
}
"""How the switches stand unless somebody moves them."""


_TAKE_HOST_MEMORY = frozenset({Lever.HOST, Lever.FP8})
"""Levers with which a run needs more host memory; the others need less, or as much."""
LARGER_PIECES = (16, 8, 4, 2)
"""How much larger than the least a piece may be, where there is room: beyond it nothing is gained."""


@dataclass(frozen=True)
class Switches:
    """The levers that are pulled anyway, and those that are pulled where they are needed."""

    on: frozenset[Lever] = frozenset()
    auto: frozenset[Lever] = frozenset()

    def within(self, allowed: frozenset[Lever]) -> "Switches":
        """The same without the levers that cannot be pulled."""
        return Switches(self.on & allowed, self.auto & allowed)

    def pull(self, job: Job, fits: Callable[[Job], bool]) -> Job:
        """`job` as a lean model begins it: with the levers for it, in pieces as large as there is room for."""
        pulled = replace(job, levers=self.choose(job, fits))
        return replace(pulled, piece=largest_piece(pulled, fits))

    def choose(self, job: Job, fits: Callable[[Job], bool]) -> frozenset[Lever]:
        """The levers for `job`: those that are on, and the cheapest others with which `fits` says yes; else all."""
        pulled = job.levers | self.on
        least = least_levers(replace(job, levers=pulled), self.auto - pulled, fits)
        return pulled | self.auto if least is None else least


STREAMED = frozenset({Lever.PAIRWISE, Lever.PARK})
"""What Sonic Long Video pulls whatever the switches say: without the first no file grows, the second is free there."""
NONE = Switches()
"""The wrapper alone: no lever can be pulled."""
DEFAULT = Switches(frozenset({Lever.PARK}), EXACT - {Lever.PARK})
"""Those of a node that nobody has moved: every exact lever where it is needed."""


def read_switches(values: Mapping[str, object]) -> Switches:
    """The switches by lever name; those missing are as in `DEFAULTS`. Raises `LeverError` for a word that is none."""
    settings: dict[Lever, str] = {}
    for lever, default in DEFAULTS.items():
        setting = values.get(lever, default)
        if not isinstance(setting, str) or setting not in tuple(Setting):
            raise LeverError(f"{lever}: there is no {brief(setting)}; choose one of {', '.join(Setting)}.")
        settings[lever] = str(setting)
    return Switches(
        frozenset(lever for lever, setting in settings.items() if setting == Setting.ON),
        frozenset(lever for lever, setting in settings.items() if setting == Setting.AUTO),
    )


def largest_piece(job: Job, fits: Callable[[Job], bool]) -> int:
    """The largest piece with which `job` fits, and the least where it has none or fits with none."""
    if Lever.BLOCK not in job.levers:
        return job.piece
    pieces = (job.piece * factor for factor in LARGER_PIECES)
    return next((piece for piece in pieces if fits(replace(job, piece=piece))), job.piece)


def parse_levers(text: str) -> frozenset[Lever]:
    """The levers named in `text`, between plus signs: what Preflight hands on. Raises `LeverError` for other words."""
    if not isinstance(text, str):
        raise LeverError(f"levers: expected names between plus signs, got {brief(text)}.")
    names = [name for name in text.replace(" ", "").split("+") if name]
    if unknown := [name for name in names if name not in tuple(Lever)]:
        raise LeverError(f"levers: unknown {', '.join(unknown):.100}; known are {', '.join(LADDER)}.")
    return frozenset(map(Lever, names))


def say_levers(levers: frozenset[Lever]) -> str:
    """The text that `parse_levers` reads."""
    return "+".join(lever for lever in LADDER if lever in levers)


def least_levers(job: Job, optional: frozenset[Lever], fits: Callable[[Job], bool]) -> frozenset[Lever] | None:
    """The levers of `job` and the cheapest of `optional` with which it fits; None if it does not even with all."""
    if not fits_with_some(job, optional, fits):
        return None
    candidates = map(job.levers.union, _subsets(optional))
    return next(levers for levers in candidates if fits(replace(job, levers=levers)))


def fits_with_some(job: Job, optional: frozenset[Lever], fits: Callable[[Job], bool]) -> bool:
    """Whether `job` fits with any of the `optional` levers beside its own."""
    return any(fits(replace(job, levers=job.levers | most)) for most in _most(optional))


@cache
def _most(levers: frozenset[Lever]) -> tuple[frozenset[Lever], ...]:
    """Subsets of which one fits where any does: all levers, and without those that take host memory for the GPU's."""
    hungry = sorted(levers & _TAKE_HOST_MEMORY)
    return tuple(
        levers.difference(spared) for count in range(len(hungry) + 1) for spared in combinations(hungry, count)
    )


@cache
def _subsets(levers: frozenset[Lever]) -> tuple[frozenset[Lever], ...]:
    """All of them, cheapest first: a lever further down the ladder costs more than all before it together."""
    ordered = [lever for lever in LADDER if lever in levers]
    numbers = range(1 << len(ordered))
    return tuple(frozenset(lever for bit, lever in enumerate(ordered) if number >> bit & 1) for number in numbers)
