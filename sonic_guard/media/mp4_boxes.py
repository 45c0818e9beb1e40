"""Detects impossible sample counts in MP4 and MOV files, and item counts in HEIC and AVIF.

libav builds an index of some 35 bytes per sample before it reads anything: a table of 485 bytes that claims 40 million
samples costs 1.4 GB. For an item it allocates 8 bytes: 200 million of them, claimed in 130 bytes, cost 1.5 GB.

Source: ISO/IEC 14496-12: stts and ctts (8.6.1), stsz (8.7.3), stsc (8.7.4), stco and co64 (8.7.5), trun (8.8.8), meta
(8.11.1), iloc (8.11.3), iinf (8.11.6).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .byte_source import Content

MAX_SAMPLES = 20_000_000
"""Most samples in all tracks together. A hundred hours of AAC have 17 million."""
FEW_SAMPLES = 1_000_000
"""Up to this many samples are always accepted: their index takes 35 MB."""
SAMPLE_BYTES = 8
"""Fewest bytes of the file per sample, if there are more samples than that."""
MAX_TABLE_BYTES = 1 << 27
"""Most bytes read of a table, which then has millions of entries."""
META_BLOCK_BYTES = 1 << 20
"""Bytes of a meta box that are searched at a time."""
PACKET_SAMPLES = 160
"""libav groups uncompressed sound into packets of at least this many samples, and indexes the packets."""

_PARENT_BOXES = {
    *(b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"mvex", b"moof", b"traf", b"wave"),
    *(b"tref", b"ilst", b"iprp", b"cmov", b"clip", b"meta"),
}
"""Boxes that libav searches for others. A table in any of them counts for the last track."""


def fault(content: Content) -> str:
    """What is wrong with the sample counts, for an error message; empty if they are possible, or for other files."""
    tracks = [_Track()]
    _read_boxes(content, 0, content.size, tracks)
    samples = sum(track.samples() for track in tracks)
    most = max(FEW_SAMPLES, min(MAX_SAMPLES, content.size // SAMPLE_BYTES))
    return f"its tables claim {samples:,} entries, and the file has {content.size:,} bytes" if samples > most else ""


@dataclass
class _Track:
    claims: Counter[bytes] = field(default_factory=Counter)
    """Samples by the table that claims them."""
    one_by_one: bool | None = None
    """Whether every sample lasts one tick, as in uncompressed sound; None before its table is read."""
    chunks: int = 0
    items: int = 0
    """Pictures and their like; they belong to no track."""
    runs: "np.ndarray | None" = None

    def samples(self) -> int:
        if self.runs is not None and self.chunks:
            first = np.clip(self.runs[:, 0].astype(np.int64) - 1, 0, self.chunks)
            lengths = np.diff(first, append=self.chunks)
            self.claims[b"stsc"] = sum(int(a) * int(b) for a, b in zip(lengths, self.runs[:, 1], strict=True) if a > 0)
        packets = PACKET_SAMPLES if self.one_by_one else 1
        in_tables = max((count for name, count in self.claims.items() if name != b"trun"), default=0)
        return in_tables // packets + self.claims[b"trun"] + self.items


def _read_boxes(content: Content, start: int, end: int, tracks: list[_Track], depth: int = 0) -> None:
    for name, begin, stop in _boxes(content, start, end):
        if name == b"trak":
            tracks.append(_Track())
        if name == b"meta":
            begin = _first_child(content, begin, stop)
        if name in _PARENT_BOXES and depth < 16:  # ordinary files have ten levels
            _read_boxes(content, begin, stop, tracks, depth + 1)
        else:
            _read_table(content, name, begin, stop, tracks[-1])


def _boxes(content: Content, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, and offsets of the beginning and end of the payload, of each box between `start` and `end`."""
    while start + 8 <= end:
        head = content.read_at(start, 16)
        size, name, inside = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, inside = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - start
        if size < inside:
            return
        yield name, start + inside, min(start + size, end)
        start += size


def _first_child(content: Content, begin: int, stop: int) -> int:
    """Offset of the first box in a meta box, which is "hdlr" for libav, whatever is before it."""
    for start in range(begin, stop, META_BLOCK_BYTES):
        words = np.frombuffer(content.read_at(start, min(META_BLOCK_BYTES, stop - start)) + bytes(3), np.uint8)
        found = np.flatnonzero(words[: len(words) // 4 * 4].view("S4") == b"hdlr")
        if len(found):
            return start + 4 * int(found[0]) - 4
    return stop


def _read_table(content: Content, name: bytes, start: int, end: int, track: _Track) -> None:
    """Add the sample count that the table `name` claims to `track`."""
    match name:
        case b"stsz":
            track.claims[name] += _number(content, start + 8)
        case b"trun":
            track.claims[name] += _number(content, start + 4)
        case b"iloc" | b"iinf":
            track.items += _items(content, name, start)
        case b"stco" | b"co64":
            track.chunks = max(track.chunks, _number(content, start + 4))
        case b"stts" | b"ctts":
            table = _table(content, start, end, 2)
            track.claims[name] += int(table[:, 0].sum(dtype=np.uint64))
            if name == b"stts":
                single = len(table) == 1 and int(table[0, 1]) == 1
                track.one_by_one = single and track.one_by_one is not False
        case b"stsc":
            track.runs = _table(content, start, end, 3)
        case _:
            pass


def _number(content: Content, at: int) -> int:
    return int.from_bytes(content.read_at(at, 4), "big")


def _items(content: Content, name: bytes, start: int) -> int:
    version = content.read_at(start, 1)
    at, wide = (start + 6, b"\2") if name == b"iloc" else (start + 4, b"\1")
    return int.from_bytes(content.read_at(at, 4 if version >= wide else 2), "big")


def _table(content: Content, start: int, end: int, columns: int) -> np.ndarray:
    """The numbers of a table, uint32 [rows, columns]; rows that it claims beyond the end of the file are left out."""
    wanted = _number(content, start + 4) * 4 * columns
    data = content.read_at(start + 8, max(0, min(wanted, end - start - 8, MAX_TABLE_BYTES)))
    return np.frombuffer(data[: len(data) // (4 * columns) * 4 * columns], ">u4").reshape(-1, columns)
