"""Finds and cuts the silence before and after the voice, with pydub.

Sonic animates every second of its input; silent ones cost the same time and memory as speech.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import AudioError
from .audio import Sound
from .cancellation import Check, nothing
from .pydub_audio import load_pydub, to_segment

THRESHOLD_DBFS = -50.0
"""Loudness (RMS of 10 ms) below which sound counts as silence; 0 dBFS is full scale."""
KEEP_S = 0.1
"""Seconds of silence kept at both ends, so that the first word is not clipped."""
BLOCK_S = 10
"""Seconds analysed at a time, so that hours of silence need little memory and time."""
_CHUNK_MS = 10


@dataclass(frozen=True)
class Silence:
    """The silence at both ends of a sound. If all of it is silent, `lead_s` is its whole length and `tail_s` is 0."""

    lead_s: float
    """Seconds before the first sound, in steps of 10 ms."""
    tail_s: float
    """Seconds after the last sound, in steps of 10 ms."""


def find_silence(sound: Sound, threshold_dbfs: float = THRESHOLD_DBFS, *, check: Check = nothing) -> Silence:
    """Measure the silence at both ends of `sound`, where its loudness stays below `threshold_dbfs`.

    `check` is called once for every `BLOCK_S` seconds; its exceptions propagate.
    """
    lead = _leading_silence(sound.waveform, sound.sample_rate, threshold_dbfs, check)
    rest = sound.waveform[:, lead:]
    tail = _leading_silence(rest[:, ::-1], sound.sample_rate, threshold_dbfs, check)
    if tail == rest.shape[1]:
        # Silence throughout, or a click so short that, backwards, it is split between two chunks.
        tail = 0
    return Silence(lead / sound.sample_rate, tail / sound.sample_rate)


def cut_silence(
    sound: Sound, threshold_dbfs: float = THRESHOLD_DBFS, keep_s: float = KEEP_S, *, check: Check = nothing
) -> Sound:
    """`sound` without the silence at its ends, except for `keep_s` seconds of it on either side.

    Shares memory with `sound`. Raises `AudioError` if all of it is below `threshold_dbfs`; exceptions of `check`
    propagate.
    """
    silence = find_silence(sound, threshold_dbfs, check=check)
    if silence.lead_s >= sound.duration_s:
        raise AudioError(
            f"There is no sound above {threshold_dbfs:g} dBFS in these {sound.duration_s:.2f} s. "
            "Use a louder sound, lower the threshold, or do not cut silence."
        )
    lead = round(max(0.0, silence.lead_s - keep_s) * sound.sample_rate)
    tail = round(max(0.0, silence.tail_s - keep_s) * sound.sample_rate)
    return sound.part(lead, sound.samples - tail)


def _leading_silence(waveform: np.ndarray, sample_rate: int, threshold_dbfs: float, check: Check) -> int:
    """Samples before the first sound in `waveform`, ``[channels, samples]``; all of them if there is none."""
    samples = waveform.shape[1]
    peak = 10 ** (threshold_dbfs / 20)
    for start in range(0, samples, BLOCK_S * sample_rate):
        check()
        block = waveform[:, start : start + BLOCK_S * sample_rate]
        if np.abs(block).max() < peak:
            continue  # the RMS of a chunk cannot exceed its largest sample
        segment = to_segment(block, sample_rate)
        silent_ms = load_pydub().detect_leading_silence(segment, threshold_dbfs, _CHUNK_MS)
        if silent_ms < len(segment):
            return start + silent_ms * sample_rate // 1000
    return samples
