"""Sonic Low VRAM: which optimizations a model may enable, and for which card it chooses among them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..devices.budget import RESERVE, budget_for
from ..job import Job
from ..optimizations import Optimization
from ..planning.capacity import Capacity, Span
from ..planning.selection import DEFAULT, Switches, parse_optimizations, read_switches


@dataclass(frozen=True)
class LowVramRequest:
    """The node's switches and its card."""

    settings: Mapping[str, object]
    """The switches by the optimizations' names; a missing one has its default."""
    optimizations: str = ""
    """The optimizations of an upstream plan, separated by plus signs: those on auto are enabled."""
    target_card: str = "auto"
    reserve: float = RESERVE


@dataclass(frozen=True)
class LowVramChoice:
    """How a model chooses its optimizations when a run begins."""

    switches: Switches = DEFAULT
    target_card: str = "auto"
    """The card they are chosen for. "auto": the one in this machine, for a preview the one it is made for."""
    reserve: float = RESERVE

    @property
    def offloads_unet(self) -> bool:
        """Whether the UNet leaves the GPU before SONIC_PreData starts."""
        return Optimization.UNET_OFFLOAD in self.switches.on

    def within(self, allowed: frozenset[Optimization]) -> "LowVramChoice":
        """The same with those optimizations only that the model supports."""
        return replace(self, switches=self.switches.within(allowed))

    def enable(self, job: Job, capacity: Capacity) -> Job:
        """`job` as the model runs it: with its optimizations and chunk size, chosen when the sampler starts."""
        return self.switches.enable(job, capacity, Span.SAMPLER)


def choose_low_vram(request: LowVramRequest) -> LowVramChoice:
    """Read the node's inputs.

    Raises `OptimizationError` for an unknown setting or optimization, and `BudgetError` for an unknown card, which
    otherwise would be noticed only when the sampler starts.
    """
    target = request.target_card
    if not isinstance(target, str) or target != "auto":
        budget_for(target, reserve=request.reserve)
    switches = read_switches(request.settings)
    planned = parse_optimizations(request.optimizations) & switches.auto
    return LowVramChoice(Switches(switches.on | planned, switches.auto - planned), target, request.reserve)
