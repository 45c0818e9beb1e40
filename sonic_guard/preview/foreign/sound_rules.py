"""Rules that nodes of several packs share: the length of a sound that is cut, joined or overlaid."""

import math

from .builders import Samples


def trimmed(sound: Samples, start: int, count: int) -> Samples:
    """At most `count` samples from `start`, which lies within the sound."""
    start = min(max(0, start), sound.samples)
    return sound._replace(samples=min(start + count, sound.samples) - start)


def seeked(sound: Samples, start_s: float, duration_s: float) -> Samples:
    """As ffmpeg's ``-ss`` and ``-t``, which round halves up: from a time, for a duration, or all for 0."""
    start, count = (math.floor(seconds * sound.rate + 0.5) for seconds in (start_s, duration_s))
    return trimmed(sound, start, count if duration_s > 0 else sound.samples)


def resampled(sound: Samples, rate: int) -> Samples:
    """At another rate, as torchaudio does it: no sample is lost."""
    return Samples(math.ceil(sound.samples * rate / sound.rate), rate)


def joined(sound: Samples, audio2: Samples | None) -> Samples:
    """One after the other, at the higher of their rates."""
    if audio2 is None:
        return sound
    rate = max(sound.rate, audio2.rate)
    return Samples(resampled(sound, rate).samples + resampled(audio2, rate).samples, rate)


def overlaid(sound: Samples, audio2: Samples | None) -> Samples:
    """Both at once: as long as the first, at the higher of their rates."""
    return sound if audio2 is None else resampled(sound, max(sound.rate, audio2.rate))


def shorter(sound: Samples, other: Samples | None) -> Samples:
    """Side by side: as long as the shorter, at the higher of their rates."""
    if other is None:
        return sound
    rate = max(sound.rate, other.rate)
    return min(resampled(sound, rate), resampled(other, rate))
