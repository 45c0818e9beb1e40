"""Which card makes which work, and in which order. Pure: no clock, no disk, no network.

A work has *options*: the same video with more and more memory optimizations, each with the bytes and the seconds that
it takes on a card model. On a card it is made with the first option that fits there. Works are placed largest first
(those that the fewest cards can hold, of these the longest), each where it would end earliest.

Cards of the same model and memory form a *group*, which shares one queue: a free card takes the longest work of its
group. So a card that turns out slow holds up nobody, and placing asks for a few dozen groups instead of a thousand
cards. A group whose queue is empty takes over from the one that would end last what it would itself end earlier.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from ..devices.budget import RESERVE
from ..devices.card_catalogue import Card, all_cards, less_reserve, smallest_card_for
from ..errors import FarmError, brief
from ..optimizations import Optimization
from .work_queue import WorkQueue

_EVEN_FROM = 4
"""Works a card from which the ends of a group's cards count as even: computing each would take longer than it saves."""


@dataclass(frozen=True)
class CardState:
    """One worker: a ComfyUI server with one card."""

    worker: str
    card: str
    """Model, as in the options' mappings: the catalogue's title, or another name."""
    usable_bytes: int
    """Bytes that a run may use, the reserve taken off; of the idle card, so that cards of a model are alike."""
    busy_until_s: float = 0.0
    """When it is expected to be free, in seconds from now."""


@dataclass(frozen=True, eq=False)
class Option:
    """One way to make a work. Compared by identity: works of the same size should share their options."""

    size_bytes: int
    """Predicted peak on the card."""
    seconds_by_card: Mapping[str, float]
    """Predicted seconds by card model. On a model that is missing it does not run, whatever the memory."""
    optimizations: frozenset[Optimization] = frozenset()
    size_by_card: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """The peak on models where it differs from `size_bytes`: other number formats, other chunk sizes."""

    def bytes_on(self, card: str) -> int:
        """Predicted peak on a card model."""
        return self.size_by_card.get(card, self.size_bytes)


class Failure(NamedTuple):
    """An option that ran out of memory."""

    option_index: int
    usable_bytes: int
    """Of the card on which it did."""


@dataclass(frozen=True)
class Work:
    """One task: a job or a part of it, or the finishing of a video on a CPU."""

    id: str
    options: tuple[Option, ...]
    """From the fewest optimizations to the most."""
    failures: tuple[Failure, ...] = ()
    """What has been tried: it leaves the later options, and on larger cards all of them."""

    def may_run(self, option_index: int, usable_bytes: int) -> bool:
        """Whether no failure speaks against an option on a card with so many bytes."""
        return all(option_index > failed or usable_bytes > on for failed, on in self.failures)

    def after(self, option_index: int, usable_bytes: int) -> "Work":
        """The work after an option ran out of memory on a card with so many bytes."""
        return replace(self, failures=(*self.failures, Failure(option_index, usable_bytes)))


class Assignment(NamedTuple):
    """A work, and the card that makes it. Seconds are counted from when its `Placer` began."""

    work_id: str
    worker: str
    option_index: int
    start_s: float
    end_s: float
    """When it is expected to end."""


class Refusal(NamedTuple):
    """A work that none of the cards can ever make."""

    work_id: str
    needed_bytes: int
    """The least that any of its options needs."""
    card: Card | None
    """The smallest card that would hold it; None where no card of the catalogue does."""


class Placement(NamedTuple):
    """Where works are made."""

    assignments: list[Assignment]
    refusals: list[Refusal]


class _Choice(NamedTuple):
    """How a work is made on the cards of a group."""

    seconds: float
    option_index: int


_Key = tuple[tuple[Option, ...], tuple[Failure, ...]]
"""Works that are alike: they have the same options and have failed alike."""


class _Group:
    """Cards of one model and memory, and the works that wait for them."""

    def __init__(self, card: str, usable_bytes: int) -> None:
        self.card = card
        self.usable_bytes = usable_bytes
        self.ends: dict[str, float] = {}
        """When each worker is expected to be free."""
        self.queue: WorkQueue[_Key, Work] = WorkQueue()

    def level_s(self, now_s: float) -> float:
        """When its cards would end if the works that wait could be divided evenly."""
        busy = sum(end - now_s for end in self.ends.values() if end > now_s)
        return now_s + (busy + self.queue.seconds) / len(self.ends)

    def ends_after_queue(self, now_s: float) -> list[float]:
        """A heap with the time at which each card is free for one more work."""
        if len(self.queue) > _EVEN_FROM * len(self.ends):
            return [self.level_s(now_s)] * len(self.ends)
        ends = [max(end, now_s) for end in self.ends.values()]
        heapq.heapify(ends)
        for _, seconds, count in self.queue.classes():
            for _ in range(count):
                heapq.heapreplace(ends, ends[0] + seconds)
        return ends


