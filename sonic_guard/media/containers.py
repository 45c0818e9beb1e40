"""The one way to open a media file: it may have been made by a stranger to do harm, or be written to meanwhile.

libav gets the bytes of one plain file and nothing else. It takes text for a playlist whatever the file's name is, and a
playlist makes it open other files, pipes and addresses, for ever if it names itself. So only containers that hold
their own content are read (`CONTAINERS`), and no protocol is left with which anything else could be opened.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from os import PathLike, fstat
from typing import Any, BinaryIO

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
"""What libav asks for at a time."""
MOST_READ = 64
"""How many times its own size may be read of a file: libav goes back and forth where pictures and sound lie apart."""
ALWAYS_READ_BYTES = 1 << 30
"""What may be read of a file of any size."""
_OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "none"}


class Source:
    """A plain file, as it was when it was opened: what is appended later is not seen, and a short read is an error.

    Nothing is mapped into memory: a mapped file that shrinks ends the process.
    """

    def __init__(self, file: BinaryIO, name: str, error: type[SonicGuardError], check: Check) -> None:
        self.name = name
        """For messages: the file without its folder."""
        self.size = fstat(file.fileno()).st_size
        self.check = check
        self._file, self._error = file, error
        self._left_bytes = MOST_READ * self.size + ALWAYS_READ_BYTES

    def read_at(self, offset: int, count: int) -> bytes:
        """The bytes from `offset`. Raises `error` where the file has changed, and what `check` raises."""
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
    """The file `path`, which is expected to be `what`: "a sound file".

    Raises `error` where it is no plain file, is empty, or changes while it is read, and what `check` raises.
    """
    with open_plain(path, error, what) as file:
        source = Source(file, shown(path), error, check)
        if not source.size:
            raise error(f"{source.name}: the file is empty (0 bytes). Copy or export it again.")
        yield source


@cache
def sound_decoders() -> tuple[str, ...]:
    """All decoders of sound, as libav names them."""
    return tuple(name for name in sorted(av.codecs_available) if _kind_of_decoder(name) == "audio")


@contextmanager
def demuxed(
    content: Content,
    name: str,
    error: type[SonicGuardError],
    decoders: Collection[str],
    kind: str | None = None,
) -> Iterator[InputContainer]:
    """The container in `content`, which is of libav's `kind` where that is known.

    libav looks into every stream while it opens a file; `decoders` are those it may use for that. A cover of 16,000²
    pixels in a sound file costs a gigabyte.

    Raises `error`, about `name`, for a kind that is not one of `CONTAINERS` and for sizes no file can have; libav's
    errors for what is damaged.
    """
    if fault := riff_chunks.fault(content) or mp4_boxes.fault(content):
        raise error(f"{name}: it is damaged: {fault}. Export it again.")
    stream: Any = Stream(content, name)
    options = {**_OPTIONS, "codec_whitelist": ",".join(decoders)}
    try:
        container: Any = av.open(stream, "r", format=kind, options=options, buffer_size=BUFFER_BYTES, **_ODD_TAGS)
    except ArgumentError as error_of_libav:
        raise error(
            f"{name}: this is damaged, or a kind of file that is not read here. Use WAV, MP3, FLAC, M4A, OGG, MP4, "
            "MOV, MKV or AVI; a list that names other files is never followed."
        ) from error_of_libav
    with container:
        yield container


def _kind_of_decoder(name: str) -> str:
    try:
        return Codec(name, "r").type
    except ValueError:  # UnknownCodecError is one: it only encodes
        return ""


_ODD_TAGS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Tags in old 8-bit encodings are common and of no interest here. From 19 on PyAV reads them without being told."""
