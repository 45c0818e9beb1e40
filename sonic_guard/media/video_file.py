"""Read finished videos: check them, take their frames, join them without encoding anew where that is possible."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from ..atomic_files import fault
from ..errors import OutputError
from .audio import Sound
from .video_contents import contents, pictures_of
from .video_writer import Encoding, Output, VideoWriter


class VideoInfo(NamedTuple):
    """What a video file holds, counted and not believed."""

    frames: int
    rate: Fraction
    """Frames a second."""

    @property
    def seconds(self) -> float:
        """Length of the pictures."""
        return float(self.frames / self.rate)


def verify(path: Path) -> VideoInfo:
    """Open the video `path`, decode its first frame and count all.

    Raises `OutputError` if it is missing, cut off so that it cannot be opened, or without a decodable picture.
    """
    first = next(frames(path), None)
    if first is None:
        raise fault(path, "there is not a single frame in this file.")
    count = contents(path).frames
    with pictures_of(path) as (_, stream):
        return VideoInfo(count, _rate(stream))


def pick(path: Path, count: int) -> list[np.ndarray]:
    """Up to `count` pictures of the video `path`, about evenly spread: uint8 [H, W, 3]. Raises `OutputError`.

    A long video is entered near each of them and not decoded in between.
    """
    found: dict[int, np.ndarray] = {}
    with pictures_of(path) as (container, stream):
        recolour, step = _Recolour(), contents(path).frames / count
        unit = 1 / (_rate(stream) * stream.time_base)  # a frame, in the stream's own time
        for index in range(count):
            container.seek(int(round(index * step) * unit), stream=stream)
            soon = (round(index * step) - step / 2) * unit
            frame = next((frame for frame in container.decode(stream) if (frame.pts or 0) >= soon), None)
            if frame is not None and frame.pts is not None:
                found[frame.pts] = recolour(frame)
    if not found:
        raise fault(path, "there is not a single frame in this file.")
    return [found[moment] for moment in sorted(found)]


def frames(path: Path) -> Iterator[np.ndarray]:
    """The pictures of the video `path`, one after the other: uint8 [H, W, 3]. Raises `OutputError`."""
    with pictures_of(path) as (container, stream):
        stream.thread_type = "AUTO"
        recolour = _Recolour()
        for frame in container.decode(stream):
            yield recolour(frame)


class _Recolour:
    """Turns the frames of a video into RGB."""

    def __init__(self) -> None:
        self._widen, self._recolour = VideoReformatter(), VideoReformatter()  # to set them up takes longer than to use

    def __call__(self, frame: Any) -> np.ndarray:
        matrix = {}
        if not frame.format.is_rgb:  # in two steps: in one, libav rounds every colour down
            frame = self._widen.reformat(frame, format="yuv444p", interpolation=Interpolation.BICUBIC)
            # RGB has no matrix; but where the same is named twice, older PyAV takes the frame for converted.
            matrix = {"src_colorspace": Colorspace.ITU709, "dst_colorspace": Colorspace.ITU601}
        return self._recolour.reformat(frame, format="rgb24", **matrix).to_ndarray()


def join(
    pieces: Sequence[Path],
    target: Path,
    encoding: Encoding,
    fps: Fraction,
    sound: Sound | None = None,
    *,
    notify: Callable[[int], None] = lambda frames: None,
    overwrite: bool = False,
    accept: Callable[[Path], object] | None = None,
) -> VideoInfo:
    """Write the pictures of `pieces`, one after the other, and `sound` into the file `target`.

    Pieces of the same kind are copied packet by packet, without loss and at the speed of the disk; else all are
    encoded anew with `encoding`. Every piece has to begin with a key frame, as all files do that a `VideoWriter` made.
    `tell` hears after each how many there are by now; what it raises ends the joining and leaves no file.
    `accept` is as for `Output`.
    Raises `OutputError`.
    """
    alike = len({_signature(piece) for piece in pieces}) == 1
    if alike and pieces[0].suffix == encoding.kind.suffix and verify(pieces[0]).rate == fps:
        output = Output(target, encoding.kind, fps, sound, overwrite=overwrite, accept=accept)
        with output:
            _copy(pieces, output, notify)
    else:
        output = VideoWriter(target, fps, encoding, sound, overwrite=overwrite, accept=accept)
        with output:
            for picture in (picture for piece in pieces for picture in frames(piece)):
                output.write(picture[None])
                notify(output.frames)
    return VideoInfo(output.frames, fps)


def _copy(pieces: Sequence[Path], output: Output, notify: Callable[[int], None]) -> None:
    # Frames out of order are decoded before they are shown; a piece too short for that begins later than the others.
    first = [_first_decoded(piece) for piece in pieces]
    stream: Any = None
    for piece, early in zip(pieces, first, strict=True):
        with pictures_of(piece) as (container, source):
            if stream is None:
                stream = output.container.add_stream_from_template(source, opaque=True)
                output.add_sound()
            offset = round(output.frames / output.fps / source.time_base)
            packet: Any
            for packet in container.demux(source):
                if not packet.size:  # the end of the piece
                    continue
                packet.pts += offset
                packet.dts += offset + min(first) - early
                packet.stream = stream
                output.frames += 1
                output.mux([packet])
                notify(output.frames)


def _first_decoded(piece: Path) -> int:
    """When the first packet is decoded, in the stream's own time: 0, or before it."""
    with pictures_of(piece) as (container, stream):
        return next(packet.dts for packet in container.demux(stream)) or 0


def _signature(piece: Path) -> tuple[Any, ...]:
    """What has to be the same in two files for the packets of one to follow those of the other."""
    with pictures_of(piece) as (_, stream):
        context = stream.codec_context
        size = (stream.width, stream.height, context.pix_fmt)
        return (context.name, *size, context.extradata, _rate(stream), stream.time_base)


def _rate(stream: VideoStream) -> Fraction:
    rate = stream.average_rate or stream.base_rate
    if not rate:
        raise OutputError("a video without a frame rate.")
    return rate
