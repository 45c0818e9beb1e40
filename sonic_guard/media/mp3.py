"""Hours of MP3 at the price of seconds: leave out frames whose count is certain.

An MP3 is a chain of frames. Each one's four header bytes tell its length in bytes, and all hold the same number of
samples, so the middle of the chain can be counted by hopping from header to header. What is not certain (the gapless
tag in front, tags and damage anywhere, the last frames) stays in the file and is left to the decoder.

Sources: ISO/IEC 11172-3 2.4.2.3 and 13818-3 for the header; libavformat/mp3dec.c for the Xing/LAME tag.
"""

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

STRIDE = 64
"""Frames between two places where the file may be cut; more than any encoder's delay or padding covers."""
MAX_JUNK_BYTES = 1 << 16
"""How far after an ID3 tag the first frame is looked for."""
_TAG = re.compile(rb"(?:Xing|Info).{12}", re.DOTALL)
_TAG_OFFSET_MAX = 36  # header and side information, behind which the tag lies in its frame

_MPEG1, _MPEG2, _MPEG25 = 0b11, 0b10, 0b00
_SAMPLE_RATES = {
    _MPEG1: (44_100, 48_000, 32_000),
    _MPEG2: (22_050, 24_000, 16_000),
    _MPEG25: (11_025, 12_000, 8_000),
}
_KBITS_MPEG1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_MPEG2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


class Shortened(NamedTuple):
    """An MP3 without its middle."""

    data: bytes
    """A complete MP3 file in memory."""
    samples_left_out: int
    """Samples a channel in the frames that were taken out."""


def shorten(data: bytes) -> Shortened | None:
    """Take the uniform middle out of the MP3 `data` (bytes, or anything that slices and searches like them: mmap).

    Decoding the result yields exactly `samples_left_out` samples fewer than decoding `data`, unless a frame with
    a healthy header is damaged inside: only decoding shows that. None if nothing can be left out with certainty.
    """
    cuts = _longest_chain(data)
    if len(cuts) < 4:
        return None
    first, start, stop = cuts[0], cuts[1], cuts[-2]
    frames = (len(cuts) - 3) * STRIDE
    head = bytearray(data[:start])
    if not _adjust_tag(head, first, frames, len(data)):
        return None
    return Shortened(bytes(head) + data[stop:], frames * _frame_samples(data[first : first + 4]))


def _longest_chain(data: bytes) -> list[int]:
    """Offsets of frames 0, STRIDE, 2·STRIDE … of the first chain in `data`; empty if there is none of use."""
    for offset in _sync_offsets(data):
        cuts = _chain(data, offset)
        if len(cuts) > 1:
            return cuts
    return []


def _after_id3(data: bytes | bytearray) -> int:
    """Length of the ID3v2 tag that `data` begins with."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    a, b, c, d = data[6:10]
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def _sync_offsets(data: bytes) -> Iterator[int]:
    """Where a frame may begin: every 0xFF byte in the first `MAX_JUNK_BYTES` after the ID3v2 tag."""
    begin = _after_id3(data)
    offset = data.find(b"\xff", begin)
    while 0 <= offset < begin + MAX_JUNK_BYTES:
        yield offset
        offset = data.find(b"\xff", offset + 1)


def _chain(data: bytes, offset: int) -> list[int]:
    """Follow the frames from `offset` until one does not continue the chain."""
    sizes = _FrameSizes(data[offset : offset + 4])
    cuts = []
    with suppress(KeyError):  # the end of the chain
        while True:
            cuts.append(offset)
            for _ in range(STRIDE):
                offset += sizes[data[offset : offset + 4]]
    return cuts


class _FrameSizes(dict[bytes, int]):
    """Bytes in a frame, by its header. KeyError for a header of another kind of stream than the first's.

    A file holds some dozens of different headers, so that nearly every look-up is one of a plain dict.
    """

    def __init__(self, first: bytes) -> None:
        self._stream = _stream_bits(first)

    def __missing__(self, header: bytes) -> int:
        bits = _stream_bits(header)
        if bits is None or bits != self._stream:
            raise KeyError(header)
        size = self[header] = _frame_bytes(header)
        return size


def _stream_bits(header: bytes) -> tuple[int, int, bool] | None:
    """What stays the same in a stream: version, sample rate index, mono. None if it is no usable layer III header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] >> 5 != 0b111:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version not in _SAMPLE_RATES or layer != 0b01 or bitrate in (0, 15) or rate == 3:
        return None
    return version, rate, header[3] >> 6 == 3


def _frame_samples(header: bytes) -> int:
    return 1152 if header[1] >> 3 & 3 == _MPEG1 else 576


def _frame_bytes(header: bytes) -> int:
    version = header[1] >> 3 & 3
    kbits = (_KBITS_MPEG1 if version == _MPEG1 else _KBITS_MPEG2)[(header[2] >> 4) - 1]
    rate = _SAMPLE_RATES[version][header[2] >> 2 & 3]
    padding = header[2] >> 1 & 1
    return _frame_samples(header) // 8 * kbits * 1000 // rate + padding


def _adjust_tag(head: bytearray, first: int, frames_left_out: int, file_bytes: int) -> bool:
    """Make the Xing tag in `head`, if there is one, fit the shortened file.

    The tag tells after how many frames the encoder's padding is cut off, and that has to hit the same frame as before.
    False if the tag is not in the `first` frame or contradicts the file: what comes of it is not foreseeable then.
    """
    tags = [match.start() for match in _TAG.finditer(head, _after_id3(head))]
    if not tags:
        return True
    tag = tags[0]
    if len(tags) > 1 or not first < tag <= first + _TAG_OFFSET_MAX:
        return False
    flags, field = struct.unpack_from(">I", head, tag + 4)[0], tag + 8
    if flags & 1:
        frames = struct.unpack_from(">I", head, field)[0]
        if frames < frames_left_out + 2 * STRIDE:
            return False
        struct.pack_into(">I", head, field, frames - frames_left_out)
        field += 4
    if flags & 2:
        size = struct.unpack_from(">I", head, field)[0]
        # libavformat drops the frame count where the file is more than a sixteenth longer than its tag says.
        if file_bytes - size > size >> 4:
            return False
        struct.pack_into(">I", head, field, 0)
    return True
