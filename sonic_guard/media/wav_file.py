"""Writes a sound as a lossless WAV file: 32-bit floating point, any rate, any number of channels, any size."""

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
"""Samples per channel that are interleaved at a time, so that the sound is not held in memory twice."""


def write_wav(target: Path, sound: Sound) -> None:
    """Write `sound` to the file `target`, which is replaced if it exists.

    Above 4 GiB, the limit of a WAV's 32-bit sizes, it is an RF64, which libsndfile and libav read like a WAV.
    Raises `OutputError` if the file cannot be written, for example on a full disk; no partial file is left.
    """
    container: Any = None
    try:
        with errors_about(target):
            container = av.open(str(target.absolute()), "w", format="wav", options={"rf64": "auto"})
            _fill(container, sound)
            container.close()
    except BaseException:
        with suppress(OSError, FFmpegError):  # the first error is the one to report
            if container is not None:
                container.close()
        discard(target)
        raise


def _fill(container: Any, sound: Sound) -> None:
    layout = f"{sound.channels} channels"  # an AUDIO does not assign its channels to loudspeakers
    stream = container.add_stream("pcm_f32le", rate=sound.sample_rate, layout=layout)
    container.start_encoding()  # writes the header even for a sound without samples
    for start in range(0, sound.samples, BLOCK):
        block = np.ascontiguousarray(sound.waveform[:, start : start + BLOCK].T, np.float32)
        frame = AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = sound.sample_rate, start, Fraction(1, sound.sample_rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
