"""Random access to bytes: of a whole file, or of a file with parts of it left out."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple, Protocol


class Content(Protocol):
    """Bytes that do not change while they are read."""

    @property
    def size(self) -> int:
        """Number of bytes."""
        ...

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer at the end."""
        ...


class Spliced(NamedTuple):
    """Other bytes, followed by the rest of a file from `start` on."""

    head: bytes
    rest: Content
    start: int
    """Offset in `rest` of the byte that follows `head`."""

    @property
    def size(self) -> int:
        """Number of bytes, head and rest together."""
        return len(self.head) + self.rest.size - self.start

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer at the end of `head` and of `rest`."""
        if offset < len(self.head):
            return self.head[offset : offset + count]
        return self.rest.read_at(self.start + offset - len(self.head), count)


class Section(NamedTuple):
    """Bytes of a content."""

    start: int
    """Offset of the first."""
    size: int
    """Their number."""


class Excerpt:
    """Sections of a content, one after another."""

    def __init__(self, content: Content, sections: Iterable[Section]) -> None:
        self._content, self._sections = content, tuple(sections)
        self._ends = tuple(accumulate(section.size for section in self._sections))
        self.size = self._ends[-1] if self._ends else 0
        """Number of bytes, of all sections together."""

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer at the end of a section."""
        index = bisect_right(self._ends, offset)
        if index == len(self._sections):
            return b""
        left = self._ends[index] - offset
        start, whole = self._sections[index]
        return self._content.read_at(start + whole - left, min(count, left))


class Stream:
    """A content as a file object, for libav and Pillow."""

    def __init__(self, content: Content, name: str = "") -> None:
        self.name = name  # libav recognises formats without a signature by its suffix; nothing is opened by this name
        self.error: BaseException | None = None
        """The exception that ended the reading. It is raised once; libav and Pillow may swallow it or read on."""
        self._content, self._at = content, 0

    def read(self, count: int = -1) -> bytes:
        """Up to `count` of the next bytes, all of them if negative; none after an error."""
        if self.error is not None:
            return b""
        try:
            data = self._content.read_at(self._at, self._content.size if count < 0 else count)
        except BaseException as error:
            self.error = error
            raise
        self._at += len(data)
        return data

    def check(self) -> None:
        """Raise the error of reading again, if there was one."""
        if self.error is not None:
            raise self.error

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position and return it; `whence` as in `io.IOBase.seek`."""
        self._at = max(0, offset + (0, self._at, self._content.size)[whence])
        return self._at

    def tell(self) -> int:
        """The position of the next byte."""
        return self._at
