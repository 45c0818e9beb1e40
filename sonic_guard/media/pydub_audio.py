"""pydub, which finds silence: imported when needed, and given 32-bit samples."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

_FULL_SCALE = 2**31 - 1


class Pydub(NamedTuple):
    """What this package uses of pydub."""

    segment: type[Any]
    """`pydub.AudioSegment`."""
    detect_leading_silence: Callable[..., int]
    detect_silence: Callable[..., list[list[int]]]


@cache
def load_pydub() -> Pydub:
    """pydub, imported without its warnings: it misses an ffmpeg program, which nothing here needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
        from pydub.silence import detect_leading_silence, detect_silence
    return Pydub(AudioSegment, detect_leading_silence, detect_silence)


def to_segment(waveform: np.ndarray, sample_rate: int) -> Any:
    """`waveform`, float ``[channels, samples]`` in -1 … 1, as an `AudioSegment`.

    32-bit samples, because pydub rounds loudness to whole steps, and in 16 bits -80 dBFS is three steps.
    """
    pcm = (np.clip(waveform.T, -1.0, 1.0).astype(np.float64) * _FULL_SCALE).astype(np.int32).tobytes()
    return load_pydub().segment(data=pcm, sample_width=4, frame_rate=sample_rate, channels=waveform.shape[0])
