"""The workers of a farm as the client knows them: which are there, which can be used, what each is making."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..devices.budget import Budget
from .comfyui_client import Facts
from .dask_link import DaskLink
from .dask_worker import Bound
from .events import Happening, Told
from .job_plans import card_budget
from .placement import CardState

LOOK_S = 1.0
"""Between two looks at the scheduler's list of workers."""
ASK_AGAIN_S, ASK_SHARE = 0.5, 0.25
"""Least seconds before workers whose server could not be used are asked again, and the most of the time for asking."""
BENCH_FROM, BENCH_S = 3, 60.0
"""Failures of a server in a row, and the seconds that it then gets no work."""


@dataclass
class Member:
    """A worker, with its server and card if it has them."""

    name: str
    address: str
    server: str
    """Address of its ComfyUI; "" for a worker without a card, which works on the CPU."""
    facts: Facts
    budget: Budget
    task: str = ""
    """What it is making; "" where it is free."""
    failures: int = 0
    """In a row."""
    rests_until: float = 0.0

    @property
    def card(self) -> CardState:
        """As the placement sees it."""
        return CardState(self.name, self.budget.card, self.budget.usable_bytes)

    @property
    def is_free(self) -> bool:
        """Whether it takes a task now."""
        return not self.task and time.monotonic() >= self.rests_until


def ask_pause_s(took_s: float) -> float:
    """Seconds before workers are asked again who took `took_s` to say that their servers cannot be used.

    A server that is starting refuses at once, and is found as soon as it is ready. For one that hangs the farm waits.
    """
    return max(ASK_AGAIN_S, took_s * (1 / ASK_SHARE - 1))


@dataclass
class Fleet:
    """All workers, by name."""

    tell: Callable[[Told], object]
    members: dict[str, Member] = field(default_factory=dict)
    _ask_at: dict[str, float] = field(default_factory=dict)
    """When a worker that cannot be used is asked again, by its address."""
    own: frozenset[str] = frozenset()
    """Addresses of the servers that the farm has started: while they do not listen, they are loading."""
    _unusable: dict[str, Bound] = field(default_factory=dict)
    """Workers that are there and cannot be used, by name."""
    _looked: float = 0.0

    def look(self, link: DaskLink) -> tuple[list[Member], list[Member]]:
        """Workers that have come, and that are gone. Raises `LostError`."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return [], []
        self._looked = now
        there = link.workers()
        gone = [each for each in self.members.values() if there.get(each.name) != each.address]
        for each in gone:
            del self.members[each.name]
            self.tell(Told(Happening.LEFT, each.name))
        self._unusable = {name: bound for name, bound in self._unusable.items() if name in there}
        unknown = {
            address: name
            for name, address in there.items()
            if name not in self.members and now >= self._ask_at.get(address, now)
        }
        described = link.describe(list(unknown))
        answered = time.monotonic()
        self._ask_at |= dict.fromkeys(unknown, answered + ask_pause_s(answered - now))
        come = [
            member for address, bound in described.items() if (member := self._member(unknown[address], address, bound))
        ]
        self.members |= {each.name: each for each in come}
        return come, gone

    def clear(self) -> list[Member]:
        """Contact is broken: nothing is known of any worker. Returns those there were."""
        were = list(self.members.values())
        self.members.clear()
        self._ask_at.clear()
        self._looked = 0.0
        return were

    @property
    def servers(self) -> list[Member]:
        """Workers with a server."""
        return [each for each in self.members.values() if each.server]

    @property
    def cpus(self) -> list[Member]:
        """Workers that join and finish: those without a server, or all where each has one."""
        return [each for each in self.members.values() if not each.server] or list(self.members.values())

    @property
    def lacking(self) -> list[Bound]:
        """Servers that answer, and lack nodes that a video needs."""
        return [each for each in self._unusable.values() if each.is_lacking]

    @property
    def all_lack_nodes(self) -> bool:
        """Whether there are servers, and all of them lack nodes: none can be used, and none is still loading."""
        bound = [each for each in self._unusable.values() if each.server]
        return bool(bound) and not self.servers and all(each.is_lacking for each in bound)

    def bench(self, member: Member, text: str) -> None:
        """Count a failure of a server; one that goes on failing gets no work for a while, and others no worse."""
        member.failures += 1
        member.rests_until = time.monotonic() + 2.0  # another server is the first to take the task
        if member.failures >= BENCH_FROM:
            member.rests_until = time.monotonic() + BENCH_S
            self.tell(Told(Happening.BENCHED, member.server or member.name, text))

    def _note(self, name: str, bound: Bound) -> None:
        """A worker cannot be used: why, said once."""
        if self._unusable.get(name) == bound:
            return
        self._unusable[name] = bound
        if bound.is_lacking:
            self.tell(Told(Happening.LACKING, bound.server, bound.fault))
        elif bound.is_silent and bound.server in self.own:
            self.tell(Told(Happening.LOADING, name))
        else:
            self.tell(Told(Happening.UNUSABLE, name, bound.fault))

    def _member(self, name: str, address: str, bound: Bound) -> Member | None:
        if not bound.can_spawn:
            bound = Bound(bound.server, fault="its nanny lets it start no process; start it with --no-nanny")
        elif not bound.fault and any(each.server == bound.server for each in self.servers):
            bound = replace(bound, facts=None, fault=f"another worker is bound to {bound.server}")
        facts = bound.facts
        if bound.fault or facts is None:
            self._note(name, bound)
            return None
        self._unusable.pop(name, None)
        self.tell(Told(Happening.JOINED, name, facts.device_name))
        return Member(name, address, bound.server, facts, card_budget(facts))
