"""`sonic-guard measure`: compare the memory model with a real card, stage by stage, in calls with a time limit.

Each call continues after the last one. A case is only started if it is expected to end within the limit. A case that
was started and did not end (because the process was killed) is started once more, then given up.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..devices.card_catalogue import GIB
from ..errors import SonicGuardError, WrapperError
from ..quiet_logs import quiet
from . import measured_table
from .measured_cases import Case, grid
from .measured_table import Header, Row

MAX_STARTS = 2
"""Number of times a case is started before it is given up."""
FIRST_CASE_S = 60.0
"""Expected seconds of a case while no row of its stage is known."""
MARGIN = 1.5
"""Factor on the expected time of a case."""
WRAPPER_LOGGERS = ("diffusers", "transformers")
"""They warn every time: the wrapper moves an fp16 pipeline to the CPU, and torchvision is missing."""


class Outcome(NamedTuple):
    """The result of a call."""

    measured: int
    """Number of rows added."""
    left: int
    """Number of cases left to measure: call again, with a longer limit if no row was added."""
    given_up: tuple[str, ...]
    """Names of cases that were started `MAX_STARTS` times and did not end."""


@quiet(logging.ERROR, *WRAPPER_LOGGERS)
def measure(
    sonic: Path,
    out: Path,
    *,
    limit_s: float,
    progress: Callable[[str], None],
    cases: Sequence[Case] | None = None,
    device: str = "cuda",
    unet_config: Mapping[str, Any] | None = None,
) -> Outcome:
    """Measure those of `cases` (default: `grid()`) that are not in the table `out` yet.

    Args:
        sonic: the wrapper's folder.
        out: the table, created if missing.
        limit_s: seconds that this call may take, start-up included.
        progress: receives a line for each case.
        cases: the cases to measure.
        device: torch's device; on "cpu" the same code runs, and the columns of bytes stay empty.
        unet_config: replaces the configuration of the UNet, so that tests take seconds.

    Raises `SonicGuardError` without a CUDA card, or if `out` was measured with another setup;
    `WrapperError` if `sonic` is not the wrapper, or torch or diffusers is missing; `OutputError` if `out`
    cannot be written.
    """
    deadline = time.monotonic() + limit_s
    need_packages()
    from .gpu_setup import describe, open_device
    from .gpu_stages import Bench
    from .sonic_checkout import open_checkout

    target = open_device(device)
    header = describe(target, sonic)
    checkout = open_checkout(sonic)
    known = begin(out, header)
    done = {row.case.name for row in known.rows}
    missing = [case for case in (grid() if cases is None else cases) if case.name not in done]
    given_up = tuple(case.name for case in missing if known.starts[case.name] >= MAX_STARTS)
    todo = [case for case in missing if case.name not in given_up]

    rows = list(known.rows)
    bench: Bench | None = None
    for case in todo:
        if time.monotonic() + expect_s(case, rows) > deadline:
            continue
        if bench is None:
            progress("building the network")
            bench = Bench(checkout, target, unet_config)
        bench.settle()
        measured_table.append_start(out, case)
        rows.append(bench.run(case))
        measured_table.append_row(out, rows[-1])
        progress(f"{case.name}: {_describe(rows[-1])}")
    measured = len(rows) - len(known.rows)
    return Outcome(measured, len(todo) - measured, given_up)


def expect_s(case: Case, rows: Iterable[Row]) -> float:
    """Expected seconds of `case`, from the finished row of its stage with the most similar amount of work."""
    same_stage = [row for row in rows if row.case.stage == case.stage and row.peaks is not None]
    if not same_stage:
        return FIRST_CASE_S
    nearest = min(same_stage, key=lambda row: abs(math.log(row.case.work / case.work)))
    return MARGIN * nearest.wall_s * max(1.0, case.work / nearest.case.work)


def begin(out: Path, header: Header) -> measured_table.Contents:
    """The content of the table; a new one gets its header."""
    measured_table.mend(out)
    known = measured_table.read(out)
    if known.header is None:
        measured_table.append_header(out, header)
    elif known.header.setup != header.setup:
        raise SonicGuardError(
            f"measure: {out} was measured with {', '.join(known.header.setup)}; this is {', '.join(header.setup)}. "
            "Write to another file."
        )
    return known


def need_packages() -> None:
    """Raise `WrapperError` if a package that the wrapper's network needs is missing."""
    try:
        import diffusers  # noqa: F401
        import einops  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise WrapperError(f"measure: {error}. It needs torch, numpy, transformers, diffusers and einops.") from error


def _describe(row: Row) -> str:
    if row.oom:
        return "out of memory"
    if row.peaks is None:
        return f"failed: {row.error}"
    if row.peaks.device_bytes is None or row.peaks.allocated_bytes is None:
        return f"{row.peaks.seconds:.1f} s"
    return (
        f"{row.peaks.allocated_bytes / GIB:.2f} GiB of tensors ({row.predicted_bytes / GIB:.2f} predicted), "
        f"{row.peaks.device_bytes / GIB:.2f} GiB on the card, {row.peaks.seconds:.1f} s"
    )
