"""Sonic Long Video: the whole run, where it is cut into parts, and the optimizations of its longest part."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from ..errors import JobError, brief
from ..job import LATENT_FPS, MAX_DURATION_S, MIN_SOUND_S, Dtype, Job, duration_of
from ..long_video.part_plan import Part, Pause, plan_parts
from ..optimizations import without_redundant
from ..planning.capacity import Capacity, Span
from ..planning.pace import Pace, predict_seconds
from ..planning.part_length import longest_fitting
from ..planning.selection import STREAMED
from .low_vram_choice import LowVramChoice
from .run_settings import RunSettings, job_from


def middle(low: int, high: int) -> int:
    """A cut halfway, for a sound whose pauses are not known."""
    return (low + high) // 2


@dataclass(frozen=True)
class LongVideoRequest:
    """A video to plan. Raises `JobError` for a `part_s` that is no length."""

    settings: RunSettings
    """Its `duration` is the length of the whole sound."""
    vae_dtype: Dtype
    capacity: Capacity
    """What a part may use."""
    choice: LowVramChoice
    """How the model chooses its optimizations."""
    choice_capacity: Capacity
    """What the model chooses them for: Sonic Low VRAM may name another card and another reserve."""
    part_s: float = 0.0
    """Longest part in seconds; 0: one pass if it fits, else the longest parts that do."""
    longest_sound_s: float | None = None
    """Seconds of the sound that SONIC_PreData can take at a time; None where that is not known."""
    pause: Pause = middle
    """Finds the latent frame, between two given ones, at which the voice pauses."""

    def __post_init__(self) -> None:
        if not isinstance(self.part_s, int | float) or not 0 <= self.part_s <= MAX_DURATION_S:  # NaN fails, too
            raise JobError(f"part_s: {brief(self.part_s)} is no length of a part. Use 0, or a number of seconds.")


@dataclass(frozen=True)
class LongVideoPlan:
    """The parts of a video."""

    whole: Job
    """The whole run, with the optimizations that are always enabled."""
    longest: int | None
    """Latent frames that a part may have; None: the whole in one pass."""
    parts: tuple[Part, ...]
    part: Job
    """The run of the longest part, with all of its optimizations and its chunk size."""

    def seconds(self, pace: Pace | None) -> float | None:
        """Predicted seconds of denoising, of all parts; None while no run on the card is known."""
        counts = Counter(part.latent_frames for part in self.parts)
        seconds = [(count, predict_seconds(_part_of(self.whole, frames), pace)) for frames, count in counts.items()]
        return None if pace is None else sum(count * (each or 0.0) for count, each in seconds)


def plan_long_video(request: LongVideoRequest) -> LongVideoPlan:
    """Cut the video into parts that fit. Raises `JobError` for settings no run can have, and for too short parts."""
    settings = replace(request.settings, duration=max(MIN_SOUND_S, request.settings.duration))
    whole = replace(job_from(settings, request.vae_dtype), optimizations=STREAMED, to_file=True)
    longest = _longest_part(request, whole)
    parts = plan_parts(whole, longest, request.pause)
    frames = max(part.latent_frames for part in parts)
    part = whole if len(parts) == 1 else _part_of(whole, frames)
    return LongVideoPlan(whole, longest, parts, request.choice.enable(part, request.choice_capacity))


def _longest_part(request: LongVideoRequest, whole: Job) -> int | None:
    """Latent frames that a part may have; None: the whole."""
    limits = []
    if request.part_s:
        limits.append(round(request.part_s * LATENT_FPS))
    else:
        checks = request.capacity.fits, request.capacity.fits_bytes
        fitting = longest_fitting(whole, *(partial(_fits, request, check) for check in checks))
        limits += [] if fitting is None else [fitting]
    if request.longest_sound_s is not None:
        limits.append(int(request.longest_sound_s * LATENT_FPS))
    return min(limits, default=None)


def _fits(request: LongVideoRequest, check: Callable[[Job, Span], bool], job: Job) -> bool:
    """Whether a part passes with the optimizations that the model chooses for it. The model is loaded already."""
    capacity, chosen_for, switches = request.capacity, request.choice_capacity, request.choice.switches
    if chosen_for.budget.usable_bytes <= capacity.budget.usable_bytes:
        # What fits with all of them fits with the fewest, too, which take more time to find.
        with_all = without_redundant(job.optimizations | switches.on | switches.auto)
        if check(replace(job, optimizations=with_all), Span.AFTER_LOAD):
            return True
    return check(request.choice.enable(job, chosen_for), Span.AFTER_LOAD)


def _part_of(whole: Job, frames: int) -> Job:
    return replace(whole, duration_s=duration_of(frames))
