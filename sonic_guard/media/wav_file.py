"""Write a sound as a WAV file that loses nothing: 32-bit floating point, any rate, any number of channels, any size."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.error import FFmpegError

from ..atomic_files import discard, errors_about
from .audio import Sound

BLOCK = 1 << 16
"""Samples a channel that are interleaved at a time: the sound is not held in memory twice."""


def write_wav(target: Path, sound: Sound) -> None:
    """Put `sound` into the file `target`, which is replaced if it is there.

    Above 4 GiB, where a WAV's 32-bit sizes end, it is an RF64, which libsndfile and libav read as they read a WAV.
    Raises `OutputError` where the disk is full or the folder takes no file; no part of a file is left then.
    """
    container: Any = None
    try:
        with errors_about(target):
            container = av.open(str(target.absolute()), "w", format="wav", options={"rf64": "auto"})
            _fill(container, sound)
            container.close()
    except BaseException:
        with suppress(OSError, FFmpegError):  # the error that is on its way is the one to tell
            if container is not None:
                container.close()
        discard(target)
        raise


def _fill(container: Any, sound: Sound) -> None:
    layout = f"{sound.channels} channels"  # which loudspeaker each is for, a WAVEFORM does not say
    stream = container.add_stream("pcm_f32le", rate=sound.sample_rate, layout=layout)
    container.start_encoding()  # a sound without samples has a header too
    for start in range(0, sound.samples, BLOCK):
        block = np.ascontiguousarray(sound.waveform[:, start : start + BLOCK].T, np.float32)
        frame = AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = sound.sample_rate, start, Fraction(1, sound.sample_rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
