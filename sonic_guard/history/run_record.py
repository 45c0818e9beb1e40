"""The nouns of a run that has begun: what it was, where it ran, what it took, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ..devices.environment import RunEnvironment
from ..job import Job


class Outcome(StrEnum):
    """How a run ended."""

    RUNNING = "running"
    """It has not ended yet."""
    DONE = "done"
    OUT_OF_MEMORY = "oom"
    INTERRUPTED = "interrupted"
    """The user cancelled it."""
    ERROR = "error"
    """It failed, and not for want of memory."""
    KILLED = "killed"
    """Its process went away without a word: killed, crashed, or out of host memory."""


@dataclass(frozen=True)
class StageFigures:
    """What one stage of a run took. None: was not measured (no GPU, no NVML, or the stage's node was cached)."""

    allocated_bytes: int | None = None
    """Peak bytes of tensors, as torch counts them."""
    reserved_bytes: int | None = None
    """Peak bytes torch's allocator held, its cache included."""
    device_bytes: int | None = None
    """Most memory in use on the whole card, by every program, at any sample."""
    seconds: float | None = None


@dataclass(frozen=True)
class Run:
    """One run of Sonic, under way or ended."""

    id: int
    started: datetime
    """In UTC, with its time zone."""
    job: Job
    """The run as it really was: frame size, frames, window and levers of the objects that ran."""
    environment: RunEnvironment
    predicted: Mapping[str, int]
    """The model's tensor bytes by stage (`vram.model.stage_bytes`), made before the run."""
    stages: Mapping[str, StageFigures] = field(default_factory=dict)
    """What was measured, by stage."""
    outcome: Outcome = Outcome.RUNNING
    stage: str = ""
    """The stage it ended in, unless it is done."""
