"""How loud a voice is in the bands that the mouth shapes, over time."""

from typing import NamedTuple

import numpy as np

from ...media.audio import Sound, check_finite

RATE = 200
"""Levels a second."""
WINDOW_S = 0.025
"""Length of a spectrum's window, a Hann window."""
BANDS_HZ = ((800, 1600), (1600, 3000))
"""The second formant and above: what an opening mouth raises most, and what voicing and hum raise least.

Chosen by `bench/lip_template.py` out of six bands from 80 to 7,800 Hz and all of them together."""
SMOOTHING_S = 0.02
"""Standard deviation of the levels' smoothing: frames are no denser."""
TREND_S = 0.2
"""Standard deviation of the local mean that is subtracted: syllables remain, phrases and loudness go."""
FLOOR_DB = -55.0
"""Below it a sound is silent, in dB of full scale."""
ROOM_DB = 30.0
"""Below the loud parts by this much, nobody is speaking."""
CHUNK = 4096
"""Spectra computed at a time; bounds the memory."""


class Speech(NamedTuple):
    """The levels of a stretch of sound."""

    start_s: float
    """When the first level is heard."""
    levels: np.ndarray
    """float32 [T, bands], `RATE` a second: the fourth root of the energy, without its slow part."""
    loudness_db: np.ndarray
    """float32 [T], `RATE` a second, of full scale."""

    def at(self, times_s: np.ndarray) -> np.ndarray:
        """The levels at any times [...], interpolated: [..., bands]; 0, which is their mean, outside of the sound."""
        place = (np.asarray(times_s, np.float64) - self.start_s) * RATE
        if not len(self.levels):
            return np.zeros((*place.shape, len(BANDS_HZ)), np.float32)
        inside = (place >= 0) & (place <= len(self.levels) - 1)
        place = np.clip(place, 0, len(self.levels) - 1)
        left = np.minimum(place.astype(int), max(0, len(self.levels) - 2))
        right = np.minimum(left + 1, len(self.levels) - 1)
        share = (place - left).astype(np.float32)[..., None]
        found = self.levels[left] * (1 - share) + self.levels[right] * share
        return np.where(inside[..., None], found, np.float32(0))


def read_speech(sound: Sound, start_s: float = 0.0, name: str = "audio") -> Speech:
    """The levels of a sound whose first sample is heard at `start_s`.

    Raises `AudioError` if it contains NaN or infinity; `name` is the sound's name in the message.
    """
    if not sound.samples:
        return Speech(start_s, np.zeros((0, len(BANDS_HZ)), np.float32), np.zeros(0, np.float32))
    check_finite(sound, name)
    mono = np.asarray(sound.waveform, np.float32).mean(0)
    energy = _energies(mono, sound.sample_rate)
    loudness = 10 * np.log10(_smoothed(energy[:, -1:], SMOOTHING_S)[:, 0] + 1e-12)
    levels = _smoothed(energy[:, :-1] ** 0.25, SMOOTHING_S)
    return Speech(start_s, (levels - _smoothed(levels, TREND_S)).astype(np.float32), loudness.astype(np.float32))


def speaking(loudness_db: np.ndarray) -> np.ndarray:
    """Where somebody may speak, by loudness alone: bool [T]."""
    if not len(loudness_db):
        return np.zeros(0, bool)
    return loudness_db > max(FLOOR_DB, float(np.percentile(loudness_db, 95)) - ROOM_DB)


def _energies(mono: np.ndarray, rate: int) -> np.ndarray:
    """Energy in each of `BANDS_HZ`, and in all, at each moment: [T, bands + 1]."""
    length = max(8, round(WINDOW_S * rate))
    window = np.hanning(length).astype(np.float32)
    hertz = np.fft.rfftfreq(length, 1 / rate)
    count = int(len(mono) / rate * RATE) + 1
    padded = np.pad(mono, (length // 2, length))
    found = np.zeros((count, len(BANDS_HZ) + 1), np.float32)
    for first in range(0, count, CHUNK):
        starts = np.round(np.arange(first, min(first + CHUNK, count)) * (rate / RATE)).astype(int)
        spectra = np.abs(np.fft.rfft(padded[starts[:, None] + np.arange(length)] * window, axis=1)) ** 2
        spectra /= float((window**2).sum()) * length / 2  # a full-scale square wave has energy 1
        for band, (low, high) in enumerate(BANDS_HZ):
            found[first : first + len(starts), band] = spectra[:, (hertz >= low) & (hertz < high)].sum(1)
        found[first : first + len(starts), -1] = spectra.sum(1)
    return found


def _smoothed(values: np.ndarray, deviation_s: float) -> np.ndarray:
    """Each column of [T, n] smoothed by a Gaussian; the ends are continued."""
    reach = int(np.ceil(3.5 * deviation_s * RATE))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (deviation_s * RATE)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1)
