"""Puts pictures that are encoded already, and the sound of the source, into one file: packets are copied."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from ..media.footage import Footage, packets_of
from ..media.sound_copy import SoundCopy
from ..media.video_contents import pictures_of
from ..media.video_writer import Encoding, Output
from .segments import Segment

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""libav's name of the container of a file, by its suffix."""
_TAKES = {
    "mp4": frozenset(("h264", "hevc", "av1", "vp9", "mpeg4")),
    "mov": frozenset(("h264", "hevc", "prores", "mjpeg", "dnxhd", "mpeg4")),
}
"""libav's names of the video codecs whose packets players read from a container; Matroska takes any."""


_KEEP_ORDER = frozenset(("mov", "matroska"))
"""Containers whose packets go into another one without being changed: those of MPEG streams have no header."""


class Timed(NamedTuple):
    """A packet of the result."""

    stream: Any
    """Where it comes from, with its codec."""
    packet: Any
    seconds: float
    """When its picture is shown."""


def can_copy(footage: Footage, target: Path) -> bool:
    """Whether the packets of `footage` go into the file `target` as they are."""
    container = CONTAINERS[target.suffix.lower()]
    takes_codec = footage.codec in _TAKES.get(container, (footage.codec,))
    return footage.has_times and footage.container in _KEEP_ORDER and takes_codec


def assemble(
    footage: Footage,
    segments: Sequence[Segment],
    target: Path,
    *,
    time_base: Fraction,
    sound_shift_s: Fraction,
    encoding: Encoding,
    overwrite: bool,
    check: Callable[[], None],
) -> tuple[str, ...]:
    """Write the pictures of `segments`, or, if there are none, those of `footage` itself, with its sound into `target`.

    `time_base` is that of the segments' starts, in seconds. The first picture of the result is at 0 s. Returns the
    codecs of the audio tracks that had to be encoded again. Raises `OutputError`, `FootageError`.
    """
    start_s = footage.moments[0] * footage.time_base
    kind = encoding.kind._replace(container=CONTAINERS[target.suffix.lower()], suffix=target.suffix)
    output = Output(target, kind, footage.rate, overwrite=overwrite, tags=footage.tags)
    with SoundCopy(footage.path, sound_shift_s - start_s, check) as sound, output:
        stream: Any = None
        for each in _encoded(segments, time_base) if segments else _own(footage, check):
            check()
            if stream is None:
                stream = output.container.add_stream_from_template(each.stream, opaque=True)
                sound.add_to(output.container, kind)
            each.packet.stream = stream
            output.frames += 1
            output.mux([each.packet])
            output.mux(sound.until(each.seconds))
        for packets in sound.rest():
            output.mux(packets)
    return sound.encoded_again


def _own(footage: Footage, check: Callable[[], None]) -> Iterator[Timed]:
    """The packets of the source, moved so that the first picture is at 0."""
    with packets_of(footage, check) as (packets, stream):
        for packet in packets:
            packet.pts -= footage.moments[0]
            if packet.dts is not None:
                packet.dts -= footage.moments[0]
            yield Timed(stream, packet, float(packet.pts * packet.time_base))


def _encoded(segments: Sequence[Segment], time_base: Fraction) -> Iterator[Timed]:
    """The packets of all segments, each picture at its own time, with decoding times that ascend."""
    shown = [_moments(segment, time_base) for segment in segments]
    moments = sorted(moment for each in shown for moment in each)
    depth = max(_depth(each) for each in shown)
    step = moments[1] - moments[0] if len(moments) > 1 else 1
    place = {moment: number for number, moment in enumerate(moments)}
    decoded = 0
    for segment, times in zip(segments, shown, strict=True):
        with pictures_of(segment.path) as (container, stream):
            whole = (packet for packet in container.demux(stream) if packet.size)
            for packet, moment in zip(whole, times, strict=True):
                number, early = place[moment], decoded - depth
                packet.pts, packet.time_base = moment, time_base
                packet.dts = moments[early] if early >= 0 else moments[0] + early * step
                packet.duration = moments[number + 1] - moment if number + 1 < len(moments) else step
                decoded += 1
                yield Timed(stream, packet, float(moment * time_base))


def _moments(segment: Segment, time_base: Fraction) -> list[int]:
    """When the pictures of a segment are shown, in the order of their packets, in units of `time_base`."""
    with pictures_of(segment.path) as (container, stream):
        times = [packet.pts for packet in container.demux(stream) if packet.size]
        unit = stream.time_base / time_base
    return [segment.start + round(time * unit) for time in times]


def _depth(moments: Sequence[int]) -> int:
    """The number of packets by which a picture is decoded before it is shown, at most."""
    place = {moment: number for number, moment in enumerate(sorted(moments))}
    return max(decoded - place[moment] for decoded, moment in enumerate(moments))
