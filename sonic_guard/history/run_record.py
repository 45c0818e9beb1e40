"""The record of a run: its job and environment, its measured figures, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ..devices.environment import RunEnvironment
from ..job import Job


class Outcome(StrEnum):
    """How a run ended."""

    RUNNING = "running"
    """Not ended yet."""
    DONE = "done"
    OUT_OF_MEMORY = "oom"
    INTERRUPTED = "interrupted"
    """The user cancelled it."""
    ERROR = "error"
    """It failed for another reason than memory."""
    KILLED = "killed"
    """Its process ended without recording an outcome: killed, crashed, or out of host memory."""


@dataclass(frozen=True)
class StageFigures:
    """Measured figures of one stage. None: not measured (no GPU, no NVML, or the stage's node was cached)."""

    allocated_bytes: int | None = None
    """Peak bytes of tensors, as torch counts them."""
    reserved_bytes: int | None = None
    """Peak bytes held by torch's allocator, its cache included."""
    device_bytes: int | None = None
    """Largest sample of the memory in use on the card, by all programs."""
    seconds: float | None = None
    """Of a resumed denoise stage: what all of its steps take at the pace of those that were run."""


@dataclass(frozen=True)
class Run:
    """One run of Sonic, in progress or ended."""

    id: int
    started: datetime
    """In UTC, with its time zone."""
    job: Job
    """The job as it was run: frame size, frames, window and optimizations of the objects that ran."""
    environment: RunEnvironment
    predicted: Mapping[str, int]
    """Predicted bytes of tensors by stage (`memory.stage_model.stage_bytes`), from before the run."""
    stages: Mapping[str, StageFigures] = field(default_factory=dict)
    """Measured figures by stage."""
    outcome: Outcome = Outcome.RUNNING
    stage: str = ""
    """The stage it ended in, unless it is done."""
