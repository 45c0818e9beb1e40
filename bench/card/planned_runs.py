"""Whole runs as planned for cards of several sizes, torch's allocator held to that size: none may run out of memory."""

from collections.abc import Generator, Sequence

from sonic_guard.devtools.measured_cases import planned_case

from .results import Row
from .session import Session


def run(session: Session, done: Sequence[Row]) -> Generator[Row]:
    """A row a card and a requested size; where no plan fits, the row says so."""
    known = {row["key"] for row in done}
    for side in session.scale.sides:
        for gib in session.scale.cards_gib:
            key = f"{side}² on {gib} GiB"
            if key in known:
                continue
            case = planned_case(gib, side, frames=session.scale.frames)
            if case is None:
                yield {"key": key, "card_gib": gib, "fits": False}
            else:
                yield {**session.measure(case, fits=True), "key": key}
