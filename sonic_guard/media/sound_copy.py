"""The audio tracks of a video in another file: their packets as they are, or encoded again where these do not go in.

Packets are read as the pictures before them are written, so that memory does not grow with the length.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from av.audio.resampler import AudioResampler
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet

from ..errors import FootageError
from .cancellation import Check, nothing
from .containers import Allowed, demuxed, opened, sound_decoders
from .video_sound import audio_stream
from .video_writer import Format

_TAKES = {
    "mp4": frozenset(("aac", "mp3", "ac3", "eac3", "alac", "flac", "opus")),
    "mov": frozenset(("aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be")),
}
"""libav's names of the codecs whose packets players read from a container; Matroska takes any."""
_FROM_ZERO = frozenset(("matroska",))
"""Containers without times below 0: libav would move the pictures instead. The others hide them by an edit list."""


class SoundCopy:
    """The audio tracks of a file, for a container that is being written; a context manager."""

    def __init__(self, source: Path, shift_s: Fraction = Fraction(0), check: Check = nothing) -> None:
        """Read from the video `source`; every time is moved by `shift_s` seconds, later if positive."""
        self._source, self._shift_s, self._check = source, shift_s, check
        self._stack = ExitStack()
        self._packets: Iterator[tuple[float, list[Packet]]] = iter(())
        self._next: tuple[float, list[Packet]] | None = None
        self.encoded_again: tuple[str, ...] = ()
        """Codecs of the tracks that do not go into the container as they are."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add_to(self, container: Any, kind: Format) -> None:
        """Add a stream for each track to the PyAV `container`, after the video stream, before the first packet."""
        source = self._stack.enter_context(opened(self._source, FootageError, "a video", self._check))
        given = self._stack.enter_context(demuxed(source, source.name, FootageError, Allowed(sound_decoders())))
        tracks = [stream for stream in given.streams.audio if stream.codec_context is not None]
        ways: dict[int, Callable[[Packet], list[Packet]]] = {}
        again = []
        for track in tracks:
            codec = track.codec_context.codec.canonical_name
            if codec in _TAKES.get(kind.container, (codec,)):
                ways[track.index] = _Copied(container, track, self._shift_s, kind)
            else:
                again.append(codec)
                ways[track.index] = _Encoded(container, track, self._shift_s, kind)
        self.encoded_again = tuple(again)
        self._packets = self._read(given, tracks, ways) if tracks else iter(())

    def until(self, seconds: float) -> list[Packet]:
        """The packets that begin before `seconds`."""
        ready: list[Packet] = []
        self._next = self._next or next(self._packets, None)
        while self._next and self._next[0] < seconds:
            ready += self._next[1]
            self._next = next(self._packets, None)
        return ready

    def rest(self) -> Iterator[list[Packet]]:
        """All packets that are left."""
        if self._next:
            yield self._next[1]
        for _, packets in self._packets:
            yield packets

    def _read(
        self, given: Any, tracks: list[Any], ways: dict[int, Callable[[Packet], list[Packet]]]
    ) -> Iterator[tuple[float, list[Packet]]]:
        """Packets for the new file, with the second at which they begin."""
        latest = 0.0
        try:
            for packet in given.demux(tracks):
                if packet.pts is not None:
                    latest = float(packet.pts * packet.time_base + self._shift_s)
                yield latest, ways[packet.stream.index](packet)
        except FFmpegError as error:
            raise FootageError(f"{self._source.name}: its sound cannot be read ({error.strerror}).") from error


class _Copied:
    def __init__(self, container: Any, track: Any, shift_s: Fraction, kind: Format) -> None:
        self._stream = container.add_stream_from_template(track, opaque=True)
        self._from_zero = kind.container in _FROM_ZERO
        self._offset = round(shift_s / track.time_base)

    def __call__(self, packet: Packet) -> list[Packet]:
        if not packet.size or packet.dts is None:  # the end of the file
            return []
        moment = (packet.dts if packet.pts is None else packet.pts) + self._offset
        packet.dts, packet.pts, packet.stream = packet.dts + self._offset, moment, self._stream
        return [] if self._from_zero and moment < 0 else [packet]


class _Encoded:
    def __init__(self, container: Any, track: Any, shift_s: Fraction, kind: Format) -> None:
        context = track.codec_context
        layout = "mono" if context.channels == 1 else "stereo"
        self._stream = audio_stream(container, kind.audio, context.sample_rate, layout, kind.samples)
        self._resampler = AudioResampler(format=kind.samples, layout=layout, rate=self._stream.rate)
        self._shift_s = shift_s
        self._from_zero = kind.container in _FROM_ZERO

    def __call__(self, packet: Packet) -> list[Packet]:
        try:
            frames = packet.decode()
        except InvalidDataError:
            return []
        made: list[Packet] = []
        for frame in [*frames, *([] if packet.size else [None])]:
            for part in self._resampler.resample(frame):
                shift = round(self._shift_s / (part.time_base or Fraction(1, part.sample_rate)))
                part.pts = moment = (part.pts or 0) + shift
                if moment >= 0 or not self._from_zero:
                    made += self._stream.encode(part)
        return made if packet.size else [*made, *self._stream.encode(None)]