class Placer:
    """Works and cards, both of which come and go. All times are seconds from the same beginning."""

    def __init__(self, cards: Iterable[CardState] = ()) -> None:
        self._groups: dict[tuple[str, int], _Group] = {}
        self._group_of: dict[str, _Group] = {}
        self._choices: dict[_Key, dict[_Group, _Choice]] = {}
        for card in cards:
            self.join(card)

    @property
    def waiting(self) -> int:
        """Works that no card has taken yet."""
        return sum(len(group.queue) for group in self._groups.values())

    def join(self, card: CardState, now_s: float = 0.0) -> None:
        """Add a card. Raises `FarmError` if there is a worker of that name."""
        if card.worker in self._group_of:
            raise FarmError(f"worker: there are two called {brief(card.worker)}. Give each another name.")
        at = card.card, card.usable_bytes
        if at not in self._groups:
            self._groups[at] = _Group(*at)
            self._choices.clear()
        self._group_of[card.worker] = self._groups[at]
        self._groups[at].ends[card.worker] = now_s + card.busy_until_s

    def leave(self, worker: str, now_s: float) -> list[Refusal]:
        """Remove a card. What it was making has to be added again; what waited for it goes to others.

        Returns the works that no other card can make: they are no longer placed.
        """
        group = self._group_of.pop(worker)
        del group.ends[worker]
        if group.ends:
            return []
        del self._groups[group.card, group.usable_bytes]
        self._choices.clear()
        return self.add(group.queue.clear(), now_s)

    def add(self, works: Iterable[Work], now_s: float = 0.0) -> list[Refusal]:
        """Place works, largest first, each where it ends earliest. Returns those that no card can make."""
        heaps = {group: group.ends_after_queue(now_s) for group in self._groups.values()}
        refusals: list[Refusal] = []
        for work in sorted(works, key=self._order):
            key = work.options, work.failures
            choices = self._choices_for(key)
            if not choices:
                refusals.append(_refusal(work))
                continue
            group = min(choices, key=lambda each: heaps[each][0] + choices[each].seconds)
            seconds = choices[group].seconds
            group.queue.push(key, seconds, work)
            heapq.heapreplace(heaps[group], heaps[group][0] + seconds)
        return refusals

    def take(self, worker: str, now_s: float) -> tuple[Work, Assignment] | None:
        """The next work of a worker that is free; None while there is none for it."""
        group = self._group_of[worker]
        work = self._next(group, now_s)
        if work is None:
            group.ends[worker] = now_s
            return None
        choice = self._choices_for((work.options, work.failures))[group]
        group.ends[worker] = end = now_s + choice.seconds
        return work, Assignment(work.id, worker, choice.option_index, now_s, end)

    def _next(self, group: _Group, now_s: float) -> Work | None:
        for key, *_ in group.queue.classes():
            return group.queue.pop(key)
        waiting = [each for each in self._groups.values() if len(each.queue)]
        levels = {each: each.level_s(now_s) for each in waiting}
        for other in sorted(waiting, key=levels.__getitem__, reverse=True):
            for key, seconds, _ in other.queue.classes():
                here = self._choices_for(key).get(group)
                if here and now_s + here.seconds < max(levels[other], now_s + seconds):
                    return other.queue.pop(key)
        return None

    def _order(self, work: Work) -> tuple[int, float]:
        """First what the fewest cards can hold, which must not find these taken; of such works the longest."""
        choices = self._choices_for((work.options, work.failures))
        cards = sum(len(group.ends) for group in choices)
        return cards, -min((choice.seconds for choice in choices.values()), default=0.0)

    def _choices_for(self, key: _Key) -> dict[_Group, _Choice]:
        """How works of the class are made by each of the groups that can make them."""
        if key not in self._choices:
            work = Work("", *key)
            made = ((group, _choose(work, group)) for group in self._groups.values())
            self._choices[key] = {group: choice for group, choice in made if choice}
        return self._choices[key]


def place(works: Iterable[Work], cards: Sequence[CardState]) -> Placement:
    """Where each of the works is made and when, in the order in which they begin.

    Raises `FarmError` for two workers of one name.
    """
    placer = Placer(cards)
    refusals = placer.add(works)
    free = [(max(card.busy_until_s, 0.0), number) for number, card in enumerate(cards)]
    heapq.heapify(free)
    assignments: list[Assignment] = []
    while free:
        now_s, number = heapq.heappop(free)
        if taken := placer.take(cards[number].worker, now_s):
            assignments.append(taken[1])
            heapq.heappush(free, (taken[1].end_s, number))
    return Placement(assignments, refusals)


def _choose(work: Work, group: _Group) -> _Choice | None:
    """The first option that fits the group's cards; None where none does."""
    for index, option in enumerate(work.options):
        seconds = option.seconds_by_card.get(group.card)
        fits = option.bytes_on(group.card) <= group.usable_bytes
        if seconds is not None and fits and work.may_run(index, group.usable_bytes):
            return _Choice(seconds, index)
    return None


def _refusal(work: Work) -> Refusal:
    needed = min(option.size_bytes for option in work.options)
    needed = max([needed, *(on + 1 for _, on in work.failures)])  # what ran out of memory needs more than there was
    return Refusal(work.id, needed, card_that_holds(needed))


def card_that_holds(needed_bytes: int) -> Card | None:
    """The smallest card for so many bytes beside the reserve: a common one, else any of NVIDIA's; None beyond those."""
    common = smallest_card_for(needed_bytes)
    if common is not None:
        return common
    cards = (card for card in all_cards() if card.vendor == "NVIDIA" and card.bf16)
    holding = (card for card in cards if less_reserve(card.total_bytes, RESERVE) >= needed_bytes)
    return min(holding, key=lambda card: card.memory_gib, default=None)
