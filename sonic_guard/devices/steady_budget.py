"""Keeps the memory that is planned with from following every small change of what is free.

A plan made from live figures would flicker between two sizes, and a run would start with another plan than the one
that was shown. Therefore a budget is kept until what is available differs by more than a margin.
"""

from dataclasses import replace

from .budget import Budget

CONTEXT_BYTES = 780 << 20
"""The CUDA context with its kernels, as measured on an H200. It appears with a process's first kernel, and every
prediction includes it: its appearance must not change a plan."""


class SteadyBudget:
    """Gives the budget it gave before, until the new one is far enough from it."""

    def __init__(self) -> None:
        self._kept: Budget | None = None

    def __call__(self, fresh: Budget) -> Budget:
        """The budget to plan with, given the live one. The reserve is always that of `fresh`."""
        kept = self._kept
        if kept is None or (kept.card, kept.total_bytes) != (fresh.card, fresh.total_bytes) or _differ(kept, fresh):
            self._kept = kept = fresh
        return replace(kept, reserve=fresh.reserve)


def _differ(kept: Budget, fresh: Budget) -> bool:
    # Host memory, which every program shares, swings further than a card's; there a plan that is too large is swapped.
    share = 16 if fresh.device == "cuda" else 8
    margin = max(CONTEXT_BYTES, fresh.total_bytes // share)
    return abs(kept.available_bytes - fresh.available_bytes) > margin
