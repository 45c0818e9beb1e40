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
    """Sonic's input for exactly N latent frames. SONIC_PreData's `duration` must not be shorter."""
    for_video: Sound
    """The sound of the video file: it ends with the last picture, to the nearest sample."""


def fit_to_frames(sound: Sound, latent_frames: int, interpolate: bool) -> FittedSound:
    """Cut `sound` for a clip of `latent_frames` N, with or without frame interpolation.

    A sound that is too short is padded with silence; otherwise the results share its memory.

    - For Sonic: N latent frames and half a hop, ``N / 12.5 + 0.02`` s. Sonic's ``int(duration * rate)`` can lose a
      sample to rounding; without the half hop that would cost a frame.
    - For the video: ``2N - 1`` pictures at 25 fps with interpolation, N at 12.5 without.
    """
    latents_16k = latent_frames * _LATENT_SAMPLES
    pictures_16k = latents_16k - (HOP_SAMPLES if interpolate else 0)
    return FittedSound(
        for_sonic=_fit(sound, latents_16k + HOP_SAMPLES // 2),
        for_video=_fit(sound, pictures_16k),
    )


def _fit(sound: Sound, samples_16k: int) -> Sound:
    """`sound` cut, or padded with silence, to the length of `samples_16k` samples at 16 kHz."""
    samples = (2 * samples_16k * sound.sample_rate + SAMPLE_RATE) // (2 * SAMPLE_RATE)  # to the nearest
    if samples <= sound.samples:
        return sound.part(0, samples)
    padding = ((0, 0), (0, samples - sound.samples))
    return Sound(np.pad(sound.waveform, padding), sound.sample_rate)
