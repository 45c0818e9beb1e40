"""Sound files through PyAV: `probe` counts samples, `load` decodes them. No ffmpeg program is needed.

Both agree with ComfyUI's Load Audio: the first audio track unless another is chosen, every frame the decoder yields, no
resampling. Only `claimed` uses the length in the header. Damaged packets are left out, as in ffmpeg, with a warning in
the log; Load Audio refuses such a file, see `SoundInfo.refusal`.
"""

import logging
import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition

from ..errors import AudioError
from ..job import MAX_DURATION_S
from . import mp3_frames
from .audio import MAX_CHANNELS, MAX_RATE, MIN_RATE, Refusal, Sound, SoundInfo, check_finite
from .byte_source import Content
from .cancellation import Check, deadline
from .containers import Allowed, Source, demuxed, has_odd_tags, opened, sound_decoders

log = logging.getLogger(__name__)

BUFFER_GROWTH = 1.25
"""Growth factor of the buffer for a sound of unknown length: at most a quarter more memory than the sound."""
READABLE_FORMATS = frozenset(("u8", "s16", "s32", "flt", "dbl", "u8p", "s16p", "s32p", "fltp", "dblp"))
"""libav's sample formats that PyAV converts to numpy: all but 64-bit whole numbers."""
COUNT_LIMIT_S = 600.0
"""Default time limit of an exact count; an hour of sound takes some seconds."""


class Pick(StrEnum):
    """How programs choose one of a file's audio tracks."""

    LAST = "last"
    """The last that can be decoded: the sound of a ComfyUI VIDEO, in versions that can trim one."""
    FFMPEG = "ffmpeg"
    """The one marked as default, else that with the most channels, else the first: the command ffmpeg, which
    VideoHelperSuite runs."""


TrackChoice: TypeAlias = int | Pick
"""A track by its number, 1 is the first, or how to choose one."""


def probe(path: str | os.PathLike[str], *, track: TrackChoice = 1, check: Check | None = None) -> SoundInfo:
    """Count the samples in a track of the sound file `path`; equal to what `load` decodes.

    The middle of a long MP3 is counted without decoding it (see `mp3_frames.shorten`). Everything else is decoded,
    in a few thousandths of its duration and in constant memory.

    `check` is called before every packet; its exceptions propagate. Without it, `SlowFileError` is raised after
    `COUNT_LIMIT_S`. Raises `AudioError` if the file does not exist, has no sound or no such `track` (1 is the first),
    cannot be decoded, or is longer than `job.MAX_DURATION_S`.
    """
    with _source(path, check) as source:
        with _opened(source, source, track=track) as (container, stream):
            if container.format.name != "mp3":
                return _count(container, stream, source)
        shortened = mp3_frames.shorten(source)
        content, known = shortened or (source, 0)
        with _opened(content, source, "mp3") as (container, stream):  # a shortened file does not begin as one
            return _count(container, stream, source, known)


def claimed(path: str | os.PathLike[str], *, track: TrackChoice = 1, check: Check | None = None) -> SoundInfo:
    """The length stated in the header of the sound file `path`, which may be wrong; for files too long for `probe`.

    Raises `AudioError` as `probe` does, and if the header states no length.
    """
    with _source(path, check) as source, _opened(source, source, track=track) as (container, stream):
        length = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        if length is None and container.duration:
            length = container.duration / 1_000_000
        if not length or length < 0:
            raise AudioError(f"{source.name}: its header does not say how long it is. Convert it to WAV.")
        context = stream.codec_context
        _check_kind(context.sample_rate, context.channels, source.name)
        if length > MAX_DURATION_S:
            raise _too_long(source.name)
        samples = max(1, round(length * context.sample_rate))
        return SoundInfo(samples, context.sample_rate, context.channels, context.codec.canonical_name, counted=False)


def load(
    path: str | os.PathLike[str], limit_s: float = math.inf, *, track: TrackChoice = 1, check: Check | None = None
) -> Sound:
    """Decode a track of the sound file `path`, at most its first `limit_s` seconds (rounded to the nearest sample).

    `limit_s` is above zero. Memory: 4 bytes per sample and channel, and up to a quarter more while decoding.
    Raises `AudioError` and `SlowFileError` as `probe` does, and `AudioError` for NaN or infinite samples.
    """
    with _source(path, check) as source, _opened(source, source, track=track) as (container, stream):
        frames = _frames(container, stream, source, _Damage())
        first = next(frames)
        limit = round(limit_s * first.sample_rate) if math.isfinite(limit_s) else math.inf
        buffer = _Buffer(first.layout.nb_channels)
        buffer.append(samples_of(first))
        while buffer.samples < limit and (frame := next(frames, None)):
            buffer.append(samples_of(frame))
        sound = Sound(buffer.waveform(), first.sample_rate)
    if sound.samples > limit:
        sound = sound.part(0, int(limit))
    check_finite(sound, source.name)
    return sound


def _source(path: str | os.PathLike[str], check: Check | None) -> AbstractContextManager[Source]:
    return opened(path, AudioError, "a sound file", check or deadline(path, COUNT_LIMIT_S))


def track_of(container: InputContainer, track: TrackChoice, name: str) -> AudioStream:
    """An audio stream of the file `name`, which has some. Raises `AudioError` where there is none of that number."""
    streams = container.streams.audio
    if isinstance(track, Pick):
        decodable = [stream for stream in streams if stream.codec_context is not None] or streams
        return decodable[-1] if track is Pick.LAST else max(decodable, key=_rank_of_ffmpeg)
    if not 1 <= track <= len(streams):
        raise AudioError(f"{name}: there is no track {track}. Choose one from 1 to {len(streams)}.")
    return streams[track - 1]


