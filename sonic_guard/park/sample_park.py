"""A park and its jobs as a simulation has them: everything in it that is made up, and why.

Bytes, seconds, options and parts are those of the code that places real jobs.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

from ..job import LATENT_FPS, MIN_SOUND_S, Job, duration_of, latent_frames
from ..long_video.part_plan import plan_parts

CARDS = {
    "RTX 4090 24GB": 22, "RTX 3090 24GB": 14, "RTX 3060 12GB": 12, "L4 24GB": 10, "RTX 4060 Ti 16GB": 8,
    "RTX 5090 32GB": 7, "A100 80GB": 6, "RTX 4070 SUPER 12GB": 6, "H100 80GB": 4, "RTX 2080 Ti 11GB": 4,
    "RTX 3070 8GB": 3, "RX 7900 XTX 24GB": 2, "RTX 2060 6GB": 2,
}  # fmt: skip
"""Cards of the park by share: what studios own and what is rented by the hour, from 6 GB to 80 GB."""
MEDIAN_S, SIGMA, LONGEST_S = 30.0, 1.0, 3600.0
"""Length of a voice: log-normal, as lengths of recordings and texts are. Half of them are below 30 s (clips for social
media), one in twenty above 155 s (explanations, lessons), one in a hundred above 5 min; at most an hour. An assumption:
nobody publishes what Sonic is given."""
SIZES = {(512, 512): 55, (512, 896): 15, (384, 384): 10, (768, 768): 12, (1024, 1024): 8}
"""Frame sizes by share; most presets and workflows use 512."""
PART_S = 60.0
"""Longest part: seams cost 4.3 s of overlap each, and a longer part is more that can be lost."""


@dataclass(frozen=True)
class Mishaps:
    """What goes wrong. Of no park in particular: set higher than a good one, so that the figures are not flattering."""

    out_of_memory: float = 0.01
    """Probability that a run ends in an out-of-memory error, somewhere in it."""
    straggler: float = 0.01
    """Probability that a run takes 1.5 to 3 times as long: a hot card, a busy disk, memory that spills."""
    lost_per_day: float = 0.05
    """Lost workers by card and day: a server that dies, a rented card that is taken away."""
    unseen_s: float = 60.0
    """Until a lost worker is noticed."""
    replaced_s: float = 1800.0
    """Until another stands in its place."""
    card_spread: float = 0.05
    """Cards of a model differ by at most so much of their speed, which the placement does not know."""
    run_spread: float = 0.05
    """Standard deviation of the logarithm of a run's time around its prediction."""


USUAL = Mishaps()
CALM = Mishaps(0, 0, 0, card_spread=0, run_spread=0)
"""Nothing fails, and every run takes as long as predicted."""


class Voice(NamedTuple):
    """A video that is asked for."""

    width: int
    height: int
    latent_frames: int


def card_models(count: int) -> list[str]:
    """The catalogue's titles of `count` cards, divided as in `CARDS`, those with most of them first."""
    ends = list(accumulate(CARDS.values()))
    names, at = list(CARDS), 0
    found: list[str] = []
    for number in range(count):
        # Evenly over the shares, so that a park of ten has the models of a park of a thousand.
        place = (number + 0.5) * ends[-1] / count
        while place >= ends[at]:
            at += 1
        found.append(names[at])
    return found


def voices(count: int, draw: random.Random) -> Iterator[Voice]:
    """`count` videos, drawn from the distributions above."""
    sizes = draw.choices(list(SIZES), list(SIZES.values()), k=count)
    for width, height in sizes:
        seconds = min(LONGEST_S, max(MIN_SOUND_S, MEDIAN_S * draw.lognormvariate(0, SIGMA)))
        yield Voice(width, height, latent_frames(seconds))


def parts_of(voice: Voice) -> list[Job]:
    """The runs that make a video: one, or parts of at most `PART_S` with the overlap that their seams take."""
    whole = Job(
        voice.width, voice.height, duration_of(voice.latent_frames), min(voice.width, voice.height), to_file=True
    )
    parts = plan_parts(whole, None if whole.duration_s <= PART_S else int(PART_S * LATENT_FPS))
    return [replace(whole, duration_s=duration_of(part.latent_frames)) for part in parts]
