"""Sonic's model, made lean: for the nodes that pull levers."""

from collections.abc import Callable, Mapping
from typing import Any

from ...sonic_guard.comfy.sonic_objects import held_bytes
from ...sonic_guard.devices.budget import RESERVE
from ...sonic_guard.job import Job
from ...sonic_guard.low_vram.engine import LowVramSonic
from ...sonic_guard.memory.stage_model import predict
from ...sonic_guard.optimizations import ESCALATION_ORDER
from ...sonic_guard.planning.capabilities import GraphCapabilities, capabilities_of
from ...sonic_guard.planning.selection import Switches, largest_chunk_size
from . import host


def make_low_vram(sonic: Any, switches: Switches, target: str = "auto", reserve: float = RESERVE) -> LowVramSonic:
    """`sonic`, the wrapper's object, with the levers that are on, and of the others what a run turns out to need."""

    def fits() -> Callable[[Job], bool]:
        usable = host.budget(target, reserve, held_bytes(sonic)).usable_bytes
        return lambda job: predict(job).sampler_bytes <= usable

    return LowVramSonic(
        sonic,
        lambda job: switches.choose(job, fits()),
        fallbacks=[optimization for optimization in ESCALATION_ORDER if optimization in switches.on | switches.auto],
        chunk_size=lambda job: largest_chunk_size(job, fits()),
        free_memory=lambda job: host.free_memory(None if job is None else predict(job).sampler_bytes),
    )


def capabilities() -> GraphCapabilities:
    """What the nodes of the graph under way can do for a run."""
    graph: Mapping[str, Any] = host.running_graph()
    return capabilities_of({node.get("class_type", ""): node.get("inputs", {}) for node in graph.values()})
