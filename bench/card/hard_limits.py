"""Attention batches above what CUDA's kernels take: one guidance branch at a time divides them by three.

The failing order comes last, because it may leave the card unusable for this process.
"""

from collections.abc import Generator, Sequence
from dataclasses import replace

from sonic_guard.memory.hard_limits import find_limits
from sonic_guard.optimizations import Optimization

from .results import Row
from .session import Session

WIDTH, HEIGHT = 1280, 1152
"""23,040 positions: three branches together are above 65,535."""


def run(session: Session, done: Sequence[Row]) -> Generator[Row]:
    """A row each: with one branch at a time, with layer chunking too, and with neither."""
    sequential, chunked = Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING
    for optimizations in ((sequential,), (sequential, chunked), (chunked,), ()):
        case = replace(session.case(WIDTH, frozenset(optimizations)), height=HEIGHT)
        if case.name not in {row["key"] for row in done}:
            yield session.measure(case, limits=[str(limit.kind) for limit in find_limits(case.job)])
