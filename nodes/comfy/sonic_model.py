"""Sonic's model, made lean: for the nodes that pull levers."""

from collections.abc import Callable, Mapping
from typing import Any

from ...sonic_guard.job import Job
from ...sonic_guard.low_vram.engine import LeanSonic
from ...sonic_guard.planning.capabilities import Reach, reach_of
from ...sonic_guard.planning.selection import LADDER, Switches, largest_piece
from ...sonic_guard.devices.budget import RESERVE
from ...sonic_guard.memory.stage_model import predict
from ...sonic_guard.comfy.sonic_objects import held_bytes
from . import host


def lean(sonic: Any, switches: Switches, target: str = "auto", reserve: float = RESERVE) -> LeanSonic:
    """`sonic`, the wrapper's object, with the levers that are on, and of the others what a run turns out to need."""

    def fits() -> Callable[[Job], bool]:
        usable = host.budget(target, reserve, held_bytes(sonic)).usable_bytes
        return lambda job: predict(job).sampler_bytes <= usable

    return LeanSonic(
        sonic,
        lambda job: switches.choose(job, fits()),
        spare=[lever for lever in LADDER if lever in switches.on | switches.auto],
        piece=lambda job: largest_piece(job, fits()),
        make_room=lambda job: host.make_room(None if job is None else predict(job).sampler_bytes),
    )


def reach() -> Reach:
    """What the nodes of the graph under way can do for a run."""
    graph: Mapping[str, Any] = host.running_graph()
    return reach_of({node.get("class_type", ""): node.get("inputs", {}) for node in graph.values()})
