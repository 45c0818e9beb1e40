"""Real out-of-memory errors: the run goes on with the next optimization, and its frames are those of a run begun so."""

from collections.abc import Generator, Sequence
from dataclasses import replace

import torch

from sonic_guard.optimizations import ESCALATION_ORDER, Optimization, without_redundant

from .results import Row
from .session import Session, apart

RUNS = ((512, 6), (768, 8), (1024, 6))
"""Sides, and the card in GiB that is too small for the stock order."""


def run(session: Session, done: Sequence[Row]) -> Generator[Row]:
    """A row a run."""
    known = {row["key"] for row in done}
    for side, gib in RUNS:
        key = f"{side}² on {gib} GiB"
        if key not in known:
            yield {"key": key, **_recovered(session, side, gib)}


def _recovered(session: Session, side: int, gib: int) -> Row:
    stock = session.case(side, card_gib=gib)
    fallbacks = [each for each in ESCALATION_ORDER if each is not Optimization.UNET_OFFLOAD]
    try:
        frames, enabled, seconds = session.frames(stock, fallbacks)
    except torch.OutOfMemoryError as error:
        return {"ended": False, "error": str(error).partition("\n")[0]}
    optimizations = frozenset[Optimization]()
    for each in enabled:
        optimizations = without_redundant(optimizations | {Optimization(each)})
    # With the same optimizations from the start, and all the memory.
    begun, _, again_s = session.frames(replace(stock, card_gib=None, optimizations=optimizations))
    return {"ended": True, "enabled": enabled, "seconds": seconds, "again_s": again_s, **apart(frames, begun)}
