"""What a planned run would become with Sonic's own nodes alone: the comparison that reports show."""

from typing import NamedTuple

from ..memory.stage_model import Estimate
from ..planning.capabilities import WRAPPER_ONLY
from ..planning.planner import Plan, make_plan
from .preflight import Preflight, PreflightRequest


class StockPlan(NamedTuple):
    """Sonic's own nodes, without memory optimizations."""

    requested: Estimate
    """What the requested settings would need."""
    plan: Plan
    """What would be left of them on the card, by the policy of the request."""


def stock_plan(request: PreflightRequest, result: Preflight) -> StockPlan:
    """The same request, planned for Sonic's own nodes."""
    requested = WRAPPER_ONLY.begin(result.requested)
    plan = make_plan(requested, request.capacity, request.allowed)
    return StockPlan(request.capacity.estimate(requested), plan)
