"""Works that wait, largest first, by classes of works that take equally long."""

from bisect import insort
from collections import deque
from collections.abc import Hashable, Iterator
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class _Entry(NamedTuple):
    """A class in the order of the queue."""

    order: tuple[float, int]
    """Minus the seconds, and the number of the class, so that keys are never compared."""
    key: Hashable


class WorkQueue(Generic[Key, Item]):
    """A queue that gives the longest work first. Works with the same key take the same time."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._items: dict[Key, deque[Item]] = {}
        self._numbers = 0
        self._length = 0
        self.seconds = 0.0
        """Of all works together."""

    def __len__(self) -> int:
        return self._length

    def push(self, key: Key, seconds: float, item: Item) -> None:
        """Append a work of the class `key`, each of which takes `seconds`."""
        if key not in self._items:
            self._numbers += 1
            self._items[key] = deque()
            insort(self._entries, _Entry((-seconds, self._numbers), key))
        self._items[key].append(item)
        self._length += 1
        self.seconds += seconds

    def classes(self) -> Iterator[tuple[Key, float, int]]:
        """The classes that wait, longest first: key, seconds of one work, how many."""
        for entry in self._entries:
            key: Key = entry.key  # type: ignore[assignment]
            yield key, -entry.order[0], len(self._items[key])

    def pop(self, key: Key) -> Item:
        """Take the work of a class that waits longest. Raises `KeyError` for a class of which none waits."""
        items = self._items[key]
        item = items.popleft()
        at = next(index for index, entry in enumerate(self._entries) if entry.key == key)
        self._length -= 1
        self.seconds += self._entries[at].order[0]
        if not items:
            del self._items[key], self._entries[at]
        if not self._length:
            self.seconds = 0.0  # sums of fractions leave a rest
        return item

    def clear(self) -> list[Item]:
        """Take all of them."""
        items = [item for entry in self._entries for item in self._items[entry.key]]  # type: ignore[index]
        self.__init__()
        return items
