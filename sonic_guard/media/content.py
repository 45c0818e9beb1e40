"""Bytes that are read from any place: a file, or one with its middle left out."""

from typing import NamedTuple, Protocol


class Content(Protocol):
    """Bytes that do not change while they are read."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def read_at(self, offset: int, count: int) -> bytes:
        """The bytes from `offset`: `count`, or those that are left."""
        ...


class Spliced(NamedTuple):
    """Other bytes in front of the rest of a file."""

    head: bytes
    rest: Content
    start: int
    """First byte of `rest` that follows `head`."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.head) + self.rest.size - self.start

    def read_at(self, offset: int, count: int) -> bytes:
        """The bytes from `offset`, maybe fewer at the border of the two."""
        if offset < len(self.head):
            return self.head[offset : offset + count]
        return self.rest.read_at(self.start + offset - len(self.head), count)
