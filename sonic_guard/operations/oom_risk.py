"""OOM Risk: whether a run with these settings fits."""

from dataclasses import dataclass
from typing import Any

from ..devices.card_catalogue import GIB
from ..planning.capabilities import WRAPPER_ONLY, GraphCapabilities
from ..planning.capacity import Capacity, Verdict
from ..planning.pace import Pace, TimePrediction, predict_time
from ..planning.planner import Plan, make_plan
from .input_values import flag
from .run_settings import RunSettings, job_from, vae_dtype_on


@dataclass(frozen=True)
class OomRiskRequest:
    """A run to assess."""

    settings: RunSettings
    capacity: Capacity
    stop: bool = True
    """Whether a run that will fail is refused."""
    capabilities: GraphCapabilities = WRAPPER_ONLY
    """What other nodes of the graph can do for the run."""
    pace: Pace | None = None
    """What earlier runs on the card took, if any are known."""

    def __post_init__(self) -> None:
        flag("stop", self.stop)


@dataclass(frozen=True)
class OomRisk:
    """A run compared with a card."""

    plan: Plan
    """The run as its nodes will make it; nothing is changed."""
    time: TimePrediction
    """How long it denoises."""
    refused: bool
    """Whether the node stops the graph here."""

    @property
    def headroom_gib(self) -> float:
        """Memory left over in GiB; negative: missing."""
        return self.plan.risk.headroom_bytes / GIB

    def outputs(self, image: Any, report: Any) -> tuple[Any, ...]:
        """The node's outputs in their order, given the picture and the report."""
        return image, str(self.plan.risk.verdict), self.plan.risk.stage, self.headroom_gib, report


def oom_risk(request: OomRiskRequest) -> OomRisk:
    """Assess the run as the graph will make it. Raises `JobError` for settings no run can have."""
    job = job_from(request.settings, vae_dtype_on(request.capacity.budget))
    plan = make_plan(request.capabilities.run(job, request.capacity), request.capacity, None)
    refused = bool(request.stop) and plan.risk.verdict is Verdict.FAIL
    return OomRisk(plan, predict_time(plan.job, request.capacity.budget, request.pace), refused)
