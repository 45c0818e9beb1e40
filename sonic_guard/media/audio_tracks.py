"""Silence, and the audio tracks of a file: Sonic would animate an hour of it without a word.

Cameras and screen recorders write several tracks; the first, which ComfyUI's Load Audio takes, may be an empty one.
"""

import os
from dataclasses import dataclass

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError

from ..errors import AudioError
from ..plain_files import printable
from .audio import Sound
from .audio_file import COUNT_LIMIT_S, READABLE_FORMATS, TrackChoice, open_sound, samples_of, track_of
from .cancellation import Check, deadline
from .containers import opened
from .silence import BLOCK_S, THRESHOLD_DBFS

AUDIBLE = 10 ** (THRESHOLD_DBFS / 20)
"""Largest sample, full scale 1, below which a sound counts as silent: its loudness cannot exceed that."""
MAX_TITLE = 40
"""Most characters of a track's title."""


@dataclass(frozen=True)
class Track:
    """An audio track of a file."""

    number: int
    """1 is the first, the one that Load Audio takes."""
    title: str = ""
    """Its title or language in the file, in one line; often empty."""


@dataclass(frozen=True)
class Hearing:
    """What can be heard in a track of a file, and where else, if it is silent."""

    track: int
    silent: bool
    """Whether nothing in the track reaches `AUDIBLE`."""
    tracks: int
    """Audio tracks in the file."""
    voices: tuple[Track, ...] = ()
    """If the track is silent: those of the others that are not."""


def is_silent(sound: Sound) -> bool:
    """Whether nothing in `sound` reaches `AUDIBLE`, as Sonic hears it: the mean of its channels."""
    block = BLOCK_S * sound.sample_rate
    return not any(_is_audible(sound.waveform[:, at : at + block].T) for at in range(0, sound.samples, block))


def listen(path: str | os.PathLike[str], track: TrackChoice = 1, *, check: Check | None = None) -> Hearing:
    """Whether `track` of the file `path` is silent; decodes all tracks until something is heard in it.

    With a voice that is a few packets, with silence the whole file. `check` is called before every packet; without it,
    `SlowFileError` is raised after `audio_file.COUNT_LIMIT_S`. Raises `AudioError` as `audio_file.load` does.
    """
    check = check or deadline(path, COUNT_LIMIT_S)
    with opened(path, AudioError, "a sound file", check) as source, open_sound(source, source) as container:
        streams, wanted = container.streams.audio, track_of(container, track, source.name)
        heard = _heard(container, wanted, check)
        silent = wanted.index not in heard
        voices = [
            Track(number, _title(stream))
            for number, stream in enumerate(streams, 1)
            if silent and stream.index in heard
        ]
        number = next(number for number, stream in enumerate(streams, 1) if stream.index == wanted.index)
        return Hearing(number, silent, len(streams), tuple(voices))


def _heard(container: InputContainer, wanted: AudioStream, check: Check) -> set[int]:
    """Indices of the streams in which something is heard, up to the moment when it is in the `wanted` one."""
    heard: set[int] = set()
    decoded = [stream for stream in container.streams.audio if stream.codec_context is not None]
    for packet in container.demux(*decoded):
        check()
        if packet.stream_index in heard:
            continue
        try:
            frames = packet.decode()
        except FFmpegError:
            continue  # `audio_file.load` leaves it out, or refuses the track
        if any(isinstance(frame, AudioFrame) and _is_voice(frame) for frame in frames):
            heard.add(packet.stream_index)
            if packet.stream_index == wanted.index:
                break
    return heard


def _is_voice(frame: AudioFrame) -> bool:
    return frame.format.name in READABLE_FORMATS and _is_audible(samples_of(frame))


def _is_audible(samples: np.ndarray) -> bool:
    """Whether the mean of the channels of `samples`, ``[samples, channels]``, reaches `AUDIBLE` anywhere."""
    return bool(samples.size) and float(np.abs(samples.mean(axis=1)).max()) >= AUDIBLE


def _title(stream: AudioStream) -> str:
    tags = stream.metadata
    text = tags.get("title") or tags.get("language") or ""
    return "" if text == "und" else printable(text[:MAX_TITLE])
