"""What the nodes of a graph can do for a run in addition to the wrapper: optimizations they enable, and parts.

A planner may only use what a node after it in the graph can do.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from ..job import Job, duration_of
from ..optimizations import Optimization, without_redundant
from .capacity import Capacity, Span
from .part_length import longest_fitting
from .planner import SPLIT
from .selection import DEFAULT, NONE, STREAMED, Switches, fits_with_some, format_optimizations, read_switches

LOW_VRAM, LONG_VIDEO = "SonicGuardLowVRAM", "SonicGuardLongVideo"
"""ComfyUI's names of the nodes that enable optimizations."""


class GraphCapabilities(NamedTuple):
    """What can be done."""

    switches: Switches = NONE
    to_file: bool = False
    """Whether the frames go to a file as they are made, and a long sound can be made in parts."""

    @property
    def available(self) -> frozenset[str]:
        """What a planner may enable, as `make_plan` takes it."""
        return self.switches.auto | ({SPLIT} if self.to_file else frozenset())

    def begin(self, job: Job) -> Job:
        """`job` as its nodes run it with no more optimizations than are enabled in any case."""
        streamed = STREAMED if self.to_file else frozenset[Optimization]()
        return replace(job, optimizations=without_redundant(self.switches.on | streamed), to_file=self.to_file)

    def run(self, job: Job, capacity: Capacity) -> Job:
        """`job` as its nodes will run it: with the optimizations they enable, and cut to the longest part that fits."""
        begun = self.begin(job)
        if self.to_file:
            longest = longest_fitting(
                begun,
                lambda part: fits_with_some(part, self.switches.auto, capacity.fits),
                lambda part: fits_with_some(part, self.switches.auto, capacity.fits_bytes),
            )
            begun = begun if longest is None else replace(begun, duration_s=duration_of(longest))
        return self.switches.enable(begun, capacity, Span.WHOLE)

    @property
    def text(self) -> str:
        """A text that is the same for the same capabilities."""
        return f"{format_optimizations(self.switches.on)} {format_optimizations(self.switches.auto)} {self.to_file}"


WRAPPER_ONLY = GraphCapabilities()
"""Sonic's own nodes, with no optimization available."""


def capabilities_of(nodes: Mapping[str, Mapping[str, object]]) -> GraphCapabilities:
    """The capabilities of a graph, given the inputs of its nodes by class name (of several, the last one's).

    An optimization whose setting comes through a link counts as off. Raises `OptimizationError` for an unknown setting.
    """
    if LOW_VRAM in nodes:
        values = nodes[LOW_VRAM]
        set_here = {str(optimization): values[optimization] for optimization in Optimization if optimization in values}
        switches = read_switches({name: value if isinstance(value, str) else "off" for name, value in set_here.items()})
    else:
        switches = DEFAULT if LONG_VIDEO in nodes else NONE
    return GraphCapabilities(switches, LONG_VIDEO in nodes)
