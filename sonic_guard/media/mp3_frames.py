"""Counts the samples of long MP3 files without decoding all of their frames.

An MP3 is a chain of frames. Four header bytes give the length of a frame in bytes, and all frames hold the same number
of samples, so the middle of the chain can be counted from the headers alone. What cannot be counted that way (the
gapless tag at the beginning, tags and damage anywhere, the last frames) stays in the file for the decoder.

Sources: ISO/IEC 11172-3 2.4.2.3 and 13818-3 for the header; libavformat/mp3dec.c for the Xing/LAME tag.
"""

import re
import struct
from itertools import count
from typing import NamedTuple

from .byte_source import Content, Spliced

CUT_STRIDE = 64
"""Frames between two possible cuts; more than any encoder's delay or padding covers."""
MAX_JUNK_BYTES = 1 << 16
"""How far after an ID3 tag the first frame is searched for."""
MAX_HEAD_BYTES = 1 << 26
"""Longest ID3 tag that is held in memory; a file with a longer one is not shortened."""
BLOCK_BYTES, FIRST_BYTES = 1 << 20, 1 << 14
"""Bytes read at a time, and the first time: most chains found in junk end at once."""
_TAG = re.compile(rb"(?:Xing|Info).{12}", re.DOTALL)
_TAG_OFFSET_MAX = 36  # bytes of header and side information that precede the tag in its frame

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

    content: Content
    """A complete MP3 file."""
    samples_left_out: int
    """Samples per channel in the frames that were left out."""


def shorten(content: Content) -> Shortened | None:
    """Leave the uniform middle out of the MP3 `content`, reading it once.

    Decoding the result yields exactly `samples_left_out` samples fewer than decoding `content`, except for frames
    that are damaged after an intact header, which only decoding shows. None if nothing can be left out safely.
    """
    begin = _after_id3(content.read_at(0, 10))
    if begin > MAX_HEAD_BYTES:
        return None
    cuts = _longest_chain(content, begin)
    if len(cuts) < 4:
        return None
    first, start, stop = cuts[0], cuts[1], cuts[-2]
    frames = (len(cuts) - 3) * CUT_STRIDE
    head = bytearray(content.read_at(0, start))
    if not _adjust_tag(head, first, frames, content.size):
        return None
    return Shortened(Spliced(bytes(head), content, stop), frames * _frame_samples(bytes(head[first : first + 4])))


def _longest_chain(content: Content, begin: int) -> list[int]:
    """Offsets of every `CUT_STRIDE`-th frame of the first usable chain after the tag; empty if there is none."""
    junk = content.read_at(begin, MAX_JUNK_BYTES)
    offset = junk.find(b"\xff")
    while offset >= 0:
        cuts = _chain(content, begin + offset) if _stream_bits(junk[offset : offset + 4]) else []
        if len(cuts) > 1:
            return cuts
        offset = junk.find(b"\xff", offset + 1)
    return []


def _after_id3(data: bytes | bytearray) -> int:
    """Length in bytes of the ID3v2 tag that `data` begins with; 0 without one."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    a, b, c, d = data[6:10]
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def _chain(content: Content, offset: int) -> list[int]:
    """Offsets of every `CUT_STRIDE`-th frame from `offset` on, up to the first bytes that do not continue the chain."""
    block, base, at = content.read_at(offset, FIRST_BYTES), offset, 0
    sizes = _FrameSizes(block[:4])
    cuts = []
    for frame in count():
        if frame % CUT_STRIDE == 0:
            cuts.append(base + at)
        if at + 4 > len(block):
            base, at = base + at, 0
            block = content.read_at(base, BLOCK_BYTES)
        size = sizes[block[at : at + 4]]
        if not size:
            break
        at += size
    return cuts


class _FrameSizes(dict[bytes, int]):
    """Bytes in a frame, by its header; 0 for a header that does not belong to the stream of the first one.

    A file has some dozens of different headers, so nearly every lookup is that of a plain dict.
    """

    def __init__(self, first: bytes) -> None:
        self._stream = _stream_bits(first)

    def __missing__(self, header: bytes) -> int:
        bits = _stream_bits(header)
        if bits is None or bits != self._stream:
            return 0
        size = self[header] = _frame_bytes(header)
        return size


def _stream_bits(header: bytes) -> tuple[int, int, bool] | None:
    """The constant fields of a stream: version, sample rate index, mono. None for anything but a layer III header."""
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
    """Adapt the Xing tag in `head`, if there is one, to the shortened file.

    The tag gives the number of frames after which the encoder's padding is cut off; the same frame must be cut as
    before. False if the tag is not in the `first` frame or contradicts the file: its effect is unknown then.
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
        if frames < frames_left_out + 2 * CUT_STRIDE:
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
