"""Sonic Talking Head: the plan of a video, where it is cut into parts, and the run of its longest part."""

from dataclasses import dataclass, replace
from typing import Any

from ..errors import JobError, brief
from ..job import MAX_DURATION_S, MIN_SOUND_S, Job, duration_of
from ..long_video.part_plan import Part, Pause, middle, plan_parts
from ..planning.pace import predict_time
from ..planning.selection import STREAMED
from .input_values import is_amount
from .preflight import Preflight, PreflightRequest, preflight

PREVIEW_STEPS = 10
"""Most denoising steps of a preview: enough to judge likeness, framing and motion."""


@dataclass(frozen=True)
class TalkingHeadRequest:
    """A video to plan. Raises `JobError` for a length that is none, and for parts too short to be joined."""

    run: PreflightRequest
    """Picture, sound, wishes and card, with the model's own settings and what its optimizations can do."""
    part_s: float = 0.0
    """Longest part in seconds; 0: one pass if it fits, else the longest parts that do."""
    preview_s: float = 0.0
    """Seconds of a preview; 0: the whole video."""
    longest_sound_s: float | None = None
    """Seconds of the sound that SONIC_PreData can take at a time; None where that is not known."""
    pause: Pause = middle
    """Finds the latent frame, between two given ones, at which the voice pauses."""

    def __post_init__(self) -> None:
        for name in ("part_s", "preview_s"):
            value = getattr(self, name)
            if not is_amount(value, MAX_DURATION_S):
                raise JobError(f"{name}: {brief(value)} is no length. Use 0, or a number of seconds.")

    @property
    def longest_s(self) -> float | None:
        """Most seconds of sound that a part may have, whatever its memory; None: any."""
        limits = [limit for limit in (self.part_s, self.longest_sound_s) if limit]
        return min(limits, default=None)


@dataclass(frozen=True)
class TalkingHead:
    """A planned video."""

    preflight: Preflight
    """The plan of the whole video."""
    whole: Job
    """The whole run as it is made: for a preview, its beginning in few steps."""
    longest: int | None
    """Latent frames that a part may have; None: the whole in one pass."""
    parts: tuple[Part, ...]
    part: Job
    """The run of the longest part, with all of its optimizations and its chunk size."""

    @property
    def is_preview(self) -> bool:
        """Whether only the beginning is made, in few steps."""
        return self.whole.duration_s < self.preflight.requested.duration_s or self.whole.steps < self.planned.steps

    @property
    def planned(self) -> Job:
        """The run that was planned, of which this is the whole or the beginning."""
        return self.preflight.plan.job

    def outputs(self, video: Any, frames: Any, report: Any) -> tuple[Any, ...]:
        """The node's outputs in their order."""
        return video, frames, report


def plan_talking_head(request: TalkingHeadRequest) -> TalkingHead:
    """Plan the video, and cut it into parts. Raises as `preflight`, and `JobError` for too short parts."""
    result = preflight(replace(request.run, longest_s=request.longest_s))
    planned, requested = result.plan.job, result.requested
    whole = replace(
        planned, duration_s=requested.duration_s, optimizations=STREAMED, chunk_size=requested.chunk_size, to_file=True
    )
    if request.preview_s:
        seconds = min(max(request.preview_s, MIN_SOUND_S), whole.duration_s)
        whole = replace(whole, duration_s=seconds, steps=min(whole.steps, PREVIEW_STEPS))
    longest = None if planned.latent_frames >= whole.latent_frames else planned.latent_frames
    parts = plan_parts(whole, longest, request.pause)
    frames = max(part.latent_frames for part in parts)
    length_s = whole.duration_s if len(parts) == 1 else duration_of(frames)
    part = replace(
        whole, duration_s=length_s, optimizations=planned.optimizations | STREAMED, chunk_size=planned.chunk_size
    )
    if request.preview_s:
        result = _as_preview(result, request.run, whole, parts)
    return TalkingHead(result, whole, longest, parts, part)


def _as_preview(result: Preflight, run: PreflightRequest, whole: Job, parts: tuple[Part, ...]) -> Preflight:
    """The plan of the whole video with the parts and the time of its preview, which is what runs."""
    time = predict_time(whole, run.capacity.budget, run.pace, parts=[part.latent_frames for part in parts])
    return replace(result, plan=replace(result.plan, parts=len(parts)), time=time)
