"""Sound files through PyAV: `probe` counts, `load` decodes. No ffmpeg program, no subprocess.

Both give what ComfyUI's Load Audio gives: the first audio stream, every frame the decoder yields, no resampling.
Headers are not asked how long the sound is. Damaged packets are left out, as ffmpeg does, and the log says so.
"""

import io
import logging
import math
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError

from ..errors import AudioError
from . import mp3
from .audio import Sound, SoundInfo, check_finite

log = logging.getLogger(__name__)

BUFFER_GROWTH = 1.25
"""Factor by which the buffer of a sound of unknown length grows: at most a quarter more memory than the sound."""


def probe(path: str | os.PathLike[str]) -> SoundInfo:
    """Count the samples in the sound file `path`; equal to what `load` decodes.

    Long MP3s are counted without decoding their middle (see `mp3.shorten`), everything else is decoded, at some
    thousandths of its duration and in constant memory.
    Raises `AudioError` if there is no such file, no sound in it, or nothing that can be decoded.
    """
    file = _existing(path)
    with _opened(str(file), file.name) as (container, stream):
        if container.format.name != "mp3":
            return _count(container, stream, file.name)
    with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        shortened = mp3.shorten(data)  # pyright: ignore[reportArgumentType]  # a mmap slices and searches like bytes
    source = io.BytesIO(shortened.data) if shortened else str(file)
    with _opened(source, file.name) as (container, stream):
        return _count(container, stream, file.name, known=shortened.samples_left_out if shortened else 0)


def load(path: str | os.PathLike[str], limit_s: float = math.inf) -> Sound:
    """Decode the sound file `path`, at most its first `limit_s` seconds (rounded to the nearest sample).

    `limit_s` is above zero. Memory: 4 bytes a sample and channel, at times a quarter more.
    Raises `AudioError` as `probe` does, and for NaN or infinite samples.
    """
    file = _existing(path)
    with _opened(str(file), file.name) as (container, stream):
        frames = _frames(container, stream, file.name)
        first = next(frames)
        limit = round(limit_s * first.sample_rate) if math.isfinite(limit_s) else math.inf
        buffer = _Buffer(first.layout.nb_channels)
        buffer.append(_samples(first))
        while buffer.samples < limit and (frame := next(frames, None)):
            buffer.append(_samples(frame))
        sound = Sound(buffer.waveform(), first.sample_rate)
    if sound.samples > limit:
        sound = sound.part(0, int(limit))
    check_finite(sound, file.name)
    return sound


def _existing(path: str | os.PathLike[str]) -> Path:
    # Absolute, because libav takes the start of a name such as "take:2.mp3" for a protocol.
    file = Path(path).absolute()
    if not file.exists():
        raise AudioError(f"{file}: there is no such file. Check the path.")
    if not file.is_file():
        raise AudioError(f"{file}: this is a folder, not a sound file.")
    if file.stat().st_size == 0:
        raise AudioError(f"{file.name}: the file is empty (0 bytes). Copy or export it again.")
    return file


_ODD_TAGS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Tags in old 8-bit encodings are common and of no interest here. From 19 on PyAV reads them without being told."""


@contextmanager
def _opened(source: str | io.BytesIO, name: str) -> Iterator[tuple[InputContainer, AudioStream]]:
    """The container and its first audio stream; libav's errors become `AudioError`s about `name`."""
    try:
        kind = "mp3" if isinstance(source, io.BytesIO) else None  # a shortened file has no name to tell
        with av.open(source, "r", format=kind, **_ODD_TAGS) as container:
            if not container.streams.audio:
                raise AudioError(f"{name}: there is no sound in this file. Use a sound file or a video with sound.")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise AudioError(f"{name}: its sound format is unknown to PyAV. Convert it to WAV, FLAC or MP3.")
            yield container, stream
    except FFmpegError as error:
        raise AudioError(
            f"{name}: cannot be read as a sound ({error.strerror}). It is damaged, cut off, or not a sound file; "
            "play it to check, then export it again as WAV, FLAC or MP3."
        ) from error


def _count(container: InputContainer, stream: AudioStream, name: str, known: int = 0) -> SoundInfo:
    """Decode and count; `known` samples are counted already."""
    frames = _frames(container, stream, name)
    first = next(frames)
    samples = known + first.samples + sum(frame.samples for frame in frames)
    codec = stream.codec_context.codec.canonical_name
    return SoundInfo(samples, first.sample_rate, first.layout.nb_channels, codec)


def _frames(container: InputContainer, stream: AudioStream, name: str) -> Iterator[AudioFrame]:
    """The frames of `stream`: at least one, none empty, all of one sample rate and number of channels."""
    kind: tuple[int, int] | None = None
    for frame in _decoded(container, stream, name):
        if frame.samples == 0:
            continue
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        if kind is None:
            kind = rate, channels
        if kind != (rate, channels):
            raise AudioError(
                f"{name}: the file mixes sound of {kind[0]} Hz, {kind[1]} ch and of {rate} Hz, {channels} ch. "
                "Convert it to a WAV or FLAC of one kind."
            )
        yield frame
    if kind is None:
        raise AudioError(f"{name}: there is not a single sample of sound in this file. Export it again.")


def _decoded(container: InputContainer, stream: AudioStream, name: str) -> Iterator[AudioFrame]:
    """Everything the decoder yields; packets it cannot make sense of are left out."""
    damaged = 0
    for packet in container.demux(stream):
        try:
            frames = stream.decode(packet)
        except InvalidDataError:
            damaged += 1
        else:
            yield from frames
    if damaged:
        log.warning("%s: %d damaged packets were left out.", name, damaged)


def _samples(frame: AudioFrame) -> np.ndarray:
    """The frame as float32 ``[samples, channels]``, full scale ±1."""
    data = frame.to_ndarray()
    data = data.T if frame.format.is_planar else data.reshape(-1, frame.layout.nb_channels)
    if data.dtype.kind == "f":
        return data
    half = 2.0 ** (8 * data.dtype.itemsize - 1)
    if data.dtype.kind == "u":  # 8-bit sound is the unsigned one: silence is 128
        return (data - half) / half
    return data / half


class _Buffer:
    """Samples of a sound whose length shows at its end, without ever holding two copies of it."""

    def __init__(self, channels: int) -> None:
        self.samples = 0
        self._data = np.empty((0, channels), np.float32)

    def append(self, block: np.ndarray) -> None:
        """Add `block`, ``[samples, channels]``."""
        end = self.samples + len(block)
        if end > len(self._data):
            self._resize(max(end, math.ceil(len(self._data) * BUFFER_GROWTH)))
        self._data[self.samples : end] = block
        self.samples = end

    def waveform(self) -> np.ndarray:
        """All samples, ``[channels, samples]``."""
        self._resize(self.samples)
        return self._data.T

    def _resize(self, samples: int) -> None:
        # In place; no view of the data exists before waveform() makes one.
        self._data.resize((samples, self._data.shape[1]), refcheck=False)
