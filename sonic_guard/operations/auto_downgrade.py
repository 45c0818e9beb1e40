"""Auto Downgrade: settings that fit a card, from settings that need not."""

from dataclasses import dataclass
from typing import Any

from ..planning.capabilities import WRAPPER_ONLY, GraphCapabilities
from ..planning.capacity import Capacity
from ..planning.pace import Pace, TimePrediction, predict_time
from ..planning.planner import Plan, Policy, make_plan
from .input_values import one_of
from .run_settings import RunSettings, job_from, vae_dtype_on


@dataclass(frozen=True)
class AutoDowngradeRequest:
    """A run that has to fit."""

    settings: RunSettings
    capacity: Capacity
    policy: str = Policy.LOSSLESS_FIRST
    """What may be changed, and in which order."""
    capabilities: GraphCapabilities = WRAPPER_ONLY
    """What other nodes of the graph can do for the run."""
    pace: Pace | None = None
    """What earlier runs on the card took, if any are known."""

    def __post_init__(self) -> None:
        one_of("policy", self.policy, Policy)


@dataclass(frozen=True)
class AutoDowngrade:
    """Settings that fit, and what was changed."""

    plan: Plan
    duration: float
    """Seconds of sound for Sonic. Sonic Talking Head cuts the sound itself and gets all of it."""
    time: TimePrediction
    """How long it denoises."""

    @property
    def refused(self) -> bool:
        """Whether the node stops the graph here: nothing fits."""
        return not self.plan.fits

    def outputs(self, report: Any) -> tuple[Any, ...]:
        """The node's outputs in their order, given the report."""
        job = self.plan.job
        return job.min_resolution, self.duration, job.fps, str(job.dtype), job.interpolate, job.steps, report


def auto_downgrade(request: AutoDowngradeRequest) -> AutoDowngrade:
    """Plan a run that fits. Raises `JobError` for settings no run can have."""
    capacity, capabilities = request.capacity, request.capabilities
    job = job_from(request.settings, vae_dtype_on(capacity.budget))
    plan = make_plan(
        capabilities.begin(job),
        capacity,
        request.policy,
        available=capabilities.available,
        fixed=capabilities.fixed - {"dtype", "interpolate"},
    )
    duration_s = job.duration_s if capabilities.to_file else plan.job.duration_s
    return AutoDowngrade(plan, duration_s, predict_time(plan.job, capacity.budget, request.pace))