def _rank_of_ffmpeg(stream: AudioStream) -> tuple[bool, int]:
    context = stream.codec_context
    return bool(stream.disposition & Disposition.default), context.channels if context else 0


@contextmanager
def _opened(
    content: Content, source: Source, kind: str | None = None, *, track: TrackChoice = 1
) -> Iterator[tuple[InputContainer, AudioStream]]:
    """The container in `content` and one of its audio streams; libav's errors become `AudioError`s about `source`."""
    name = source.name
    with open_sound(content, source, kind) as container:
        stream = track_of(container, track, name)
        if stream.codec_context is None:
            raise AudioError(f"{name}: its sound format is unknown to PyAV. Convert it to WAV, FLAC or MP3.")
        yield container, stream


@contextmanager
def open_sound(content: Content, source: Source, kind: str | None = None) -> Iterator[InputContainer]:
    """The container in `content`, which has an audio stream; libav's errors become `AudioError`s about `source`."""
    name = source.name
    try:
        with demuxed(content, name, AudioError, Allowed(sound_decoders()), kind) as container:
            if not container.streams.audio:
                raise AudioError(f"{name}: there is no sound in this file. Use a sound file or a video with sound.")
            yield container
    except FFmpegError as error:
        raise AudioError(
            f"{name}: cannot be read as a sound ({error.strerror}). It is damaged, cut off, or not a sound file; "
            "play it to check, then export it again as WAV, FLAC or MP3."
        ) from error


def _count(container: InputContainer, stream: AudioStream, source: Source, known: int = 0) -> SoundInfo:
    """Decode and count, starting from `known` samples."""
    damage = _Damage()
    frames = _frames(container, stream, source, damage)
    first = next(frames)
    samples, most = known + first.samples, MAX_DURATION_S * first.sample_rate
    for frame in frames:
        samples += frame.samples
        if samples > most:
            raise _too_long(source.name)
    codec = stream.codec_context.codec.canonical_name
    return SoundInfo(
        samples, first.sample_rate, first.layout.nb_channels, codec, refusal=_refusal(container, first, damage)
    )


@dataclass
class _Damage:
    packets: int = 0
    """Packets that the decoder has rejected."""


def _refusal(container: InputContainer, frame: AudioFrame, damage: _Damage) -> Refusal | None:
    """Why Load Audio will not read a file with such a `frame`."""
    if has_odd_tags(container):
        return Refusal.OLD_TAGS
    if damage.packets:
        return Refusal.DAMAGED
    return Refusal.EIGHT_BITS if frame.format.name in ("u8", "u8p") else None


def _frames(container: InputContainer, stream: AudioStream, source: Source, damage: _Damage) -> Iterator[AudioFrame]:
    """The frames of `stream`: at least one, none empty, all of one sample rate and number of channels."""
    kind: tuple[int, int] | None = None
    name = source.name
    for frame in _decoded(container, stream, source, damage):
        if frame.samples == 0:
            continue
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        if kind is None:
            kind = rate, channels
            _check_kind(rate, channels, name)
            if frame.format.name not in READABLE_FORMATS:
                raise AudioError(f"{name}: its samples are {frame.format.name}, which PyAV does not read. Convert it.")
        if kind != (rate, channels):
            raise AudioError(
                f"{name}: the file mixes sound of {kind[0]} Hz, {kind[1]} ch and of {rate} Hz, {channels} ch. "
                "Convert it to a WAV or FLAC of one kind."
            )
        yield frame
    if kind is None:
        raise AudioError(f"{name}: there is not a single sample of sound in this file. Export it again.")


def _check_kind(rate: int, channels: int, name: str) -> None:
    """Raise `AudioError` for a sample rate or a number of channels outside the accepted range."""
    if not MIN_RATE <= rate <= MAX_RATE:  # libav decodes 1/25 s at a time: at 1 Hz 50 MB take a minute
        raise AudioError(
            f"{name}: its sample rate of {rate} Hz is outside {MIN_RATE:,} … {MAX_RATE:,} Hz. Convert it to 44,100 Hz."
        )
    if channels > MAX_CHANNELS:
        raise AudioError(f"{name}: {channels} channels are more than {MAX_CHANNELS}. Convert it to stereo.")


def _too_long(name: str) -> AudioError:
    return AudioError(f"{name}: the sound is longer than {MAX_DURATION_S // 3600:.0f} hours. Cut it.")


def _decoded(container: InputContainer, stream: AudioStream, source: Source, damage: _Damage) -> Iterator[AudioFrame]:
    """Everything the decoder yields; packets that it rejects are left out, and counted in `damage`."""
    for packet in container.demux(stream):
        source.check()
        try:
            frames = stream.decode(packet)
        except InvalidDataError:
            damage.packets += 1
        else:
            yield from frames
    if damage.packets:
        log.warning("%s: damaged packets were left out: %d.", source.name, damage.packets)


def samples_of(frame: AudioFrame) -> np.ndarray:
    """The frame as float32 ``[samples, channels]``, full scale ±1."""
    data = frame.to_ndarray()
    data = data.T if frame.format.is_planar else data.reshape(-1, frame.layout.nb_channels)
    if data.dtype.kind == "f":
        return data
    half = 2.0 ** (8 * data.dtype.itemsize - 1)
    if data.dtype.kind == "u":  # 8-bit sound is unsigned: silence is 128
        return (data - half) / half
    return data / half


class _Buffer:
    """A growing buffer for a sound of unknown length that never holds two copies of it."""

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
        # In place: no view of the data exists before waveform() makes one.
        self._data.resize((samples, self._data.shape[1]), refcheck=False)
