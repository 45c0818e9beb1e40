"""What the nodes of a graph can do for a run in addition to the wrapper: optimizations they enable, and parts.

A planner may only use what a node after it in the graph can do.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

from ..job import Job, duration_of
from ..optimizations import Mode, Optimization, Setting, without_redundant
from ..relatives import ADAPTERS, Relative
from .capacity import Capacity
from .part_length import longest_fitting
from .planner import CHUNK_SIZE, SPLIT
from .selection import NONE, STREAMED, Switches, fits_with_some, format_optimizations, read_switches

LOW_VRAM, TALKING_HEAD = "SonicGuardLowVRAM", "SonicGuardTalkingHead"
"""ComfyUI's names of the nodes that enable optimizations."""
MODE = "mode"
"""Name of their input that sets all optimizations at once; one optimization has its own name."""
_LOADERS = frozenset({"dtype", "interpolate"})
"""Settings of SONICTLoader."""


class GraphCapabilities(NamedTuple):
    """What can be done."""

    switches: Switches = NONE
    to_file: bool = False
    """Whether the frames go to a file as they are made, and a long sound can be made in parts."""
    relative: Relative = Relative.SONIC
    """Whose nodes make the run."""

    @property
    def available(self) -> frozenset[str]:
        """What a planner may enable, as `make_plan` takes it."""
        return self.switches.auto | ({SPLIT} if self.to_file else frozenset())

    @property
    def fixed(self) -> frozenset[str]:
        """Settings that a planner cannot change: Sonic Talking Head gets a model that is loaded already."""
        return (_LOADERS if self.to_file else frozenset()) | ({CHUNK_SIZE} if self.switches.smallest_chunks else set())

    def begin(self, job: Job) -> Job:
        """`job` as its nodes run it with no more optimizations than are enabled in any case."""
        streamed = STREAMED if self.to_file else frozenset[Optimization]()
        optimizations = without_redundant(self.switches.on | streamed)
        return replace(job, optimizations=optimizations, to_file=self.to_file, relative=self.relative)

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
        return self.switches.enable(begun, capacity)

    @property
    def text(self) -> str:
        """A text that is the same for the same capabilities."""
        return (
            f"{format_optimizations(self.switches.on)} {format_optimizations(self.switches.auto)} {sorted(self.fixed)}"
        )


WRAPPER_ONLY = GraphCapabilities()
"""Sonic's own nodes, with no optimization available."""


def capabilities_of(nodes: Mapping[str, Mapping[str, object]]) -> GraphCapabilities:
    """The capabilities of a graph, given the inputs of its nodes by class name (of several, the last one's).

    A mode or setting that comes through a link counts as off. Raises `OptimizationError` for an unknown setting.
    """
    if LOW_VRAM in nodes:
        values = nodes[LOW_VRAM]
        names = {*map(str, Optimization)} & values.keys()
        literal = {name: value if isinstance(value := values[name], str) else Setting.OFF for name in names}
        return GraphCapabilities(read_switches(_mode(values), literal), TALKING_HEAD in nodes, relative_in(nodes))
    if TALKING_HEAD in nodes:
        values = nodes[TALKING_HEAD]
        return GraphCapabilities(read_switches(_mode(values)), to_file=True)
    return GraphCapabilities(relative=relative_in(nodes))


def relative_in(kinds: Collection[str]) -> Relative:
    """The relative that a graph with nodes of these `kinds` runs: Sonic, if one of its own nodes is among them."""
    if TALKING_HEAD in kinds:
        return Relative.SONIC
    return next(
        (each for each, adapter in ADAPTERS.items() if not set(adapter.nodes).isdisjoint(kinds)), Relative.SONIC
    )


def _mode(values: Mapping[str, object]) -> str:
    mode = values.get(MODE, Mode.AUTO)
    return mode if isinstance(mode, str) else Mode.OFF
