"""How sure an offset is, and why there is none."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from .correlation import Motion, Observation
from .offset import Offset
from .speech import RATE, speaking
from .template import reading

CONFIDENT = 0.8
"""Confidence from which an offset is given. Of those, more than 95 % are right within 20 ms."""
WEIGHTS = (-10.54, 0.644, 10.37)
"""Of the regression in `confidence`: constant, prominence, height · √seconds."""
MIN_SPEECH_S = 1.5
"""Least speech with a visible mouth that is correlated."""
STILL = 0.0055
"""Root mean square of the mouth's motion, as the template reads it, below which it hardly speaks. Noise and a moving
head make up to 0.005 out of a mouth that is shut; people who speak make 0.006 to 0.03."""
STEADY_DB = 15.0
"""Speech falls silent between syllables: its loudness varies by more than this. Music and noise often do not."""


class Reason(StrEnum):
    """Why there is no offset. Each has a text in `lipsync_texts`."""

    NO_SOUND = "no sound"
    SILENCE = "silence"
    NO_FACE = "no face"
    TOO_SHORT = "too short"
    STILL_MOUTH = "still mouth"
    STEADY_SOUND = "no speech"
    """The sound does not vary as speech does: music, noise."""
    NO_MATCH = "no match"
    """The mouth does not say this: another's voice, music, a covered mouth."""


def obstacle(observations: Sequence[Observation], moving: Motion) -> Reason | None:
    """Why nothing can be correlated; None if something can be."""
    if not any(len(speech.levels) for _, speech in observations):
        return Reason.NO_SOUND
    if not any(speaking(speech.loudness_db).any() for _, speech in observations):
        return Reason.SILENCE
    if not len(moving.times_s):
        seen = sum(int(mouth.seen.sum()) for mouth, _ in observations)
        frames = sum(len(mouth.times_s) for mouth, _ in observations)
        return Reason.NO_FACE if frames and seen < frames / 2 else Reason.TOO_SHORT
    if _spoken_s(observations, moving) < MIN_SPEECH_S:
        return Reason.TOO_SHORT
    return None


def doubt(observations: Sequence[Observation], moving: Motion) -> Reason:
    """Why an offset that was found is not trusted."""
    if float(np.sqrt(((moving.shapes @ reading()[:, 0]) ** 2).mean())) < STILL:
        return Reason.STILL_MOUTH
    loudness = np.concatenate([speech.loudness_db for _, speech in observations])
    low, high = np.percentile(loudness, (10, 95))
    return Reason.STEADY_SOUND if high - low < STEADY_DB else Reason.NO_MATCH


def confidence(found: Offset, seconds: float) -> float:
    """The probability that an offset from `seconds` of a visible mouth is right within 20 ms.

    A logistic regression on the prominence of the peak and on its height: the chance height falls with the square root
    of the seconds, so their product means the same for films of any length. `docs/finishing-lipsync.md` has its data.
    """
    constant, of_prominence, of_height = WEIGHTS
    evidence = constant + of_prominence * found.prominence + of_height * found.peak * np.sqrt(seconds)
    return float(1 / (1 + np.exp(-np.clip(evidence, -30, 30))))


def _spoken_s(observations: Sequence[Observation], moving: Motion) -> float:
    """Seconds in which the mouth is seen and somebody speaks."""
    spoken = 0.0
    for number, (_, speech) in enumerate(observations):
        times = moving.times_s[moving.stretches == number]
        loud = speaking(speech.loudness_db)
        if len(times) < 2 or not loud.any():
            continue
        place = np.round((times - speech.start_s) * RATE).astype(int)
        inside = (place >= 0) & (place < len(loud))
        interval_s = float(np.median(np.diff(times)))
        spoken += float(loud[place[inside]].sum()) * interval_s
    return spoken
