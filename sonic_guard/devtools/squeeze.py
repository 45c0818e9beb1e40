"""`sonic-guard measure --squeeze`: what a case needs, which is the least limit under which it ends.

What torch reserves while there is memory to spare is appetite: held to less, the same run ends too. So the limit is
lowered by bisection, between the tensors' peak (with less a run cannot end) and what was reserved without a limit.
Every try is written to the table of `measure` at once, and the search goes on from what is there.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from ..job import MIN_CHUNK_SIZE
from ..optimizations import EVERY, Optimization, without_redundant
from ..quiet_logs import quiet
from . import measured_table
from .ballast import Ballast
from .measure import WRAPPER_LOGGERS, begin, expect_s, need_packages
from .measured_cases import Case
from .measured_table import Row, Try

TOLERANCE = 0.005
"""The search ends when the two limits are this share of the need apart."""


class Need(NamedTuple):
    """What is known of the least limit of a case."""

    case: Case
    failed_bytes: int
    """The largest limit under which it does not end: the tensors' peak, or one that was tried."""
    ended_bytes: int
    """The least limit under which it ended."""
    outside_bytes: int
    """In use on the card outside of torch's allocator."""

    @property
    def known(self) -> bool:
        """Whether the search has ended."""
        return self.ended_bytes - self.failed_bytes <= TOLERANCE * self.ended_bytes

    @property
    def next_limit(self) -> int:
        """The limit to try next."""
        return (self.failed_bytes + self.ended_bytes) // 2


def needs(rows: Iterable[Row], tries: Sequence[Try]) -> Iterator[Need]:
    """What the rows without a limit and the `tries` of a table show, a case each.

    A run under a larger limit may fail where one under a smaller ended, since the allocator's pieces fall otherwise:
    the need is above the largest limit that failed below all that ended.
    """
    for row in rows:
        peaks = row.peaks
        if row.case.card_gib or peaks is None or peaks.allocated_bytes is None or peaks.reserved_bytes is None:
            continue
        here = [each for each in tries if each.case == row.case]
        ended = min([peaks.reserved_bytes, *(each.limit_bytes for each in here if each.ended)])
        failed = [each.limit_bytes for each in here if not each.ended and each.limit_bytes < ended]
        yield Need(row.case, max([peaks.allocated_bytes, *failed]), ended, peaks.outside_bytes or 0)


@quiet(logging.ERROR, *WRAPPER_LOGGERS)
def squeeze(
    sonic: Path,
    out: Path,
    *,
    limit_s: float,
    progress: Callable[[str], None],
    cases: Sequence[Case] | None = None,
    unet_config: Mapping[str, Any] | None = None,
) -> tuple[Need, ...]:
    """Search the needs of `cases` (default: `squeezed_cases()`) for at most `limit_s`; returns those that are found.

    A case without a row in the table `out` is measured without a limit first. For the other arguments and the errors
    see `measure`; without a CUDA card it raises `SonicGuardError`.
    """
    deadline = time.monotonic() + limit_s
    need_packages()
    from .gpu_setup import describe, open_device
    from .gpu_stages import Bench
    from .sonic_checkout import open_checkout

    target = open_device("cuda")
    header = describe(target, sonic)
    checkout = open_checkout(sonic)
    known = begin(out, header)
    progress("building the network")
    bench = Bench(checkout, target, unet_config)
    with filling(header.allocator, target.index or 0) as ballast:
        rows, tries = list(known.rows), list(known.tries)
        for case in squeezed_cases() if cases is None else cases:
            if not any(row.case == case for row in rows):
                if time.monotonic() + expect_s(case, rows) > deadline:
                    continue
                bench.settle()
                rows.append(bench.run(case))
                measured_table.append_row(out, rows[-1])
            row = next(row for row in rows if row.case == case)
            while (need := next(needs([row], tries), None)) and not need.known:
                if time.monotonic() + 1.5 * row.wall_s > deadline:
                    break
                bench.settle()
                tries.append(bench.run_within(case, need.next_limit, ballast))
                measured_table.append_try(out, tries[-1])
                progress(f"{case.name}: {need.next_limit / 2**20:,.0f} MiB {'ended' if tries[-1].ended else 'failed'}")
    return tuple(need for need in needs(rows, tries) if need.known)


def squeezed_cases() -> tuple[Case, ...]:
    """The cases whose need is searched: large and small, with the optimizations that cards need most often."""
    sequential, chunked = Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING
    every = without_redundant(EVERY)
    orders = ((), (sequential,), (sequential, chunked), tuple(every))
    cases = [
        Case("denoise", side, side, 25, optimizations=frozenset(order)) for side in (512, 1024, 768) for order in orders
    ]
    large = Case("denoise", 1024, 1024, 25, optimizations=every, chunk_size=8 * MIN_CHUNK_SIZE)
    return (*cases, large, Case("interpolate", 512, 512, 125))


def filling(allocator: str, index: int) -> AbstractContextManager[Ballast | None]:
    """A `Ballast` for an allocator whose own limit does not hold, else nothing to enter."""
    return Ballast(index) if "cudaMallocAsync" in allocator else nullcontext()
