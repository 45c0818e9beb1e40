"""Anybody's video: what it is, and its pictures in the order in which they are shown, with the time of each.

`video_file` reads what this pack wrote; here the file may have any codec, a variable frame rate, a rotation tag, ten
bits, transparency, damage. Pictures are upright RGB of 8 bits. HDR is refused, because its brightness would be wrong.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from av.codec import Codec
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition
from av.video.frame import VideoFrame

from ..errors import FootageError
from .cancellation import Check, nothing
from .containers import CONTAINERS, Allowed, Source, demuxed, opened, sound_decoders
from .rgb_converter import RgbConverter

log = logging.getLogger(__name__)

MAX_PIXELS = 1 << 26
"""Most pixels of a picture: 8192 × 8192. Finishing holds up to some tens of pictures in memory."""
_DECODERS = (
    *("av1", "cfhd", "cinepak", "dnxhd", "dvvideo", "ffv1", "ffvhuff", "flv", "h261", "h263", "h263i", "h263p", "h264"),
    *("hevc", "huffyuv", "libaom-av1", "libdav1d", "libvpx", "libvpx-vp9", "magicyuv", "mjpeg", "mpeg1video"),
    *("mpeg2video", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "png", "prores", "qtrle", "rawvideo", "svq3"),
    *("theora", "utvideo", "v210", "vc1", "vp8", "vp9", "wmv1", "wmv2", "wmv3"),
)
"""libav's names of the video decoders that are used: what cameras, phones, editors and ComfyUI write."""
_OWN_TAGS = frozenset(("compatible_brands", "creation_time", "duration", "encoder", "major_brand", "minor_version"))
"""Tags that a file gets when it is written."""
_HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of HDR in the colour tags of streams (ITU-T H.273)."""
_LOST_S = 2.0
"""Seconds by which a header may be wrong about the length."""
_STEADY = 1e-3
"""Largest deviation of a frame's duration from the others', as a share, at a constant frame rate with exact times."""


class Trait(StrEnum):
    """What is not kept of a video when its pictures are written again. Each has a text in `finish_texts`."""

    DEEP = "deep"
    """More than 8 bits a channel."""
    ALPHA = "alpha"
    """Transparency."""
    CUT_OFF = "cut off"
    """What its header says there is beyond the last picture and the last sound."""


@dataclass(frozen=True)
class Footage:
    """A video file, opened and counted, not decoded."""

    path: Path
    width: int
    """As shown: after the rotation."""
    height: int
    moments: tuple[int, ...]
    """The time of every picture in units of `time_base`, ascending. From the container; damage may leave fewer."""
    time_base: Fraction
    """Seconds."""
    rate: Fraction
    """Frames per second; the mean of a variable rate."""
    rotation: int
    """Degrees by which the stored pictures are turned counterclockwise: 0, 90, 180 or 270."""
    pixel_aspect: Fraction
    """Width of a pixel as a multiple of its height."""
    audio_tracks: int
    codec: str
    """libav's name of the video format."""
    container: str
    """libav's name of the container."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The container's: a title, a comment, ComfyUI's workflow."""
    traits: frozenset[Trait] = frozenset()
    has_times: bool = True
    """Whether the container states a time for every picture, so that reading can begin anywhere."""

    @property
    def frames(self) -> int:
        """Number of pictures."""
        return len(self.moments)

    @property
    def variable(self) -> bool:
        """Whether the frame rate varies by more than the rounding of the container's clock."""
        steps = [b - a for a, b in zip(self.moments, self.moments[1:], strict=False)]
        return bool(steps) and max(steps) - min(steps) > max(2, _STEADY * max(steps))

    @property
    def seconds(self) -> float:
        """From the first picture to the end of the last one."""
        return float(self.frames / self.rate)


class Shot(NamedTuple):
    """A picture of a video and when it is shown."""

    moment: int
    """In units of the video's `time_base`."""
    picture: np.ndarray
    """uint8 [H, W, 3], RGB."""


