"""One set of properties in two sizes: a small fixed part in `make test`, and as many cases as wanted in `make fuzz`.

SONIC_GUARD_FUZZ is the number of cases of all properties together; without it each has its fixed part, always the
same. SONIC_GUARD_FUZZ_S is the seconds they may take together.
"""

import functools
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import UnsatisfiedAssumption

from tests.fuzz.limits import bounded

TOTAL = int(os.environ.get("SONIC_GUARD_FUZZ", "0"))
LIMIT_S = float(os.environ.get("SONIC_GUARD_FUZZ_S", "2400"))


@dataclass
class Tally:
    """The outcomes of one property's cases."""

    name: str
    wanted: int
    outcomes: Counter[str] = field(default_factory=Counter)
    failed: bool = False
    began_s: float = 0.0
    ends_s: float = float("inf")
    took_s: float = 0.0

    @property
    def cases(self) -> int:
        return self.outcomes.total()


TALLIES: dict[str, Tally] = {}
"""By the name of the property, in the order of the run."""


class Clock:
    """Shares the time that is left evenly among the properties that are still to come."""

    def __init__(self) -> None:
        self.properties = 0
        self.end_s: float | None = None

    def slice_ends_s(self) -> float:
        now = time.monotonic()
        self.end_s = self.end_s or now + LIMIT_S
        left = max(1, self.properties)
        self.properties -= 1
        return now + (self.end_s - now) / left


CLOCK = Clock()


def cases(share: int, fixed: int, **strategies: Any) -> Callable[[Callable[..., str]], Callable[..., None]]:
    """Make a property of a function that returns in a word how a case ended.

    It gets `share` thousandths of the cases of a `make fuzz`, and `fixed` cases in `make test`.
    """
    wanted = max(1, TOTAL * share // 1000) if TOTAL else fixed

    def decorate(check: Callable[..., str]) -> Callable[..., None]:
        tally = Tally(check.__name__.removeprefix("test_").replace("_", " "), wanted)

        @functools.wraps(check)
        def counted(*args: Any, **kwargs: Any) -> None:
            if not tally.began_s:
                TALLIES[tally.name] = tally
                tally.began_s = time.monotonic()
                tally.ends_s = CLOCK.slice_ends_s() if TOTAL else float("inf")
            try:
                with bounded():
                    outcome = check(*args, **kwargs)
            except UnsatisfiedAssumption:
                raise  # no case at all
            except Exception:
                tally.failed = True
                tally.outcomes["FAILED"] += 1
                raise
            finally:
                tally.took_s = time.monotonic() - tally.began_s
            tally.outcomes[outcome] += 1
            if time.monotonic() > tally.ends_s and not tally.failed:
                # Hypothesis lets it through. Only after a whole case: one that is cut short would seem flaky.
                pytest.skip(f"its part of the {LIMIT_S:g} s is over after {tally.cases:,} of {wanted:,} cases")

        how = settings(
            max_examples=wanted,
            deadline=None,
            derandomize=not TOTAL,
            database=None,
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        return how(given(**strategies)(counted))

    return decorate
