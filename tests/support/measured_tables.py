"""Cases for `measure` that are small enough for a CPU, and tables with rows written by hand."""

from dataclasses import replace
from pathlib import Path

from sonic_guard.devtools import measured_table
from sonic_guard.devtools.measured_cases import Case
from sonic_guard.devtools.measured_table import Header, MeasuredPeaks, Row
from sonic_guard.job import Dtype
from sonic_guard.optimizations import Optimization

GIB, MIB = 1 << 30, 1 << 20
STOCK = Case("denoise", 64, 64, 6, window=3, dtype=Dtype.FP32)
CASES = (
    STOCK,
    replace(
        STOCK,
        optimizations=frozenset(
            {Optimization.SEQUENTIAL_CFG, Optimization.FEED_FORWARD_CHUNKING, Optimization.LAYER_CHUNKING}
        ),
    ),
    Case("load", 64, 64, 6, dtype=Dtype.FP32),
    Case("interpolate", 64, 64, 6, dtype=Dtype.FP32),
    Case("interpolate", 64, 64, 6, dtype=Dtype.FP32, optimizations=frozenset({Optimization.STREAMING_DECODE})),
)
"""Small enough for a CPU."""
HEADER = Header(
    card="NVIDIA H100 80GB HBM3",
    total_bytes=80 * GIB,
    capability="9.0",
    driver="580.159.04",
    torch="2.11.0+cu130",
    cuda="13.0",
    allocator="native",
    diffusers="0.42.1",
    python="3.12.3",
    system="Linux",
    date="2026-11-23T10:00:00+00:00",
    sonic_commit="85562349dd7714532c5477709f2bb0a70debd213",
    model={"method": "given"},
    used_before_bytes=4 * MIB,
    context_bytes=500 * MIB,
)


def row(case: Case, predicted: int, allocated: int = 0, outside: int = 0, **others) -> Row:
    peaks = MeasuredPeaks(2.0, allocated, allocated + 100 * MIB, outside) if allocated else None
    return Row(case, predicted, peaks, **{"pass_s": 0.5, "wall_s": 3.0, **others})


def write_table(out: Path, *rows: Row, header: Header = HEADER, starts: tuple[Case, ...] = ()) -> Path:
    measured_table.append_header(out, header)
    for case in starts:
        measured_table.append_start(out, case)
    for one in rows:
        measured_table.append_start(out, one.case)
        measured_table.append_row(out, one)
    return out
