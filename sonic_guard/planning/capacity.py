"""Will it fit? A verdict, the stage it hangs on, and by how much."""

from dataclasses import dataclass
from enum import StrEnum

from ..devices.budget import Budget
from ..memory.stage_model import Estimate


class Verdict(StrEnum):
    """How an estimate stands to a budget."""

    SAFE = "safe"
    """Within the budget, reserve untouched."""
    TIGHT = "tight"
    """Within what is free, but inside the reserve: more than 90 % of it unless the reserve was changed."""
    FAIL = "fail"
    """More than there is."""


@dataclass(frozen=True)
class Risk:
    """An estimate held against a budget."""

    verdict: Verdict
    stage: str
    """The stage that needs most."""
    headroom_bytes: int
    """Memory left over at that stage, before the reserve; negative: how much is missing."""
    short_of_host_ram: bool = False
    """Whether the frames do not fit into host memory, whatever the card says."""


def assess(estimate: Estimate, budget: Budget, host_ram_bytes: int | None = None) -> Risk:
    """The risk of running `estimate`'s job on `budget`, with `host_ram_bytes` of host memory if known."""
    headroom = budget.available_bytes - estimate.peak_bytes
    short = host_ram_bytes is not None and estimate.host_ram_bytes > host_ram_bytes
    if headroom < 0 or short:
        verdict = Verdict.FAIL
    elif estimate.peak_bytes > budget.usable_bytes:
        verdict = Verdict.TIGHT
    else:
        verdict = Verdict.SAFE
    return Risk(verdict, estimate.peak_stage, headroom, short)