def open_footage(path: Path, check: Check = nothing) -> Footage:
    """Open the video `path`, count its pictures and decode the first.

    Raises `FootageError` if it is missing, damaged, holds no video, or one that is not read here: HDR, pictures of
    more than `MAX_PIXELS`. `check` is called whenever bytes are read; its exceptions propagate.
    """
    with _video(path, check) as (source, container, stream):
        name = source.name
        moments, has_times, end_s = _moments(container, stream)
        if not moments:
            raise FootageError(f"{name}: there is not a single picture in this video.", path=path)
        rate = _rate(stream, moments, name)
        time_base = stream.time_base if has_times else 1 / rate
        lost = {Trait.CUT_OFF} if (container.duration or 0) / 1e6 - end_s > _LOST_S else set()
    with _video(path, check) as (source, container, stream):
        first = next(_decoded(container, stream, source), None)
        if first is None:
            raise FootageError(f"{name}: not a single picture of this video can be decoded. It is damaged.", path=path)
        _refuse_hdr(first, stream, name)
        turn = round(getattr(first, "rotation", 0) / 90) * 90 % 360
        width, height = (first.height, first.width) if turn % 180 else (first.width, first.height)
        aspect = stream.codec_context.sample_aspect_ratio or stream.sample_aspect_ratio or Fraction(1)
        return Footage(
            Path(path), width, height, tuple(moments), time_base, rate, turn,
            1 / aspect if turn % 180 and aspect else aspect or Fraction(1),
            len(container.streams.audio), stream.codec_context.codec.canonical_name,
            container.format.name.split(",")[0], _tags(container), _traits(first) | lost, has_times,
        )  # fmt: skip


