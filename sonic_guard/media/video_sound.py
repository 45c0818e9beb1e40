"""The audio stream of a video that is being written: the sound is encoded up to the latest picture."""

from fractions import Fraction
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.codec import Codec
from av.packet import Packet

from .audio import Sound

FALLBACK_HZ = 48_000
"""Sound is resampled to this rate if the encoder does not support its own."""
AAC_BITS = 96_000
"""Bits per second and channel: transparent for speech."""
_SURROUND = {3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""The usual layout for a number of channels: an AUDIO does not name its own."""


class SoundTrack:
    """The sound of a video, encoded up to the latest picture. Mono or stereo; more channels are mixed down."""

    def __init__(self, container: Any, sound: Sound, encoder: str, sample_format: str, fps: Fraction) -> None:
        """Add a stream for `sound` to the PyAV `container`; `encoder` and `sample_format` are libav's names."""
        self._sound, self._fps = sound, fps
        self._layout = "stereo" if sound.channels == 2 or sound.channels in _SURROUND else "mono"
        self._stream = audio_stream(container, encoder, sound.sample_rate, self._layout, sample_format)
        self._done = 0
        """Samples encoded so far."""

    def until(self, frames: int) -> list[Packet]:
        """Packets of the sound up to the end of picture number `frames`, to the nearest sample."""
        rate = self._sound.sample_rate
        stop = (2 * frames * rate * self._fps.denominator + self._fps.numerator) // (2 * self._fps.numerator)
        if stop == self._done:
            return []
        samples = self._sound.waveform[:, self._done : stop]
        if not samples.size:
            samples = np.zeros((2 if self._layout == "stereo" else 1, 0), np.float32)  # the sound has ended
        elif len(samples) in _SURROUND:
            samples = _in_stereo(samples, rate)
        elif len(samples) > 2:
            samples = samples.mean(axis=0, keepdims=True)
        missing = stop - self._done - samples.shape[1]
        block = np.pad(samples, ((0, 0), (0, missing))) if missing else samples
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, self._done, Fraction(1, rate)
        self._done = stop
        return self._stream.encode(frame)

    def flush(self) -> list[Packet]:
        """The packets that the encoder still holds."""
        return self._stream.encode(None)


def audio_stream(container: Any, encoder: str, rate: int, layout: str, sample_format: str) -> Any:
    """A new audio stream of the PyAV `container`, at `rate` Hz if the encoder takes it; `layout`: mono or stereo."""
    rates = Codec(encoder, "w").audio_rates
    taken = rate if not rates or rate in rates else FALLBACK_HZ
    stream = container.add_stream(encoder, rate=taken, layout=layout, format=sample_format)
    if encoder == "aac":
        stream.bit_rate = AAC_BITS * (2 if layout == "stereo" else 1)
    return stream


def _in_stereo(samples: np.ndarray, rate: int) -> np.ndarray:
    """Surround sound [channels, samples] mixed down by libav: [2, samples]."""
    mixer = AudioResampler(format="fltp", layout="stereo", rate=rate)
    interleaved = np.ascontiguousarray(samples.T).reshape(1, -1)
    frame = AudioFrame.from_ndarray(interleaved, format="flt", layout=_SURROUND[len(samples)])
    frame.sample_rate = rate
    mixed = [part.to_ndarray() for part in (*mixer.resample(frame), *mixer.resample(None))]
    return np.concatenate(mixed, axis=1).clip(-1, 1)
