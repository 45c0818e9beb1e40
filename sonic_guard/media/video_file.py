"""Reads finished videos: checks them, decodes their frames, joins them without re-encoding where that is possible."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from av.video.stream import VideoStream

from ..atomic_files import fault
from ..errors import OutputError
from .audio import Sound
from .rgb_converter import RgbConverter
from .video_contents import contents, pictures_of
from .video_writer import Encoding, Output, VideoWriter


class VideoInfo(NamedTuple):
    """Length of a video file."""

    frames: int
    """Counted, not taken from the header."""
    rate: Fraction
    """Frames per second."""

    @property
    def seconds(self) -> float:
        """Duration of the pictures."""
        return float(self.frames / self.rate)


def verify(path: Path) -> VideoInfo:
    """Open the video `path`, decode its first frame and count all frames.

    Raises `OutputError` if it is missing, cannot be opened, or has no frame that can be decoded.
    """
    first = next(frames(path), None)
    if first is None:
        raise fault(path, "there is not a single frame in this file.")
    count = contents(path).frames
    with pictures_of(path) as (_, stream):
        return VideoInfo(count, _rate(stream))


def pick(path: Path, count: int) -> list[np.ndarray]:
    """Up to `count` pictures of the video `path`, about evenly spaced: uint8 [H, W, 3]. Raises `OutputError`.

    Seeks to a key frame before each picture, so that a long video is not decoded as a whole.
    """
    found: dict[int, np.ndarray] = {}
    with pictures_of(path) as (container, stream):
        to_rgb, step = RgbConverter(), contents(path).frames / count
        frame_duration = 1 / (_rate(stream) * stream.time_base)  # in the stream's time base
        for index in range(count):
            container.seek(int(round(index * step) * frame_duration), stream=stream)
            earliest = (round(index * step) - step / 2) * frame_duration
            frame = next((frame for frame in container.decode(stream) if (frame.pts or 0) >= earliest), None)
            if frame is not None and frame.pts is not None:
                found[frame.pts] = to_rgb(frame)
    if not found:
        raise fault(path, "there is not a single frame in this file.")
    return [found[moment] for moment in sorted(found)]


def frames(path: Path) -> Iterator[np.ndarray]:
    """The pictures of the video `path` in order: uint8 [H, W, 3]. Raises `OutputError`."""
    with pictures_of(path) as (container, stream):
        stream.thread_type = "AUTO"
        to_rgb = RgbConverter()
        for frame in container.decode(stream):
            yield to_rgb(frame)


def join(
    files: Sequence[Path],
    target: Path,
    encoding: Encoding,
    fps: Fraction,
    sound: Sound | None = None,
    *,
    notify: Callable[[int], None] = lambda frames: None,
    overwrite: bool = False,
    accept: Callable[[Path], object] | None = None,
) -> VideoInfo:
    """Write the pictures of the video `files`, in order, and `sound` into the file `target`.

    If all files have the same encoding, their packets are copied, without loss and at the speed of the disk;
    otherwise all pictures are encoded again with `encoding`. Every file has to begin with a key frame, as those of
    `VideoWriter` do.
    `notify` receives the number of frames written so far, after each; an exception from it ends the work and leaves
    no file. `accept` is as for `Output`.
    Raises `OutputError`.
    """
    alike = len({_signature(file) for file in files}) == 1
    if alike and files[0].suffix == encoding.kind.suffix and verify(files[0]).rate == fps:
        output = Output(target, encoding.kind, fps, sound, overwrite=overwrite, accept=accept)
        with output:
            _copy(files, output, notify)
    else:
        output = VideoWriter(target, fps, encoding, sound, overwrite=overwrite, accept=accept)
        with output:
            for picture in (picture for file in files for picture in frames(file)):
                output.write(picture[None])
                notify(output.frames)
    return VideoInfo(output.frames, fps)


def _copy(files: Sequence[Path], output: Output, notify: Callable[[int], None]) -> None:
    # With B-frames the first decoding time is negative; it is 0 in a file too short for them. All are aligned.
    first = [_first_dts(file) for file in files]
    stream: Any = None
    for file, early in zip(files, first, strict=True):
        with pictures_of(file) as (container, source):
            if stream is None:
                stream = output.container.add_stream_from_template(source, opaque=True)
                output.add_sound()
            offset = round(output.frames / output.fps / source.time_base)
            packet: Any
            for packet in container.demux(source):
                if not packet.size:  # the end of the file
                    continue
                packet.pts += offset
                packet.dts += offset + min(first) - early
                packet.stream = stream
                output.frames += 1
                output.mux([packet])
                notify(output.frames)


def _first_dts(file: Path) -> int:
    """Decoding time of the first packet in the stream's time base: 0 or negative."""
    with pictures_of(file) as (container, stream):
        return next(packet.dts for packet in container.demux(stream)) or 0


def _signature(file: Path) -> tuple[Any, ...]:
    """The properties that must be equal in two files so that their packets can be concatenated."""
    with pictures_of(file) as (_, stream):
        context = stream.codec_context
        size = (stream.width, stream.height, context.pix_fmt)
        return (context.name, *size, context.extradata, _rate(stream), stream.time_base)


def _rate(stream: VideoStream) -> Fraction:
    rate = stream.average_rate or stream.base_rate
    if not rate:
        raise OutputError("a video without a frame rate.")
    return rate
