"""Trims a sound to Sonic's frame grid, so that sound and picture end together.

Sonic resamples the sound to 16 kHz, with ``librosa.load(path, sr=16000, duration=min(duration, samples / rate))``, and
makes ``N = floor(floor(samples_16k / 640) / 2)`` latent frames from it: one every 80 ms. The finished clip is a little
shorter than N times that, because interpolation adds pictures between the frames but none after the last.
Source: ``ComfyUI_Sonic`` 8556234.
"""

from typing import NamedTuple

import numpy as np

from ..job import HOP_SAMPLES, HOPS_PER_LATENT, SAMPLE_RATE
from .audio import Sound

_LATENT_SAMPLES = HOP_SAMPLES * HOPS_PER_LATENT
"""Samples at 16 kHz in one latent frame."""


class FittedSound(NamedTuple):
    """A sound in the two lengths that a run needs."""

    for_sonic: Sound
    """Sonic's input for exactly N latent frames. SONIC_PreData's `duration` may be half a hop shorter, and no more."""
    for_video: Sound
    """The sound of the video file: it ends with the last picture, to the nearest sample."""


class FittedLengths(NamedTuple):
    """The lengths that `fit_to_frames` gives a sound."""

    latent_frames: int
    for_sonic_s: float
    """Seconds of the sound for Sonic."""
    for_video_s: float
    """Seconds of the sound for the video."""


def fitted_lengths(latent_frames: int, interpolate: bool) -> FittedLengths:
    """The lengths in seconds of `fit_to_frames`, at a rate of 16 kHz; at other rates within half a sample."""
    lengths_16k = _lengths_16k(latent_frames, interpolate)
    return FittedLengths(latent_frames, *(samples / SAMPLE_RATE for samples in lengths_16k))


def fit_to_frames(sound: Sound, latent_frames: int, interpolate: bool) -> FittedSound:
    """Cut `sound` for a clip of `latent_frames` N, with or without frame interpolation.

    A sound that is too short is padded with silence; otherwise the results share its memory.

    - For Sonic: N latent frames and half a hop, ``N / 12.5 + 0.02`` s. Sonic's ``int(duration * rate)`` can lose a
      sample to rounding; without the half hop that would cost a frame.
    - For the video: ``2N - 1`` pictures at 25 fps with interpolation, N at 12.5 without.
    """
    for_sonic_16k, for_video_16k = _lengths_16k(latent_frames, interpolate)
    return FittedSound(for_sonic=_fit(sound, for_sonic_16k), for_video=_fit(sound, for_video_16k))


def _lengths_16k(latent_frames: int, interpolate: bool) -> tuple[int, int]:
    """Samples at 16 kHz of the sound for Sonic, and for the video."""
    latents_16k = latent_frames * _LATENT_SAMPLES
    return latents_16k + HOP_SAMPLES // 2, latents_16k - (HOP_SAMPLES if interpolate else 0)


def _fit(sound: Sound, samples_16k: int) -> Sound:
    """`sound` cut, or padded with silence, to the length of `samples_16k` samples at 16 kHz."""
    samples = (2 * samples_16k * sound.sample_rate + SAMPLE_RATE) // (2 * SAMPLE_RATE)  # to the nearest
    if samples <= sound.samples:
        return sound.part(0, samples)
    padding = ((0, 0), (0, samples - sound.samples))
    return Sound(np.pad(sound.waveform, padding), sound.sample_rate)
