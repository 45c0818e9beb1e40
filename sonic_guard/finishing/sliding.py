"""A stream of items, each with its neighbours: what a filter with bounded context works on."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class Window(NamedTuple, Generic[Item]):
    """Neighbouring items of a stream."""

    items: tuple[Item, ...]
    at: int
    """Index in `items` of the item in question; the others come before and after it."""

    @property
    def middle(self) -> Item:
        """The item in question."""
        return self.items[self.at]


def windows(items: Iterable[Item], before: int, after: int) -> Iterator[Window[Item]]:
    """For each item, the up to `before` items before it and the up to `after` items after it.

    Holds `before` + `after` + 1 items. At the ends of the stream a window has fewer.
    """
    held: deque[Item] = deque()
    source = iter(items)
    held = deque(islice(source, after))
    at = 0
    while True:
        held.extend(islice(source, 1))
        if at == len(held):
            return
        yield Window(tuple(held), at)
        if at == before:
            held.popleft()
        else:
            at += 1
