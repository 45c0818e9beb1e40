"""Weights that stay in host memory: memory, time and frames, against the stock order and without the streaming."""

from collections.abc import Generator, Sequence

from sonic_guard.optimizations import EVERY, Optimization, without_redundant

from .results import Row
from .session import Session, apart

ALONE = frozenset((Optimization.STREAM_WEIGHTS,))


def run(session: Session, done: Sequence[Row]) -> Generator[Row]:
    """Rows of denoise by size, stock and streamed, then how far the streamed frames are from the others."""
    known, every = {row["key"] for row in done}, without_redundant(EVERY)
    for side in session.scale.sides:
        for optimizations in (frozenset[Optimization](), ALONE, every - ALONE, every):
            case = session.case(side, optimizations)
            if case.name not in known:
                yield session.measure(case)
    side = session.scale.clip_side
    for optimizations in (ALONE, every):
        pair = [session.case(side, each) for each in (optimizations - ALONE, optimizations)]
        key = f"frames: {pair[1].name}"
        if key not in known:
            without, streamed = (session.frames(each)[0] for each in pair)
            yield {"key": key, **apart(streamed, without)}
