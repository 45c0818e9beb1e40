"""A park of cards simulated: the real placement with the real predictions, and what goes wrong beside it.

What is made up (cards, videos, failures) is in `sample_park`. The cards' true speeds, the runs' true times and the
failures are drawn; the placement knows none of them before they happen.
"""

import heapq
import random
import time
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any, NamedTuple

from ..devices.budget import budget_for
from ..errors import FarmError
from .forecast import CardModel, Forecast
from .lower_bound import Amount, lower_bound_s
from .placement import Assignment, CardState, Option, Placer, Work
from .sample_park import USUAL, Mishaps, Voice, card_models, parts_of, voices

LEAST, MAX_CARDS, MAX_JOBS = 1, 100_000, 10_000_000
"""Fewest of either, most cards and most jobs that a simulation takes."""


@dataclass(frozen=True)
class Report:
    """What a simulation gave. The same for the same seed, but for the time that placing took."""

    cards: int
    jobs: int
    works: int
    """Parts of all jobs."""
    refused: int
    """Jobs that no card of the park can hold."""
    makespan_s: float
    """When the last work ended."""
    lower_bound_s: float
    """No placement ends earlier, even one that knows every run's time before and on whose cards nothing fails."""
    ratio: float
    us_per_job: float
    """Processor time of prediction, placement and dispatch for a job, in 1e-6 s; the simulation itself included."""
    idle_share: float
    """Part of the cards' time before the makespan in which they were there and made nothing."""
    wasted_share: float
    """Part of it spent on runs that failed, or that were lost with their worker."""
    out_of_memory: int
    stragglers: int
    lost_workers: int
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def simulate(cards: int, jobs: int, seed: int = 0, mishaps: Mishaps = USUAL) -> Report:
    """Make `jobs` videos on a park of `cards` cards. Raises `FarmError` for numbers beyond what is simulated."""
    for name, number, most in (("cards", cards, MAX_CARDS), ("jobs", jobs, MAX_JOBS)):
        if not LEAST <= number <= most:
            raise FarmError(f"{name}: {number} is outside {LEAST} … {most}.")
    begun = time.process_time()
    draw = random.Random(seed)  # noqa: S311 - a simulation that can be repeated
    park = _Park(cards, mishaps, draw)
    refused = park.ask_for(jobs)
    park.run()
    us_per_job = (time.process_time() - begun) / jobs * 1e6
    bound = park.bound_s()
    present_s = sum(worker.present_s(park.now_s) for worker in park.workers)
    counts = park.counts
    return Report(
        cards=cards, jobs=jobs, works=len(park.factors), refused=refused, makespan_s=park.now_s, lower_bound_s=bound,
        ratio=park.now_s / bound if bound else 1.0, us_per_job=us_per_job,
        idle_share=1 - park.busy_s / present_s if present_s else 0.0,
        wasted_share=park.wasted_s / present_s if present_s else 0.0,
        out_of_memory=counts.out_of_memory, stragglers=counts.stragglers, lost_workers=counts.lost, seed=seed,
    )  # fmt: skip


@dataclass
class _Counts:
    """How often something went wrong."""

    out_of_memory: int = 0
    stragglers: int = 0
    lost: int = 0


@dataclass
class _Run:
    """A work on a card."""

    work: Work
    assignment: Assignment
    out_of_memory: bool


@dataclass
class _Worker:
    """A card of the park."""

    state: CardState
    slowness: float
    """True seconds by predicted ones."""
    run: _Run | None = None
    joined_s: float = 0.0
    absent_s: float = 0.0
    lost_s: float | None = None
    """When it was lost; None while it is there."""

    def present_s(self, now_s: float) -> float:
        """Seconds in which it was there."""
        return now_s - self.absent_s - (0.0 if self.lost_s is None else now_s - self.lost_s)


class _Event(NamedTuple):
    """What happens at a time; the number keeps the order of those that happen at once."""

    at_s: float
    number: int
    kind: str
    """end, lost, noticed or back."""
    worker: _Worker
    run: _Run | None = None


