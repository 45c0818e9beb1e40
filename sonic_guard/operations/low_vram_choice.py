"""Sonic Low VRAM: which optimizations a model may enable, and for which card it chooses among them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..devices.budget import RESERVE, budget_for
from ..job import Job
from ..optimizations import Mode, Optimization
from ..planning.capacity import Capacity
from ..planning.planner import Plan
from ..planning.selection import DEFAULT, Switches, read_switches
from .input_values import flag


@dataclass(frozen=True)
class LowVramRequest:
    """The node's inputs."""

    settings: Mapping[str, object]
    """Single optimizations by name; a missing one is as the mode says."""
    mode: str = Mode.AUTO
    plan: Plan | None = None
    """The plan upstream, if one is linked."""
    target_card: str = "auto"
    reserve: float = RESERVE
    overlapped_decode: object = False


@dataclass(frozen=True)
class LowVramChoice:
    """How a model chooses its optimizations when a run begins."""

    switches: Switches = DEFAULT
    target_card: str = "auto"
    """The card they are chosen for. "auto": the one in this machine, for a preview the one it is made for."""
    reserve: float = RESERVE
    capacity: Capacity | None = None
    """That of the plan upstream: the run uses what was planned. None: that of `target_card` when the run begins."""
    overlapped_decode: bool = False
    """Whether the groups of frames that are decoded together overlap, which changes the frames at their seams."""

    def within(self, allowed: frozenset[Optimization]) -> "LowVramChoice":
        """The same with those optimizations only that the model supports."""
        return replace(self, switches=self.switches.within(allowed))

    def enable(self, job: Job, capacity: Capacity) -> Job:
        """`job` as the model runs it: with its optimizations and chunk size, chosen when the sampler starts."""
        return self.switches.enable(job, self.capacity or capacity)


def choose_low_vram(request: LowVramRequest) -> LowVramChoice:
    """Read the node's inputs. What the plan upstream enables is enabled, unless the node says that it is off.

    Raises `OptimizationError` for an unknown mode or setting, and `BudgetError` for an unknown card, which otherwise
    would be noticed only when the sampler starts, and `SonicGuardError` for a switch that is none.
    """
    overlapped = flag("overlapped_decode", request.overlapped_decode)
    target, plan = request.target_card, request.plan
    switches = read_switches(request.mode, request.settings)
    if plan is None:
        if not isinstance(target, str) or target != "auto":
            budget_for(target, reserve=request.reserve)
        return LowVramChoice(switches, target, request.reserve, overlapped_decode=overlapped)
    planned = plan.job.optimizations & switches.auto
    switches = replace(switches, on=switches.on | planned, auto=switches.auto - planned)
    return LowVramChoice(switches, target, request.reserve, plan.capacity, overlapped)
