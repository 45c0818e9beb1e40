"""Bytes that can be read from any place: of a file, or of one with its middle left out."""

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


class Stream:
    """A content as a file object, for libav and Pillow."""

    def __init__(self, content: Content, name: str = "") -> None:
        self.name = name  # by its ending libav knows formats that have no mark of their own; nothing is opened by it
        self.error: BaseException | None = None
        """What has ended the reading. It is raised once: both libraries go on for a while, or swallow it."""
        self._content, self._at = content, 0

    def read(self, count: int = -1) -> bytes:
        """The next bytes: `count`, all, or those that are left; none behind an error."""
        if self.error is not None:
            return b""
        try:
            data = self._content.read_at(self._at, self._content.size if count < 0 else count)
        except BaseException as error:
            self.error = error
            raise
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to another place."""
        self._at = max(0, offset + (0, self._at, self._content.size)[whence])
        return self._at

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at