class _Park:
    """The cards, and what they make."""

    def __init__(self, cards: int, mishaps: Mishaps, draw: random.Random) -> None:
        names = card_models(cards)
        models = {name: CardModel(budget_for(name)) for name in dict.fromkeys(names)}
        spread = mishaps.card_spread
        self.workers = [
            _Worker(
                CardState(f"{number:06}", name, models[name].budget.usable_bytes), draw.uniform(1 - spread, 1 + spread)
            )
            for number, name in enumerate(names)
        ]
        self.now_s = self.busy_s = self.wasted_s = 0.0
        self.counts = _Counts()
        self.factors: dict[str, float] = {}
        """True seconds by predicted ones of each work that some card can make."""
        self._forecast = Forecast(models)
        self._placer = Placer(worker.state for worker in self.workers)
        self._amounts: dict[tuple[Option, ...], list[float]] = {}
        self._mishaps, self._draw = mishaps, draw
        self._events: list[_Event] = []
        self._numbers = count()
        self._idle: dict[str, _Worker] = {}
        self._left = 0

    def ask_for(self, jobs: int) -> int:
        """Place the parts of so many videos. Returns how many videos no card can make."""
        known: dict[Voice, list[tuple[Option, ...]]] = {}
        works: list[Work] = []
        for number, voice in enumerate(voices(jobs, self._draw)):
            if voice not in known:
                known[voice] = [self._forecast.options(part) for part in parts_of(voice)]
            works += [Work(f"{number}/{part}", options) for part, options in enumerate(known[voice])]
        refused = {refusal.work_id for refusal in self._placer.add(works)}
        for work in works:
            if work.id not in refused:
                self.factors[work.id] = factor = self._draw.lognormvariate(0, self._mishaps.run_spread)
                self._amounts.setdefault(work.options, []).append(factor)
        self._left = len(self.factors)
        return len({name.partition("/")[0] for name in refused})

    def run(self) -> None:
        """Until the last work has ended."""
        for worker in self.workers:
            self._plan_loss(worker)
            self._begin(worker)
        happens = {"end": self._end, "lost": self._lose, "noticed": self._notice, "back": self._replace}
        while self._left:
            event = heapq.heappop(self._events)
            self.now_s = event.at_s
            happens[event.kind](event.worker, event.run)

    def bound_s(self) -> float:
        """The lower bound for these works on these cards, had nothing failed."""
        capacity = dict.fromkeys((worker.state.card for worker in self.workers), 0.0)
        memory = {worker.state.card: worker.state.usable_bytes for worker in self.workers}
        for worker in self.workers:
            capacity[worker.state.card] += 1 / worker.slowness
        amounts = [
            Amount(_best_seconds(options, memory), sum(factors), max(factors))
            for options, factors in self._amounts.items()
        ]
        return lower_bound_s(amounts, capacity, 1 / min(worker.slowness for worker in self.workers))

    def _happen(self, after_s: float, kind: str, worker: _Worker, run: _Run | None = None) -> None:
        heapq.heappush(self._events, _Event(self.now_s + after_s, next(self._numbers), kind, worker, run))

    def _plan_loss(self, worker: _Worker) -> None:
        if rate := self._mishaps.lost_per_day:
            self._happen(self._draw.expovariate(rate / 86400), "lost", worker)

    def _begin(self, worker: _Worker) -> None:
        """Let a free worker take its next work."""
        taken = self._placer.take(worker.state.worker, self.now_s)
        if taken is None:
            self._idle[worker.state.worker] = worker
            return
        work, assignment = taken
        draw, mishaps = self._draw, self._mishaps
        seconds = (assignment.end_s - assignment.start_s) * worker.slowness * self.factors[work.id]
        if draw.random() < mishaps.straggler:
            seconds *= draw.uniform(1.5, 3)
            self.counts.stragglers += 1
        failed = draw.random() < mishaps.out_of_memory
        worker.run = _Run(work, assignment, failed)
        self._happen(seconds * draw.random() if failed else seconds, "end", worker, worker.run)

    def _end(self, worker: _Worker, run: _Run | None) -> None:
        if run is None or worker.run is not run:
            return  # it was lost before
        self._stop(worker, wasted=run.out_of_memory)
        if run.out_of_memory:
            self.counts.out_of_memory += 1
            self._add(run.work.after(run.assignment.option_index, worker.state.usable_bytes))
        else:
            self._left -= 1
        self._begin(worker)

    def _lose(self, worker: _Worker, _: _Run | None) -> None:
        self.counts.lost += 1
        lost = worker.run
        self._stop(worker, wasted=True)
        worker.lost_s = self.now_s
        self._idle.pop(worker.state.worker, None)
        self._happen(self._mishaps.unseen_s, "noticed", worker, lost)

    def _stop(self, worker: _Worker, *, wasted: bool) -> None:
        if worker.run is not None:
            seconds = self.now_s - worker.run.assignment.start_s
            self.busy_s += seconds
            self.wasted_s += seconds if wasted else 0.0
            worker.run = None

    def _notice(self, worker: _Worker, lost: _Run | None) -> None:
        self._placer.leave(worker.state.worker, self.now_s)
        if lost is not None:
            self._add(lost.work)
        self._happen(self._mishaps.replaced_s, "back", worker)

    def _replace(self, worker: _Worker, _: _Run | None) -> None:
        worker.absent_s += self.now_s - (worker.lost_s or 0.0)
        worker.lost_s = None
        self._placer.join(worker.state, self.now_s)
        self._plan_loss(worker)
        self._begin(worker)

    def _add(self, work: Work) -> None:
        """Place a work again, and let the idle cards ask for it."""
        self._left -= len(self._placer.add([work], self.now_s))  # beyond every card: given up
        idle, self._idle = self._idle, {}
        for worker in idle.values():
            self._begin(worker)


def _best_seconds(options: tuple[Option, ...], memory: dict[str, int]) -> dict[str, float]:
    """The fewest seconds on each card model that can hold a work with any of its options."""
    fitting = [
        (name, seconds)
        for option in options
        for name, seconds in option.seconds_by_card.items()
        if option.bytes_on(name) <= memory[name]
    ]
    return {name: min(seconds for each, seconds in fitting if each == name) for name, _ in fitting}
