"""Time and memory of every optimization: alone, added one after the other, and all with several chunk sizes."""

from collections.abc import Generator, Sequence

from sonic_guard.devtools.measured_cases import Case
from sonic_guard.job import MIN_CHUNK_SIZE
from sonic_guard.optimizations import ESCALATION_ORDER, EVERY, Optimization, without_redundant

from .results import Row
from .session import Session

ELSEWHERE = frozenset((Optimization.STREAMING_DECODE, Optimization.UNET_OFFLOAD))
"""These have no part in denoise."""
CHUNKS = (1, 4, 16, 64)
"""Chunk sizes as multiples of the smallest."""


def run(session: Session, done: Sequence[Row]) -> Generator[Row]:
    """Rows of denoise; the stock order of each size comes first."""
    known = {row["key"] for row in done}
    for side in session.scale.sides:
        for case in cases(session, side):
            if case.name not in known:
                yield session.measure(case)


def cases(session: Session, side: int) -> list[Case]:
    """The cases of one size."""
    none: frozenset[Optimization] = frozenset()
    concerned = [each for each in ESCALATION_ORDER if each not in ELSEWHERE]
    alone = [frozenset((each,)) for each in concerned]
    added = [without_redundant(frozenset(concerned[: count + 1])) for count in range(len(alone))]
    found = [session.case(side, each) for each in (none, *alone, *added)]
    found += [
        session.case(side, without_redundant(EVERY - ELSEWHERE), chunk_size=times * MIN_CHUNK_SIZE) for times in CHUNKS
    ]
    return [*dict.fromkeys(found)]
