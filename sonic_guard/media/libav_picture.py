"""Pictures through libav: HEIC and other kinds that ComfyUI's LoadImage reads and Pillow does not open."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ..errors import PictureError
from .byte_source import Content
from .containers import Allowed, demuxed

MAX_PIXELS = 8192 * 8192
"""Most pixels of a picture that is read this way; its size is only known for certain once it is decoded."""
CONTAINERS = (
    *("apng", "bmp_pipe", "dds_pipe", "gif", "gif_pipe", "j2k_pipe", "jpeg_pipe", "jpegxl_pipe", "mov", "pam_pipe"),
    *("pbm_pipe", "pcx_pipe", "pgm_pipe", "png_pipe", "ppm_pipe", "psd_pipe", "qoi_pipe", "sgi_pipe", "tiff_pipe"),
    "webp_pipe",
)
"""libav's names of the kinds of pictures; "mov" is HEIC and AVIF."""
_DECODERS = frozenset(
    (
        *("apng", "av1", "bmp", "dds", "gif", "hevc", "jpeg2000", "libdav1d", "libjxl", "mjpeg", "pam", "pbm", "pcx"),
        *("pgm", "png", "ppm", "psd", "qoi", "sgi", "tiff", "webp"),
    )
)


class UnreadableError(PictureError):
    """libav reads nothing in a file."""


def size(content: Content, name: str) -> tuple[int, int]:
    """Width and height of the picture that `load` would return. Raises as `load` does."""
    with _first_frame(content, name) as frame:
        turned = _quarter_turns(frame) % 2
        return (frame.height, frame.width) if turned else (frame.width, frame.height)


def load(content: Content, name: str) -> NDArray[np.uint8]:
    """The first picture in `content`, as far as it can be decoded: uint8 RGB [H, W, 3], upright.

    As in LoadImage, it is the first video stream's; of a HEIC in tiles that is the first tile, and a mirrored picture
    is turned but stays mirrored. Raises `PictureError`, about `name`, for what is no picture or larger than
    `MAX_PIXELS`, and for a video.
    """
    with _first_frame(content, name) as frame:
        rgb: Any = frame.to_ndarray(format="rgb24")
        return np.ascontiguousarray(np.rot90(rgb, _quarter_turns(frame)))


@contextmanager
def _first_frame(content: Content, name: str) -> Iterator[VideoFrame]:
    """The frame that counts; libav's errors, also in the block, become `PictureError`."""
    try:
        with demuxed(content, name, PictureError, _allowed()) as container:
            if not container.streams.video:
                raise UnreadableError(f"{name}: there is no picture in this file. Use a PNG, JPEG or WebP.")
            stream = container.streams.video[0]
            decoder = stream.codec_context
            if decoder is None or decoder.name not in _DECODERS or _is_film(container, stream):
                raise PictureError(f"{name}: this is a video, not a picture. Save one of its frames as PNG.")
            decoder.options = {"max_pixels": str(MAX_PIXELS)}
            yield _decoded(container, stream, name)
    except FFmpegError as error:
        raise UnreadableError(f"{name}: cannot be read ({error.strerror}). Save it again as PNG or JPEG.") from error


def _is_film(container: InputContainer, stream: VideoStream) -> bool:
    return "mov" in container.format.name and stream.frames > 1


def _decoded(container: InputContainer, stream: VideoStream, name: str) -> VideoFrame:
    for packet in container.demux(stream):
        with suppress(InvalidDataError):  # as LoadImage does: a later packet may hold a picture
            for frame in stream.decode(packet):
                return frame
    raise UnreadableError(f"{name}: nothing of it can be decoded. Save it again as PNG or JPEG.")


def _quarter_turns(frame: VideoFrame) -> int:
    """How often the picture has to be turned by 90° against the clock."""
    return round(frame.rotation // 90)


@cache
def _allowed() -> Allowed:
    decoders = sorted(_DECODERS & av.codecs_available)
    return Allowed(
        decoders,
        CONTAINERS,
        "this is not a picture, whatever its name says. Use a PNG, JPEG or WebP.",
        by_suffix=False,
        max_pixels=MAX_PIXELS,
    )
