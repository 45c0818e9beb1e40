"""Damaged files, as after a torn download, a disk error or by a fuzzer.

`mutated(data)` is a strategy; a failing example prints as ``mutate(data, [edits])``, which a test can take as it is.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

WORDS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""What a field that counts bytes, pixels or samples is set to: the borders of the usual number formats."""
FORMATS = ("B", "<H", ">H", "<I", ">I", "<Q", ">Q")


class Flip(NamedTuple):
    """One bit inverted."""

    at: float
    bit: int

    def apply(self, data: bytes) -> bytes:
        changed = bytearray(data)
        if changed:
            changed[_position(self.at, data)] ^= 1 << self.bit
        return bytes(changed)


class Cut(NamedTuple):
    """The end removed."""

    at: float

    def apply(self, data: bytes) -> bytes:
        return data[: _position(self.at, data)]


class Drop(NamedTuple):
    """Some bytes removed from the middle."""

    at: float
    length: int

    def apply(self, data: bytes) -> bytes:
        start = _position(self.at, data)
        return data[:start] + data[start + self.length :]


class Splice(NamedTuple):
    """Some bytes of the file once more, at another position."""

    at: float
    source: float
    length: int

    def apply(self, data: bytes) -> bytes:
        start, source = _position(self.at, data), _position(self.source, data)
        return data[:start] + data[source : source + self.length] + data[start:]


class Write(NamedTuple):
    """A number written over what was there, such as a size."""

    at: float
    format: str
    value: int

    def apply(self, data: bytes) -> bytes:
        size = struct.calcsize(self.format)
        number = struct.pack(self.format, self.value % (1 << 8 * size))
        start = _position(self.at, data)
        return data[:start] + number + data[start + size :]


class Insert(NamedTuple):
    """Foreign bytes."""

    at: float
    foreign: bytes

    def apply(self, data: bytes) -> bytes:
        start = _position(self.at, data)
        return data[:start] + self.foreign + data[start:]


Edit = Flip | Cut | Drop | Splice | Write | Insert


def mutate(data: bytes, edits: Sequence[Edit]) -> bytes:
    """`data` after all `edits`, one after the other. A position is a share of the file's length, 0 … 1."""
    for edit in edits:
        data = edit.apply(data)
    return data


_share = st.floats(0, 1, exclude_max=True)
# Headers are at the beginning as a rule, and they are where the damage is interesting.
_positions = _share | _share.map(lambda share: share**4) | _share.map(lambda share: share / 64)
_edits = st.one_of(
    st.builds(Flip, _positions, st.integers(0, 7)),
    st.builds(Cut, _share),
    st.builds(Drop, _positions, st.integers(1, 64)),
    st.builds(Splice, _positions, _positions, st.integers(1, 256)),
    st.builds(Write, _positions, st.sampled_from(FORMATS), st.sampled_from(WORDS)),
    st.builds(Insert, _positions, st.binary(max_size=16)),
)


def edits(most: int = 8) -> st.SearchStrategy[list[Edit]]:
    """From one edit to `most` of them."""
    return st.lists(_edits, min_size=1, max_size=most)


def mutated(data: bytes, most: int = 8) -> st.SearchStrategy[bytes]:
    """`data` after one edit to `most` of them."""
    return st.builds(mutate, st.just(data), edits(most))


def checked_png(data: bytes) -> bytes:
    """A PNG with the check sums that its chunks have to have: without them no reader looks at what is inside."""
    at, made = 8, data[:8]
    while len(data) >= at + 12:
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        made += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + length
    return made + data[at:]


def _position(share: float, data: bytes) -> int:
    return min(len(data) - 1, int(share * len(data))) if data else 0
