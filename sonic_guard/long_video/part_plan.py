"""Where a long sound is cut, and which of a part's frames are shown.

Terms
-----
seam
    The latent frame at which the video changes from one part to the next.
fade
    `FADE_FRAMES` latent frames around a seam that both parts contain; there one is blended into the other.
settle
    Output frames after a fade over which the brightness correction of the later part fades out.
margin
    Latent frames at a part's ends that are made and not shown.

Why there is a margin
---------------------
Sonic goes through its N latent frames in windows of F, and shifts the windows by some frames in every denoising step.
It takes frame numbers modulo N, so a window that reaches beyond the end contains the clip's last frames followed by
its first ones. The temporal layers then mix both: the mouth is affected by sound a minute away, and the last second
drifts into the pose of the first. Such a window contains 1 to F - 1 frames of either side, so the F - 1 frames at each
end of a clip are wrong, those next to the end in nearly every step. (The last window of a step also wraps around if N
is not a multiple of F.)

A clip made in one pass keeps this, as in the wrapper. Inside a longer video it would be visible, so every part is
made with F more frames at either end than are shown: F - 1, and one on which the last interpolated picture depends.
Before the beginning and after the end of the sound these frames get silence. Only the beginning of the first part has
no margin.

All borders are whole frames counted from the beginning of the sound; no lengths are summed, so no error accumulates.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import JobError
from ..job import HOP_SAMPLES, HOPS_PER_LATENT, LATENT_FPS, SAMPLE_RATE, Job
from ..media.audio import Sound
from ..media.frame_grid import fit_to_frames
from ..planning.part_length import FADE_FRAMES, SETTLE_FRAMES, overlap, shortest_part

SEARCH_FRAMES = 75
"""Latent frames (six seconds) around an even cut that are searched for silence."""
Pause = Callable[[int, int], int]
"""Returns the best seam between the latent frames `low` and `high`, both included."""


@dataclass(frozen=True)
class Part:
    """One run of Sonic. Its output frames are, in order: skipped, head, body, tail, dropped."""

    index: int
    start: int
    """First latent frame, counted from the beginning of the sound; negative for silence before it."""
    stop: int
    """One past the last latent frame; may be beyond the end of the sound, with silence there."""
    made: int
    """Output frames that the run makes."""
    skip: int
    """Output frames of the margin before the first that is shown."""
    head: int
    """Output frames of the fade with the part before, and those of settling; 0 in the first part."""
    body: int
    """Output frames that are copied into the video."""
    tail: int
    """Output frames of the fade with the next part; 0 in the last. They show the same moments as the next head."""

    @property
    def latent_frames(self) -> int:
        """Latent frames that Sonic makes."""
        return self.stop - self.start

    @property
    def counts(self) -> dict[str, int]:
        """Output frames of each of its files, by role. The first part has no head, the last no tail."""
        counts = {"head": self.head, "body": self.body, "tail": self.tail}
        return {role: count for role, count in counts.items() if count}


def middle(low: int, high: int) -> int:
    """A cut halfway, for a sound whose pauses are not known."""
    return (low + high) // 2


def plan_parts(job: Job, longest: int | None, pause: Pause = middle) -> tuple[Part, ...]:
    """Cut `job` into parts of at most `longest` latent frames each; with None, or if the job fits, into one part.

    The parts show about the same length each, so that none is short. `pause` chooses each seam, within `SEARCH_FRAMES`
    around the even cut. Head and body of all parts together are the job's output frames.
    Raises `JobError` if `longest` is below `shortest_part`.
    """
    total = job.latent_frames
    if longest is None or total <= longest:
        return (_part(job, 0, None, None),)
    least = shortest_part(job.window)
    if longest < least:
        raise JobError(
            f"part length: {longest / LATENT_FPS:.1f} s is too short, because {overlap(job.window) / LATENT_FPS:.1f} s "
            f"of every part overlap its neighbours. Use at least {least / LATENT_FPS:.1f} s."
        )
    shown = longest - overlap(job.window)
    search = min(SEARCH_FRAMES, shown // 8)
    count = -(-total // (shown - search))
    seams = [
        pause(index * total // count - search // 2, index * total // count + search // 2) for index in range(1, count)
    ]
    borders = [None, *seams, None]
    return tuple(_part(job, index, *borders[index : index + 2]) for index in range(count))


def part_sound(sound: Sound, part: Part) -> Sound:
    """The input sound with which Sonic makes exactly `part`; padded with silence before and after `sound`."""
    begin = sample_at(part.start, sound.sample_rate)
    if begin < 0:
        kept = sound.part(0, max(0, sample_at(part.stop + 1, sound.sample_rate)))
        sound, begin = Sound(np.pad(kept.waveform, ((0, 0), (-begin, 0))), sound.sample_rate), 0
    return fit_to_frames(sound.part(begin, sound.samples), part.latent_frames, interpolate=False).for_sonic


def sample_at(latent_frame: int, sample_rate: int) -> int:
    """The sample at which a latent frame begins, rounded to the nearest."""
    at_16k = latent_frame * HOP_SAMPLES * HOPS_PER_LATENT
    return (2 * at_16k * sample_rate + SAMPLE_RATE) // (2 * SAMPLE_RATE)


def _part(job: Job, index: int, seam: int | None, next_seam: int | None) -> Part:
    """The part between two seams; None stands for the beginning or end of the video."""
    rate = 2 if job.interpolate else 1
    half = FADE_FRAMES // 2
    first = 0 if seam is None else seam - half
    start = 0 if seam is None else first - job.window
    if next_seam is not None:
        stop = next_seam + half + job.window
        body_end, tail = rate * (next_seam - half), rate * FADE_FRAMES
    else:
        stop = job.latent_frames if seam is None else job.latent_frames + job.window
        body_end, tail = job.output_frames, 0
    head = 0 if seam is None else rate * (FADE_FRAMES + SETTLE_FRAMES)
    made = rate * (stop - start) - (rate - 1)
    body = body_end - rate * first - head
    return Part(index, start, stop, made, rate * (first - start), head, body, tail)
