"""Sonic's model with memory optimizations, for the nodes that enable them."""

from collections.abc import Mapping
from typing import Any

from ...sonic_guard.comfy.sonic_objects import held_bytes
from ...sonic_guard.devices.budget import host_memory_bytes
from ...sonic_guard.job import Job
from ...sonic_guard.low_vram.engine import LowVramSonic
from ...sonic_guard.low_vram.overlapped_decode import decode_context
from ...sonic_guard.memory.stage_model import predict
from ...sonic_guard.operations.low_vram_choice import LowVramChoice
from ...sonic_guard.optimizations import ESCALATION_ORDER, Optimization
from ...sonic_guard.planning.capabilities import GraphCapabilities, capabilities_of
from ...sonic_guard.planning.capacity import Capacity
from . import host


class ChosenLowVramSonic(LowVramSonic):
    """The wrapper's object with the optimizations that are on, and of those on auto the ones that a run needs."""

    def __init__(self, sonic: Any, choice: LowVramChoice) -> None:
        """Run `sonic`, the wrapper's object, with the optimizations of `choice`."""
        self.choice = choice
        switches = choice.switches

        # Without `self`: a reference to itself would delay the release of memory.
        def choose(job: Job) -> frozenset[Optimization]:
            capacity = choice_capacity(sonic, choice)
            return switches.choose(job, capacity.slowdown, *capacity.checks)

        super().__init__(
            sonic,
            choose,
            fallbacks=[each for each in ESCALATION_ORDER if each in switches.all],
            chunk_size=lambda job: switches.chunk_size(job, *choice_capacity(sonic, choice).checks),
            free_memory=_make_room,
            decode_context=decode_context(choice.overlapped_decode),
        )


def _make_room(job: Job | None) -> None:
    """Have ComfyUI unload models for a run of `job`; for an unknown one, all."""
    host.free_memory(None if job is None else predict(job, device=host.device()).sampler_bytes)


def choice_capacity(sonic: Any, choice: LowVramChoice) -> Capacity:
    """What the optimizations of `sonic`, the wrapper's object, are chosen for; its own memory counts as free.

    The run is on this machine even where another card is named: its host memory counts.
    """
    if choice.capacity is not None:
        return choice.capacity
    return Capacity(host.budget(choice.target_card, choice.reserve, held_bytes(sonic)), host_memory_bytes("auto"))


def capabilities() -> GraphCapabilities:
    """What the nodes of the running graph can do for a run."""
    graph: Mapping[str, Any] = host.running_graph()
    return capabilities_of({node.get("class_type", ""): node.get("inputs", {}) for node in graph.values()})
