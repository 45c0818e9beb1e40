"""Sonic's model with memory optimizations, for the nodes that enable them."""

from collections.abc import Mapping
from typing import Any

from ...sonic_guard.comfy.sonic_objects import held_bytes
from ...sonic_guard.devices.budget import RESERVE, host_memory_bytes
from ...sonic_guard.low_vram.engine import LowVramSonic
from ...sonic_guard.memory.stage_model import predict
from ...sonic_guard.optimizations import ESCALATION_ORDER
from ...sonic_guard.planning.capabilities import GraphCapabilities, capabilities_of
from ...sonic_guard.planning.capacity import Capacity, Span
from ...sonic_guard.planning.selection import Fits, Switches, largest_chunk_size
from . import host


def make_low_vram(sonic: Any, switches: Switches, target: str = "auto", reserve: float = RESERVE) -> LowVramSonic:
    """`sonic`, the wrapper's object, with the optimizations that are on, and of the others those a run needs."""

    def checks() -> tuple[Fits, Fits]:
        capacity = Capacity(host.budget(target, reserve, held_bytes(sonic)), host_memory_bytes(target))
        return (lambda job: capacity.fits(job, Span.SAMPLER)), (lambda job: capacity.fits_gpu(job, Span.SAMPLER))

    return LowVramSonic(
        sonic,
        lambda job: switches.choose(job, *checks()),
        fallbacks=[each for each in ESCALATION_ORDER if each in switches.on | switches.auto],
        chunk_size=lambda job: largest_chunk_size(job, *checks()),
        free_memory=lambda job: host.free_memory(None if job is None else predict(job).sampler_bytes),
    )


def capabilities() -> GraphCapabilities:
    """What the nodes of the graph under way can do for a run."""
    graph: Mapping[str, Any] = host.running_graph()
    return capabilities_of({node.get("class_type", ""): node.get("inputs", {}) for node in graph.values()})
