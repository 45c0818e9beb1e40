"""Weights that stay in host memory: memory, time and frames, against the stock order and without the streaming.

The optimization is looked up by its name, so that the check follows the table of optimizations.
"""

from collections.abc import Generator, Sequence

from sonic_guard.optimizations import EVERY, Optimization, in_order, without_redundant

from .results import Row
from .session import Session, apart

NAME = "stream_weights"


def run(session: Session, done: Sequence[Row]) -> Generator[Row]:
    """Rows of denoise by size, stock and streamed, then how far the streamed frames are from the others."""
    known = {row["key"] for row in done}
    found = in_order([NAME])
    if not found:
        if not known:
            yield {"key": "skipped", "skipped": f"the table of optimizations has no {NAME}"}
        return
    alone, every = frozenset(found), without_redundant(EVERY)
    for side in session.scale.sides:
        for optimizations in (frozenset[Optimization](), alone, every - alone, every):
            case = session.case(side, optimizations)
            if case.name not in known:
                yield session.measure(case)
    side = session.scale.clip_side
    for optimizations in (alone, every):
        pair = [session.case(side, each) for each in (optimizations - alone, optimizations)]
        key = f"frames: {pair[1].name}"
        if key not in known:
            without, streamed = (session.frames(each)[0] for each in pair)
            yield {"key": key, **apart(streamed, without)}
