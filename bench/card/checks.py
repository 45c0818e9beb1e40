"""The table of checks, what matters most first, and how one is run.

A check is a function that yields rows. It is given those that an earlier call has made, and skips what they answer; so
it can be stopped after any row and goes on in another call.
"""

import time
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

from . import (
    hard_limits,
    kernels,
    length,
    live,
    needs,
    out_of_memory,
    planned_runs,
    slowdowns,
    streamed_weights,
    templates,
)
from .results import MAX_STARTS, Results, Row
from .session import OutOfTimeError, Session

Run = Callable[[Session, Sequence[Row]], Generator[Row]]

FIRST_ROW_S = 30.0
"""Expected seconds of a check's first row in a call: it may have to build the network."""


class Check(NamedTuple):
    """One check."""

    name: str
    title: str
    run: Run
    needs_card: bool
    each_allocator: bool
    """Whether it is made with both of torch's allocators."""


CHECKS = (
    Check("streamed_weights", "Streamed weights", streamed_weights.run, False, False),
    Check("slowdowns", "Time and memory of each optimization", slowdowns.run, False, False),
    Check("needs", "The least memory under which a run ends", needs.run, True, True),
    Check("planned_runs", "Runs as planned for smaller cards", planned_runs.run, True, True),
    Check("hard_limits", "Hard limits", hard_limits.run, True, True),
    Check("out_of_memory", "Recovery when memory runs out", out_of_memory.run, True, True),
    Check("length", "Memory by length of the clip", length.run, False, True),
    Check("kernels", "Kernels", kernels.run, False, False),
    Check("live", "Live memory", live.run, False, False),
    Check("templates", "Templates in a running ComfyUI", templates.run, True, False),
)


def run_check(check: Check, session: Session, results: Results, progress: Callable[[str], None]) -> bool:
    """Run a check until it is finished or the time is up; returns whether it is finished."""
    if check.name in results.finished:
        return True
    if check.needs_card and not session.on_card:
        results.add("row", check.name, {"key": "skipped", "skipped": "it needs a CUDA card"})
        results.add("finished", check.name)
        return True
    if results.starts.get(check.name, 0) >= MAX_STARTS:
        progress(f"{check.name}: given up, it was started {MAX_STARTS} times and made no row")
        return True
    rows, longest = check.run(session, tuple(results.rows.get(check.name, ()))), 0.0
    expected = session.expect_s(FIRST_ROW_S)
    while session.left_s > (longest or expected):
        start = time.monotonic()
        results.add("start", check.name)
        try:
            row = next(rows, None)
        except OutOfTimeError as error:
            results.add("stopped", check.name)
            progress(f"{check.name}: {error}")
            return False
        if row is None:
            results.add("finished", check.name)
            return True
        seconds = time.monotonic() - start
        longest = max(longest, seconds)
        results.add("row", check.name, {**row, "took_s": round(seconds, 2)})
        progress(f"{check.name}: {row['key']} ({seconds:.1f} s)")
    rows.close()
    return False
