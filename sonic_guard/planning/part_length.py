"""How long a part of a long sound can be: the longest that fits, and the shortest that is worth making."""

from collections.abc import Callable
from dataclasses import replace

from ..job import LATENT_FPS, Job

MIN_PART_FRAMES = 375
"""Shortest part worth making, 30 s: a seam every few seconds is a greater loss than a smaller picture."""
FADE_FRAMES = 4
"""Latent frames of a cross-fade: 0.32 s."""
SETTLE_FRAMES = 12
"""Latent frames, about a second, over which a corrected brightness fades out."""
_LEAST_SHOWN = 8 * (FADE_FRAMES + SETTLE_FRAMES)
"""Latent frames a part must be able to show, at the least."""


def parts_for(whole: Job, part: Job) -> int:
    """How many runs like `part` it takes to cover the sound of `whole`."""
    return -(-whole.sound_frames // part.sound_frames)


def longest_part(job: Job, fits: Callable[[Job], bool]) -> Job | None:
    """The longest beginning of `job` that fits, or None if not even the shortest worth making does."""

    def part(frames: int) -> Job:
        return replace(job, duration_s=frames / LATENT_FPS)

    low, high = MIN_PART_FRAMES, job.sound_frames
    if high <= low or not fits(part(low)):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(part(middle)) else (low, middle)
    return part(low)


def overlap(window: int) -> int:
    """Latent frames that are made twice at every seam."""
    return 2 * window + FADE_FRAMES


def shortest_part(window: int) -> int:
    """Latent frames of the shortest limit that `plan_parts` takes."""
    return _LEAST_SHOWN + overlap(window)


def longest_fitting(job: Job, *checks: Callable[[Job], bool]) -> int | None:
    """Latent frames of the longest part of `job` that passes the first check; None for the whole.

    Where no length passes, the next check decides, which is less strict: shorter parts clear no hard limit, and would
    only add seams. Where none passes the last one it is a short part: that is the most likely to run, and a run can
    recover from an out-of-memory error.
    """
    for fits in checks:
        if fits(job):
            return None
        part = longest_part(job, fits)
        if part:
            return part.latent_frames
    short = max(MIN_PART_FRAMES, shortest_part(job.window))
    return short if short < job.latent_frames else None