def shots(footage: Footage, start: int = 0, check: Check = nothing) -> Iterator[Shot]:
    """The pictures of `footage` from number `start` on, in the order in which they are shown.

    Packets that the decoder rejects are left out, with a warning in the log. Raises as `open_footage` does, and if the
    size of the pictures changes.
    """
    first = footage.moments[start]
    with _video(footage.path, check) as (source, container, stream):
        if start and footage.has_times:
            container.seek(first, stream=stream)  # to the key frame before
        to_rgb = RgbConverter()
        latest = None
        for index, frame in enumerate(_decoded(container, stream, source)):
            moment = frame.pts if footage.has_times else index
            if moment is None or (latest is not None and moment <= latest) or moment < first:
                continue  # before the start, or a picture that is shown for no time
            latest = moment
            picture = to_rgb(frame)
            if footage.rotation:
                picture = np.ascontiguousarray(np.rot90(picture, footage.rotation // 90))
            if picture.shape[:2] != (footage.height, footage.width):
                sizes = f"{footage.width}×{footage.height} to {picture.shape[1]}×{picture.shape[0]}"
                raise FootageError(f"{source.name}: the size of its pictures changes from {sizes}. Export it again.")
            yield Shot(moment, picture)


@contextmanager
def packets_of(footage: Footage, check: Check = nothing) -> Iterator[tuple[Iterator[Any], Any]]:
    """The encoded pictures of `footage` in the order of the file, and their stream. Raises `FootageError`."""
    with _video(footage.path, check) as (_, container, stream):
        yield (packet for packet in container.demux(stream) if packet.size), stream


@contextmanager
def _video(path: Path, check: Check) -> Iterator[tuple[Source, InputContainer, Any]]:
    """The opened file and its first video stream that is no cover picture; libav's errors become `FootageError`s."""
    with opened(path, FootageError, "a video", check) as source:
        try:
            with demuxed(source, source.name, FootageError, _allowed()) as container:
                streams = [each for each in container.streams.video if not _is_cover(each)]
                if not streams:
                    raise FootageError(f"{source.name}: there is no video in this file.", path=Path(path))
                stream = streams[0]
                if stream.codec_context is None:
                    raise FootageError(
                        f"{source.name}: its video format is not read here. Convert it to H.264 in MP4.",
                        path=Path(path),
                    )
                stream.thread_type = "AUTO"
                _refuse_size(stream.codec_context.width, stream.codec_context.height, source.name)
                yield source, container, stream
        except FFmpegError as error:
            raise FootageError(
                f"{source.name}: cannot be read as a video ({error.strerror}). It is damaged, cut off, or not a video; "
                "play it to check, then export it again as MP4.",
                path=Path(path),
            ) from error


@cache
def _allowed() -> Allowed:
    known = tuple(name for name in _DECODERS if _is_there(name))
    return Allowed((*known, *sound_decoders()), CONTAINERS, max_pixels=MAX_PIXELS)


def _is_there(decoder: str) -> bool:
    try:
        return Codec(decoder, "r").type == "video"
    except ValueError:  # UnknownCodecError is one
        return False


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _tags(container: InputContainer) -> dict[str, str]:
    """The tags that are worth keeping, as text that a file can take."""
    tags = {name: text for name, text in container.metadata.items() if name.lower() not in _OWN_TAGS}
    return {name: text for name, text in tags.items() if (name + text).encode(errors="ignore").decode() == name + text}


def _moments(container: InputContainer, stream: Any) -> tuple[list[int], bool, float]:
    """The times of all pictures, ascending, whether the container states them, and the second at which all ends.

    Where it states none, they are the pictures' numbers.
    """
    found, end_s = [], 0.0
    for packet in container.demux(stream, *container.streams.audio[:1]):
        if not packet.size:
            continue
        if packet.pts is not None:
            end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream_index == stream.index:
            found.append((packet.pts, packet.is_discard))
    times = {pts for pts, left_out in found if pts is not None and not left_out}
    # An AVI has no times: those that libav derives are wrong where pictures are stored in another order than shown.
    if times and all(pts is not None for pts, _ in found) and container.format.name != "avi":
        return sorted(times), True, end_s
    return list(range(len(found))), False, end_s


def _rate(stream: Any, moments: list[int], name: str) -> Fraction:
    rate = stream.average_rate or stream.base_rate or stream.guessed_rate
    if len(moments) > 1 and moments[-1] - moments[0] != len(moments) - 1:
        mean = (len(moments) - 1) / ((moments[-1] - moments[0]) * stream.time_base)
        if not rate or abs(mean / rate - 1) > 1 / 100:  # a header that is wrong, or a variable rate
            rate = mean.limit_denominator(1001)
    if not rate or not 0 < rate <= 1000:
        raise FootageError(f"{name}: it does not say how many frames a second it has. Export it again.")
    return Fraction(rate)


def _decoded(container: InputContainer, stream: Any, source: Source) -> Iterator[VideoFrame]:
    """Everything that the decoder yields; packets that it rejects are left out."""
    damaged = 0
    for packet in container.demux(stream):
        source.check()
        try:
            yield from stream.decode(packet)
        except InvalidDataError:
            damaged += 1
    if damaged:
        log.warning("%s: damaged packets were left out: %d.", source.name, damaged)


def _refuse_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise FootageError(
            f"{name}: pictures of {width}×{height} pixels are larger than 8192×8192. Export it in a smaller size."
        )


def _refuse_hdr(frame: VideoFrame, stream: Any, name: str) -> None:
    transfer = getattr(frame, "color_trc", None) or stream.codec_context.color_trc
    if int(transfer or 0) in _HDR:
        raise FootageError(
            f"{name}: it is HDR ({_HDR[int(transfer)]}), whose brightness would be wrong afterwards. "
            "Export it as SDR (BT.709) first."
        )


def _traits(frame: VideoFrame) -> frozenset[Trait]:
    channels = frame.format.components
    lost = {Trait.DEEP: any(each.bits > 8 for each in channels), Trait.ALPHA: any(each.is_alpha for each in channels)}
    return frozenset(trait for trait, is_lost in lost.items() if is_lost)
