"""The one capacity check: whether a run fits, and why not.

A run fits where its peak stays within the card's budget, its host memory within what the machine has, and where it
meets none of the card's hard limits. Planner, nodes, preview, advice, part lengths and chunk sizes all use this check.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from ..devices.budget import Budget
from ..job import Job
from ..memory.hard_limits import Limit
from ..memory.stage_model import Estimate, predict
from .pass_time import slowdown

Fits = Callable[[Job], bool]
"""A check of a job, such as `Capacity.fits`."""
Slowdown = Callable[[Job], float]
"""The time of a job as a ratio to the stock order, such as `Capacity.slowdown`."""


class Verdict(StrEnum):
    """Result of comparing an estimate with a capacity."""

    SAFE = "safe"
    """Within the budget, reserve untouched."""
    TIGHT = "tight"
    """Within what is free, but inside the reserve: more than 90 % of it unless the reserve was changed."""
    FAIL = "fail"
    """More than there is, or a hard limit is met."""


@dataclass(frozen=True)
class Risk:
    """An estimate compared with a capacity."""

    verdict: Verdict
    stage: str
    """The stage that needs most."""
    headroom_bytes: int
    """Memory left over in the budget at that stage; negative: how much it needs beyond the budget."""
    short_of_host_ram: bool = False
    """Whether the run needs more host memory than the machine has, whatever memory the card has."""
    limits: tuple[Limit, ...] = ()
    """Hard limits that the run meets: it fails at them, however much memory there is."""
    missing_bytes: int = 0
    """What the run needs beyond all that is available, the reserve included."""


@dataclass(frozen=True)
class Capacity:
    """What a run may use: the memory of a card, host memory, and the card's hard limits."""

    budget: Budget
    host_ram_bytes: int | None = None
    """Host memory a run may use; None where it is not known, as for a card that is not in this machine."""

    _known: dict[Job, Estimate] = field(default_factory=dict[Job, Estimate], init=False, repr=False, compare=False)
    """Estimates made before: a plan and its advice ask about the same jobs again and again."""

    def estimate(self, job: Job) -> Estimate:
        """What `job` needs here."""
        if job not in self._known:
            self._known[job] = predict(job, device=self.budget.device)
        return self._known[job]

    def has_host_ram(self, estimate: Estimate) -> bool:
        """Whether there is the host memory that a run needs, as far as it is known."""
        return self.host_ram_bytes is None or estimate.host_ram_bytes <= self.host_ram_bytes

    def fits(self, job: Job) -> bool:
        """Whether `job` runs within the budget and the host memory, and meets no hard limit."""
        estimate = self.estimate(job)
        return self._fits_gpu(estimate) and self.has_host_ram(estimate)

    def fits_bytes(self, job: Job) -> bool:
        """Whether the GPU's memory is enough, whatever the host memory and the hard limits: neither follows length."""
        return self.estimate(job).peak_bytes <= self.budget.usable_bytes

    def fits_gpu(self, job: Job) -> bool:
        """As `fits`, whatever the host memory: for a choice that has to be made even where that is short."""
        return self._fits_gpu(self.estimate(job))

    @property
    def checks(self) -> tuple[Fits, Fits]:
        """`fits` and `fits_gpu`: the check that a choice of optimizations passes first, and the one it has to."""
        return self.fits, self.fits_gpu

    def slowdown(self, job: Job) -> float:
        """Most likely time of `job` here, as a ratio to the same job in the stock order."""
        return slowdown(job, self.budget.speed)

    def assess(self, estimate: Estimate) -> Risk:
        """Compare a run with this capacity."""
        headroom = self.budget.usable_bytes - estimate.peak_bytes
        missing = max(0, estimate.peak_bytes - self.budget.available_bytes)
        short = not self.has_host_ram(estimate)
        if missing or short or estimate.limits:
            verdict = Verdict.FAIL
        elif headroom < 0:
            verdict = Verdict.TIGHT
        else:
            verdict = Verdict.SAFE
        return Risk(verdict, estimate.peak_stage, headroom, short, estimate.limits, missing)

    def _fits_gpu(self, estimate: Estimate) -> bool:
        return estimate.peak_bytes <= self.budget.usable_bytes and not estimate.limits
