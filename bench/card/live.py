"""The live reading of the memory: its source, what it costs, and whether it agrees with torch."""

import time
from collections.abc import Generator, Sequence

import torch

from sonic_guard.devices.budget import budget_for
from sonic_guard.devices.memory_reader import MemoryReader
from sonic_guard.devtools.gpu_peaks import used_bytes

from .results import Row
from .session import Session

MOVED_BYTES = 512 << 20


def run(session: Session, done: Sequence[Row]) -> Generator[Row]:
    """A row of the cost, one of the agreement, and one of the automatic budget."""
    known = {row["key"] for row in done}
    reader = MemoryReader(session.device.index or 0)
    try:
        if "cost" not in known:
            yield {"key": "cost", **_cost(session, reader)}
        if "agreement" not in known and session.on_card:
            yield {"key": "agreement", **_agreement(session, reader)}
    finally:
        reader.close()
    if "budget" not in known:
        budget = budget_for("auto")
        yield {
            "key": "budget", "card": budget.card, "source": budget.source, "total_bytes": budget.total_bytes,
            "usable_bytes": budget.usable_bytes,
        }  # fmt: skip


def _cost(session: Session, reader: MemoryReader) -> Row:
    snapshot = reader.read()
    cpu, wall = time.thread_time(), time.perf_counter()
    for _ in range(session.scale.readings):
        reader.read()
    cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
    count = session.scale.readings
    return {"source": snapshot.source, "readings": count, "cpu_ms": 1e3 * cpu / count, "wall_ms": 1e3 * wall / count}


def _agreement(session: Session, reader: MemoryReader) -> Row:
    """The increase that is read when a tensor of known size is allocated, and torch's own reading."""
    session.bench.settle()
    before = reader.read()
    held = torch.empty(MOVED_BYTES, dtype=torch.uint8, device=session.device)
    torch.cuda.synchronize(session.device)
    after = reader.read()
    row = {
        "allocated_bytes": (after.allocated_bytes or 0) - (before.allocated_bytes or 0),
        "device_bytes": (after.device_bytes or 0) - (before.device_bytes or 0),
        "expected_bytes": MOVED_BYTES,
        "driver_bytes": used_bytes(session.device),
        "read_bytes": after.device_bytes,
    }
    del held
    return row
