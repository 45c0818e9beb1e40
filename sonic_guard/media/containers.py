"""Opens media files safely. Everything that reads sound or video goes through here.

A file may be malicious, or may be written to while it is read. libav gets the bytes of one plain file and nothing
else. Left alone, it treats text as a playlist whatever the file's name is, and a playlist makes it open other files,
pipes and addresses, without end if it names itself. So only self-contained containers are read (`CONTAINERS`), and
all protocols that could open anything else are disabled.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from os import PathLike, fstat
from typing import Any, BinaryIO, NamedTuple

import av
from av.codec import Codec
from av.container import InputContainer
from av.error import ArgumentError

from ..errors import SonicGuardError
from ..plain_files import open_plain, shown
from . import mp4_boxes, riff_chunks
from .byte_source import Content, Stream
from .cancellation import Check, nothing

CONTAINERS = (
    *("aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dsf", "dts", "eac3", "flac", "flv", "loas"),
    *("matroska", "mov", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "ogg", "tta", "voc", "w64", "wav", "wv"),
)
"""libav's names of the containers that are read. None of them is text, and none refers to other files."""
BUFFER_BYTES = 1 << 16
"""Bytes libav requests at a time."""
MAX_READ_FACTOR = 64
"""Most bytes read from a file, in multiples of its size: libav seeks back and forth where its streams lie apart."""
ALWAYS_READ_BYTES = 1 << 30
"""Bytes that may be read from a file of any size, in addition."""


class Allowed(NamedTuple):
    """What libav may use to open a file."""

    decoders: Collection[str]
    """libav decodes the beginning of every stream when it opens a file, and uses only these for that.

    Otherwise a cover picture of 16,000² pixels in a sound file costs a gigabyte.
    """
    containers: Collection[str] = CONTAINERS
    refusal: str = (
        "this is damaged, or a kind of file that is not read here. Use WAV, MP3, FLAC, M4A, OGG, MP4, MOV, MKV or AVI; "
        "a list that names other files is never followed."
    )
    """What is said of a file that is none of them."""
    by_suffix: bool = True
    """Whether its suffix may tell what a file is. By that, libav would take a picture for a series of files."""
    max_pixels: int = 0
    """Most pixels of a picture that is decoded while the file is opened; 0 where no decoder makes any."""

    def options(self) -> dict[str, str]:
        """As options of libav."""
        options = {
            "format_whitelist": ",".join(self.containers),
            "codec_whitelist": ",".join(self.decoders),
            "protocol_whitelist": "none",
        }
        return options | ({"max_pixels": str(self.max_pixels)} if self.max_pixels else {})


class Source:
    """A plain file with its size at opening: bytes appended later are not read, and a short read is an error.

    The file is not mapped into memory: the process would be killed if a mapped file shrank.
    """

    def __init__(self, file: BinaryIO, name: str, error: type[SonicGuardError], check: Check) -> None:
        self.name = name
        """The file's name without its folder, for messages."""
        self.size = fstat(file.fileno()).st_size
        self.check = check
        self._file, self._error = file, error
        self._left_bytes = MAX_READ_FACTOR * self.size + ALWAYS_READ_BYTES

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`. Raises `error` if the file has changed, and exceptions of `check`."""
        self.check()
        count = max(0, min(count, self.size - offset))
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise self._error(
                f"{self.name}: it is damaged: its index leads back and forth without an end. Export it again."
            )
        try:
            self._file.seek(offset)
            data = self._file.read(count)
        except OSError as fault:
            raise self._error(f"{self.name}: cannot be read: {fault.strerror or fault}. Check its disk.") from fault
        if len(data) < count:
            raise self._error(f"{self.name}: it was changed while it was read. Try again.")
        return data


@contextmanager
def opened(
    path: str | PathLike[str],
    error: type[SonicGuardError],
    what: str,
    check: Check = nothing,
) -> Iterator[Source]:
    """The file `path`; `what` names the expected kind in messages, such as "a sound file".

    Raises `error` if it is not a plain file, is empty, or changes while it is read. Exceptions of `check` propagate.
    """
    with open_plain(path, error, what) as file:
        source = Source(file, shown(path), error, check)
        if not source.size:
            raise error(f"{source.name}: the file is empty (0 bytes). Copy or export it again.")
        yield source


@cache
def sound_decoders() -> tuple[str, ...]:
    """The names of all audio decoders in libav."""
    return tuple(name for name in sorted(av.codecs_available) if _kind_of_decoder(name) == "audio")


@contextmanager
def demuxed(
    content: Content, name: str, error: type[SonicGuardError], allowed: Allowed, kind: str | None = None
) -> Iterator[InputContainer]:
    """The container in `content`; `kind` is libav's name of its format if known.

    Raises `error`, about `name`, for formats that are not `allowed` and for impossible sizes, and libav's errors for
    damaged files.
    """
    if fault := riff_chunks.fault(content) or mp4_boxes.fault(content):
        raise error(f"{name}: it is damaged: {fault}. Export it again.")
    stream: Any = Stream(content, name if allowed.by_suffix else "")
    options = allowed.options()
    try:
        container: Any = av.open(stream, "r", format=kind, options=options, buffer_size=BUFFER_BYTES, **_ODD_TAGS)
    except ArgumentError as error_of_libav:
        raise error(f"{name}: {allowed.refusal}") from error_of_libav
    with container:
        yield container


def _kind_of_decoder(name: str) -> str:
    try:
        return Codec(name, "r").type
    except ValueError:  # UnknownCodecError is one: it only encodes
        return ""


def has_odd_tags(container: InputContainer) -> bool:
    """Whether a tag is not UTF-8, as in old 8-bit encodings. Before PyAV 19, ComfyUI opens no such file."""
    tags = [container.metadata, *(stream.metadata for stream in container.streams)]
    return any(not text.isascii() and _has_surrogate(text) for each in tags for text in (*each, *each.values()))


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


_ODD_TAGS: dict[str, Any] = {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Such tags are common and not needed here. PyAV 19 and later leave out what they cannot decode."""
