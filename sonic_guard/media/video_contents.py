"""Opens video files and counts their frames."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from av.container import InputContainer

from ..atomic_files import errors_about, fault
from ..errors import OutputError
from .cancellation import Check, nothing
from .containers import Allowed, demuxed, opened

DECODERS = ("h264", "ffv1", "prores", "aac", "flac", "pcm_s24le")
"""libav's names of the decoders of what this pack writes."""


class Contents(NamedTuple):
    """Totals of the packets of a video file."""

    frames: int
    sound_s: float
    """Time in seconds at which the sound ends; 0 without sound."""


def contents(path: Path, about: Path | None = None, check: Check = nothing) -> Contents:
    """Count the packets of the video `path`, without decoding them.

    Raises `OutputError`, which names `about` if given instead of `path`. `check` is called whenever bytes are read;
    its exceptions propagate.
    """
    frames, sound_s = 0, 0.0
    with pictures_of(path, about, check) as (container, pictures):
        for packet in container.demux(pictures, *container.streams.audio[:1]):
            if not packet.size:  # the end of the file
                continue
            if packet.stream.type == "video":
                frames += 1
            else:
                end = (packet.pts or 0) + (packet.duration or 0)
                sound_s = max(sound_s, float(end * packet.time_base))
    return Contents(frames, sound_s)


@contextmanager
def pictures_of(path: Path, about: Path | None = None, check: Check = nothing) -> Iterator[tuple[Any, Any]]:
    """The opened container of the video `path`, and its first video stream. Raises as `contents` does."""
    about = about or path
    with errors_about(about), _demuxed(path, check) as container:
        if not container.streams.video:
            raise fault(about, "there is no video in this file.")
        yield container, container.streams.video[0]


@contextmanager
def _demuxed(path: Path, check: Check) -> Iterator[InputContainer]:
    with (
        opened(path, OutputError, "a video", check) as source,
        demuxed(source, source.name, OutputError, Allowed(DECODERS)) as container,
    ):
        yield container
