"""Evaluates a table of measurements: a page of Markdown, and the model's overhead terms."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..devices.card_catalogue import GIB
from ..errors import SonicGuardError
from ..memory.overhead import PREFERRED_ALLOCATOR, overheads
from .measured_table import Contents, Header, Row, read
from .squeeze import Need, needs

QUANTILE = 0.99
"""Share of the rows that the overhead has to cover."""
_MIB = 1 << 20
_COLUMNS = (
    "case", "predicted", "allocated", "difference, MiB", "off", "reserved", "on the card", "stage, s", "pass, s",
    "time / stock", "note",
)  # fmt: skip


def summarise(out: Path) -> str:
    """The table at `out` as a page of Markdown, for `docs/`.

    Its predictions are made with the current constants, not those of the day of the measurement.
    Raises `SonicGuardError` if there is no such table.
    """
    contents = _load(out)
    assert contents.header is not None, "a loaded table has a header"  # noqa: S101
    lines = [*_heading(contents.header), *_columns_explained(), "", _line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
    known = {row.case: row for row in contents.rows}
    workspace = workspace_bytes(contents.header)
    lines += [_line(_cells(row, known.get(row.case.stock), workspace)) for row in contents.rows]
    if contents.unfinished:
        lines += ["", "Begun and never ended: " + ", ".join(contents.unfinished) + "."]
    lines += _planned_runs(contents.rows)
    lines += _needs(overhead_rows(contents), workspace)
    return "\n".join(lines) + "\n"


def workspace_bytes(header: Header) -> int:
    """CuBLAS's workspace with the allocator of the table, as shipped."""
    name = header.allocator.partition(" ")[0]
    return overheads()[name if name in overheads() else PREFERRED_ALLOCATOR].workspace_bytes


def fit_overhead(out: Path) -> dict[str, Any]:
    """The content of `memory/overhead.json` with the terms fitted to the needs in the table at `out`.

    The terms of the other allocator stay as shipped. See `least_overhead` for the rule and `overhead_rows` for what is
    used. Raises `SonicGuardError` if the table has no need from a card.
    """
    contents = _load(out)
    header, usable = contents.header, overhead_rows(contents)
    if header is None or not usable:
        raise SonicGuardError(
            f"measure: {out} has no finished case from a card whose need is known; run `measure --squeeze` first."
        )
    workspace, fraction = least_overhead([(need.case.predict_bytes(), need.ended_bytes) for need in usable])
    context = max(need.outside_bytes for need in usable)
    shipped = {
        name: {"context_bytes": terms.context_bytes, "workspace_bytes": terms.workspace_bytes}
        for name, terms in overheads().items()
    }
    measured = {"context_bytes": context, "workspace_bytes": workspace}
    return {
        "allocators": {**shipped, header.allocator.partition(" ")[0]: measured},
        "fraction": fraction,
        "confirmed": True,
        "source": (
            f"Measured on {header.card}, {header.date[:10]}, torch {header.torch}, driver {header.driver}, "
            f"allocator {header.allocator}: the least workspace and share that cover {QUANTILE:.0%} of {len(usable)} "
            "needs (the least limit of torch's allocator under which a case ends), and the largest context."
        ),
    }


def overhead_rows(contents: Contents) -> list[Need]:
    """The needs to which the overhead is fitted: those known, of cases in which ComfyUI's VAE is not replaced."""
    return [need for need in needs(contents.rows, contents.tries) if need.known and not need.case.stand_in]


def least_overhead(rows: Sequence[tuple[int, int]]) -> tuple[int, float]:
    """The least fixed bytes and fraction with used ≤ predicted · (1 + fraction) + fixed bytes.

    The inequality holds for `QUANTILE` of the rows (predicted, used). Of all such pairs the one with the least total
    overhead of the rows is returned. At this optimum the line touches two rows, or the fraction is 0, so only the
    slopes between rows have to be tried. Both are rounded up, the fixed bytes to a MiB, the fraction to 0.01 %.
    """
    excess = [(predicted, used - predicted) for predicted, used in rows]
    slopes = {
        (high - low) / (large - small)
        for small, low in excess
        for large, high in excess
        if large > small and high > low
    }  # fmt: skip
    covered = math.ceil(QUANTILE * len(excess)) - 1
    best = (math.inf, 0.0, 0.0)
    for fraction in (0.0, *sorted(slopes)):
        rests = sorted(over - fraction * predicted for predicted, over in excess)
        context = max(0.0, rests[covered])
        total = sum(context + fraction * predicted for predicted, _ in excess)
        best = min(best, (total, fraction, context))
    _, fraction, context = best
    return math.ceil(context / _MIB) * _MIB, math.ceil(round(fraction * 1e4, 6)) / 1e4


