"""The least limit of torch's allocator under which denoise ends: what a run needs."""

from collections.abc import Generator, Sequence

from sonic_guard.devtools.ballast import Ballast
from sonic_guard.devtools.measured_cases import Case
from sonic_guard.devtools.measured_table import Row as CaseRow
from sonic_guard.devtools.measured_table import Try
from sonic_guard.devtools.squeeze import filling, needs
from sonic_guard.job import MIN_CHUNK_SIZE
from sonic_guard.memory.overhead import PREFERRED_ALLOCATOR, overheads
from sonic_guard.optimizations import EVERY, Optimization, without_redundant

from .results import Row
from .session import Session


def run(session: Session, done: Sequence[Row]) -> Generator[Row]:
    """A row a try, and one for each need that is found, with the prediction for this allocator."""
    import torch

    allocator = torch.cuda.get_allocator_backend()
    with filling(allocator, session.device.index or 0) as ballast:
        for side in session.scale.sides:
            for case in cases(session, side):
                yield from _search(session, case, done, ballast, allocator)


def cases(session: Session, side: int) -> list[Case]:
    """Denoise in stock order, in one guidance branch, and with every optimization."""
    every = without_redundant(EVERY)
    found = [session.case(side, each) for each in (frozenset(), frozenset((Optimization.SEQUENTIAL_CFG,)), every)]
    return [*found, session.case(side, every, chunk_size=8 * MIN_CHUNK_SIZE)]


def _search(
    session: Session, case: Case, done: Sequence[Row], ballast: Ballast | None, allocator: str
) -> Generator[Row]:
    mine = [row for row in done if row.get("of", row["key"]) == case.name]
    if any("need_bytes" in row for row in mine):
        return
    first = next((row for row in mine if "limit_bytes" not in row), None)
    if first is None:
        first = session.measure(case)
        yield first
    tries = [Try.from_json(row) for row in mine if "limit_bytes" in row]
    while (need := next(needs([CaseRow.from_json(first)], tries), None)) and not need.known:
        session.bench.settle()
        tries.append(session.bench.run_within(case, need.next_limit, ballast))
        yield {"key": f"{case.name}, try {len(tries)}", "of": case.name, **tries[-1].to_json()}
    if need:
        terms = overheads().get(allocator, overheads()[PREFERRED_ALLOCATOR])
        tensors = case.predict_bytes()
        yield {
            "key": f"need: {case.name}",
            "of": case.name,
            "predicted_bytes": tensors + terms.of(tensors) - terms.context_bytes,
            "need_bytes": need.ended_bytes,
            "failed_bytes": need.failed_bytes,
            "outside_bytes": need.outside_bytes,
        }
