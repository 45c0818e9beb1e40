"""Which videos of a farm are made in parts on several cards, and where they are cut.

A video is cut if it alone takes longer than all videos would, divided evenly among the cards: until it is done, the
other cards would have nothing left to make. It is cut into as many parts as there are even shares in it, none shorter
than is worth making, or shorter if its cards could not hold them. All of that follows from the job file and the number
of cards, and is decided once: parts have seams, and a farm that goes on with other cards makes the same video.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from ..errors import SonicGuardError
from ..job import Job
from ..long_video.part_plan import plan_parts
from ..operations.talking_head import TalkingHead
from ..planning.part_length import MIN_PART_FRAMES, overlap
from .job_plans import JobPlanner, Options
from .journal_tables import TaskKind, TaskRow
from .placement import Option
from .task_content import Cut, job_of, part_of

WORTH = 1.25
"""How much longer than an even share a video has to take: each seam costs some seconds that are made twice."""
NO_CARD_FOR_PARTS = "no card of the farm holds its parts as they are cut"


class Decision(NamedTuple):
    """What of the videos is decided now; of the others no card of the farm can make any."""

    cuts: dict[str, Cut]
    """By task."""
    whole: list[str]
    """Tasks of videos that are made in one piece."""


def decide(rows: Iterable[TaskRow], planner: JobPlanner, cards: int) -> Decision:
    """What of the videos in `rows` is cut, for a farm of so many cards."""
    known: dict[str, tuple[TaskRow, Options]] = {}
    for row in rows:
        try:
            options = options_of(row, planner)
        except SonicGuardError:
            continue  # planning it again says so
        if options.options:
            known[row.task] = row, options
    even_s = sum(_seconds(options) for _, options in known.values()) / max(cards, 1)
    decision = Decision({}, [])
    for task, (row, options) in known.items():
        if row.is_cut or row.kind is not TaskKind.VIDEO:
            continue
        shares = _seconds(options) / even_s
        if shares > WORTH and (cut := _cut(planner, row, options, min(-(-shares // 1), cards))):
            decision.cuts[task] = cut
        else:
            decision.whole.append(task)
    return decision


def options_of(row: TaskRow, planner: JobPlanner) -> Options:
    """The ways to make a task that needs a card. Raises `SonicGuardError` for what cannot be used."""
    job, asked = job_of(row), part_of(row)
    options = planner.options(job)
    if asked is None:
        return options
    parts, modes = [], []
    for option, mode in zip(options.options, options.modes, strict=True):
        plans = {card: planner.plan_on(job, mode, card) for card in option.seconds_by_card}
        same = {card: plan for card, plan in plans.items() if _is_cut_like(plan, asked.parts, asked.longest)}
        if same:
            share = {card: _share(plan, asked.part) for card, plan in same.items()}
            parts.append(_only(option, share))
            modes.append(mode)
    return Options(tuple(parts), tuple(modes), 0, options.refusal or NO_CARD_FOR_PARTS)


def _seconds(options: Options) -> float:
    """On the fastest of the cards."""
    return min(options.options[0].seconds_by_card.values())


def _cut(planner: JobPlanner, row: TaskRow, options: Options, count: float) -> Cut | None:
    """The cut of a video into about `count` parts; None where that is one."""
    first = options.options[0]
    card = min(first.seconds_by_card, key=first.seconds_by_card.__getitem__)
    plan = planner.plan_on(job_of(row), options.modes[0], card)
    longest = longest_for(plan.whole, int(min(count, plan.whole.latent_frames // MIN_PART_FRAMES)))
    if plan.longest is not None:  # by its memory, or as the job asks
        longest = min(longest, plan.longest)
    parts = len(plan_parts(plan.whole, longest))
    return Cut(parts, longest) if parts > 1 else None


def longest_for(job: Job, count: int) -> int:
    """The fewest latent frames that parts may have so that there are at most `count` of them."""
    low, high = MIN_PART_FRAMES + overlap(job.window), max(job.latent_frames, MIN_PART_FRAMES + overlap(job.window))
    while low < high:
        middle = (low + high) // 2
        if len(plan_parts(job, middle)) <= max(count, 1):
            high = middle
        else:
            low = middle + 1
    return low


def _is_cut_like(plan: TalkingHead, count: int, longest: int) -> bool:
    return (len(plan.parts), plan.longest) == (count, longest)


def _share(plan: TalkingHead, index: int) -> float:
    """A part's share of the time of all parts. Where a voice pauses is not known: parts differ by a few seconds."""
    return plan.parts[index].latent_frames / sum(part.latent_frames for part in plan.parts)


def _only(option: Option, share: Mapping[str, float]) -> Option:
    """`option` on some cards, which take that share of its seconds."""
    seconds = {card: option.seconds_by_card[card] * part for card, part in share.items()}
    sizes = {card: size for card, size in option.size_by_card.items() if card in share}
    return replace(option, seconds_by_card=seconds, size_by_card=sizes)
