"""Where a long sound is cut, and which of a part's frames are shown.

Terms
-----
seam
    The latent frame at which the video goes over from one part to the next.
fade
    `FADE_FRAMES` latent frames around a seam that both parts show; there one is turned into the other.
settle
    Output frames after a fade over which the later part goes back to its own brightness.
margin
    Latent frames at a part's ends that are made and never shown.

Why there is a margin
---------------------
Sonic goes through its N latent frames in windows of F, and every denoising step moves the windows on by some frames.
It takes their numbers modulo N, so a window that reaches over the end holds the clip's last frames with its first ones
behind them, as if speech and movement went on there. Temporal layers then pull both towards each other: the mouth
listens to sound that is a minute away, and the last second drifts into the pose of the first. Such a window holds 1 to
F - 1 frames of either side, so the F - 1 frames at each end of a clip are wrong, those next to the end in nearly every
step. (The last window of a step runs over, too, wherever N is no multiple of F.)

In a clip made in one pass that is how Sonic closes its loop, and it stays. Inside a longer video it would show, so
every part is made with F frames more at either end than are shown: F - 1, and the one that the last interpolated
picture leans on. Before the beginning and behind the end of the sound these frames are silence. Only the beginning of
the first part, which has nothing before it, stays as Sonic makes it.

All borders are whole frames counted from the beginning of the whole; no length is ever added to another, so nothing
drifts, however long the sound.
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
"""Latent frames, six seconds, around the even cut in which silence is looked for."""
Pause = Callable[[int, int], int]
"""From the latent frames `low` and `high` to the best seam between them, both included."""


@dataclass(frozen=True)
class Part:
    """One run of Sonic, and what becomes of its output frames: skip, then head, then body, then tail, then drop."""

    index: int
    start: int
    """First latent frame that Sonic makes, counted from the beginning of the sound; may lie before it, where there is
    silence."""
    stop: int
    """One past the last; may lie behind the end of the sound, where there is silence."""
    made: int
    """Output frames that come of it."""
    skip: int
    """Of them: before the first that is shown."""
    head: int
    """The fade with the part before, and the frames to settle in; 0 in the first part."""
    body: int
    """Frames that go into the video as they are."""
    tail: int
    """The fade with the part behind; 0 in the last. The same pictures as that part's first ones."""

    @property
    def latent_frames(self) -> int:
        """Latent frames Sonic makes."""
        return self.stop - self.start


def plan_parts(job: Job, longest: int | None, pause: Pause) -> tuple[Part, ...]:
    """Cut `job` into parts of at most `longest` latent frames each; None, or long enough, is one part.

    The parts show about the same length each, so that none is short; each seam lies where `pause` wants it, within
    `SEARCH_FRAMES` around the even cut. Together head and body of all parts are the job's output frames.
    Raises `JobError` if `longest` is too short to be worth its overlap.
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
    """What Sonic has to hear to make `part` and nothing else; silence where `sound` has not begun, or has ended."""
    begin = sample_at(part.start, sound.sample_rate)
    if begin < 0:
        heard = sound.part(0, max(0, sample_at(part.stop + 1, sound.sample_rate)))
        sound, begin = Sound(np.pad(heard.waveform, ((0, 0), (-begin, 0))), sound.sample_rate), 0
    return fit_to_frames(sound.part(begin, sound.samples), part.latent_frames, interpolate=False).for_sonic


def sample_at(latent_frame: int, sample_rate: int) -> int:
    """The sample at which a latent frame begins, to the nearest."""
    at_16k = latent_frame * HOP_SAMPLES * HOPS_PER_LATENT
    return (2 * at_16k * sample_rate + SAMPLE_RATE) // (2 * SAMPLE_RATE)


def _part(job: Job, index: int, seam: int | None, next_seam: int | None) -> Part:
    """The part between two seams; None is an end of the whole."""
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