def _load(out: Path) -> Contents:
    contents = read(out)
    if contents.header is None:
        raise SonicGuardError(f"measure: there is no table of measurements at {out}; run `sonic-guard measure` first.")
    today = tuple(replace(row, predicted_bytes=row.case.predict_bytes()) for row in contents.rows)
    return replace(contents, rows=today)


def _heading(header: Header) -> list[str]:
    total = "" if header.total_bytes is None else f" ({header.total_bytes / GIB:.1f} GiB)"
    context = "unknown" if header.context_bytes is None else f"{header.context_bytes / _MIB:,.0f} MiB"
    return [
        f"# Measured {header.date[:10]} on {header.card}{total}, torch {header.torch}, driver {header.driver}",
        "",
        f"CUDA {header.cuda}, compute capability {header.capability or 'none'}, "
        f"allocator {header.allocator or 'none'}, diffusers {header.diffusers}, "
        f"Python {header.python}, {header.system}. "
        f"Sonic {header.sonic_commit[:7]} with random weights. CUDA context before the first kernel: {context}.",
    ]


def _columns_explained() -> list[str]:
    return [
        "",
        "Peaks of one stage each, in GiB (2**30 bytes). *predicted*: the model's tensors, without overhead. "
        "*allocated*: live tensors and cuBLAS's workspace; *difference*: less *predicted*; *off*: from the prediction "
        "with the workspace's term. *reserved*: what PyTorch's allocator held. *on the card*: reserved at its peak "
        "and all that was in use outside the allocator (context, kernels' code, other processes). "
        "*stage*: the whole stage, weights moved in and out included. *pass*: the network's last pass, once warm; "
        "*time / stock* compares passes, or stages where there is no network. "
        "A case names stage, size, latent frames N, window F, number formats of network/VAE and optimizations.",
    ]


def _planned_runs(rows: Iterable[Row]) -> list[str]:
    """How the planned runs ended: a line for each size of card, with optimizations and without."""
    planned: dict[tuple[int, bool], list[Row]] = {}
    for row in rows:
        if row.case.card_gib:
            planned.setdefault((row.case.card_gib, bool(row.case.optimizations)), []).append(row)
    if not planned:
        return []
    lines = ["", "Whole runs as planned for smaller cards, torch's allocator held to their size:", ""]
    for (gib, optimized), here in sorted(planned.items()):
        out_of_memory = sum(bool(row.oom) for row in here)
        failed = sum(row.peaks is None for row in here) - out_of_memory
        used = [row.peaks.device_bytes / (gib * GIB) for row in here if row.peaks and row.peaks.device_bytes]
        share = f", {min(used):.0%} to {max(used):.0%} of the card in use" if used else ""
        kind = "with optimizations" if optimized else "in the wrapper's own order"
        lines.append(f"- {gib} GiB, {kind}: of {len(here)} {out_of_memory} ran out of memory, {failed} failed{share}.")
    return lines


def _needs(found: Sequence[Need], workspace: int) -> list[str]:
    """What the cases need, against the prediction with the shipped terms."""
    if not found:
        return []
    terms = next(iter(overheads().values()))._replace(context_bytes=0, workspace_bytes=workspace)
    head = ("case", "predicted", "need", "off")
    lines = ["", "The least limit of torch's allocator under which a case ends, without the context:", ""]
    lines += [_line(head), _line(["---"] * len(head))]
    for need in found:
        predicted = need.case.predict_bytes()
        predicted += terms.of(predicted)
        off = f"{predicted / need.ended_bytes - 1:+.1%}"
        lines.append(_line([need.case.name, _gib(predicted), _gib(need.ended_bytes), off]))
    return lines


def _cells(row: Row, stock: Row | None, workspace: int) -> list[str]:
    peaks = row.peaks
    allocated = peaks.allocated_bytes if peaks else None
    return [
        row.case.name,
        _gib(row.predicted_bytes),
        _gib(allocated),
        "" if allocated is None else f"{(allocated - row.predicted_bytes) / _MIB:.1f}",
        "" if allocated is None else f"{allocated / (row.predicted_bytes + workspace) - 1:+.2%}",
        _gib(peaks.reserved_bytes if peaks else None),
        _gib(peaks.device_bytes if peaks else None),
        _seconds(peaks.seconds if peaks else None),
        _seconds(row.pass_s),
        _slowdown(row, stock),
        _note(row),
    ]


def _slowdown(row: Row, stock: Row | None) -> str:
    if stock is None or stock is row or row.peaks is None or stock.peaks is None:
        return ""
    if row.pass_s and stock.pass_s:
        return f"{row.pass_s / stock.pass_s:.2f}"
    return f"{row.peaks.seconds / stock.peaks.seconds:.2f}"


def _note(row: Row) -> str:
    if row.oom:
        return f"out of memory in {row.oom}"
    if row.error:
        return row.error.replace("|", "\\|")
    return "stand-in: diffusers' VAE" if row.case.stand_in else ""


def _gib(size: int | None) -> str:
    return "" if size is None else f"{size / GIB:.2f}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
