"""Evaluates a table of measurements: a page of Markdown, and the model's overhead term."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..devices.card_catalogue import GIB
from ..errors import SonicGuardError
from .measured_table import Contents, Header, Row, read

QUANTILE = 0.99
"""Share of the rows that the overhead has to cover."""
_MIB = 1 << 20
_COLUMNS = (
    "case", "predicted", "allocated", "allocated / predicted", "reserved", "on the card", "stage, s", "pass, s",
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
    lines += [_line(_cells(row, known.get(row.case.stock))) for row in contents.rows]
    if contents.unfinished:
        lines += ["", "Begun and never ended: " + ", ".join(contents.unfinished) + "."]
    lines += _planned_runs(contents.rows)
    usable = overhead_rows(contents.rows)
    if usable:
        context, fraction = least_overhead(usable)
        lines += [
            "",
            f"Overhead that covers {QUANTILE:.0%} of {len(usable)} cases: "
            f"{context / _MIB:,.0f} MiB + {fraction:.2%} of the predicted bytes.",
        ]
    return "\n".join(lines) + "\n"


def fit_overhead(out: Path) -> dict[str, Any]:
    """The content of `memory/overhead.json` fitted to the table at `out`.

    See `least_overhead` for the rule and `overhead_rows` for the rows used. Raises `SonicGuardError` if the table has
    no row from a card.
    """
    contents = _load(out)
    header, usable = contents.header, overhead_rows(contents.rows)
    if header is None or not usable:
        raise SonicGuardError(f"measure: {out} has no finished case from a card; nothing can be fitted to it.")
    context, fraction = least_overhead(usable)
    return {
        "context_bytes": context,
        "fraction": fraction,
        "confirmed": True,
        "source": (
            f"Measured on {header.card}, {header.date[:10]}, torch {header.torch}, driver {header.driver}, "
            f"allocator {header.allocator}: the least overhead that covers {QUANTILE:.0%} of {len(usable)} cases "
            "(all memory in use on the card at the peak against the predicted tensors)."
        ),
    }


def overhead_rows(rows: Iterable[Row]) -> list[tuple[int, int]]:
    """(predicted bytes, bytes in use on the card) of the cases to which the overhead is fitted.

    These are the finished cases from a card in which ComfyUI's VAE is not replaced.
    """
    return [
        (row.predicted_bytes, row.peaks.device_bytes)
        for row in rows
        if row.peaks is not None and row.peaks.device_bytes is not None and not row.case.stand_in
    ]


def least_overhead(rows: Sequence[tuple[int, int]]) -> tuple[int, float]:
    """The least context (bytes) and fraction with used ≤ predicted · (1 + fraction) + context.

    The inequality holds for `QUANTILE` of the rows (predicted, used). Of all such pairs the one with the least total
    overhead of the rows is returned. At this optimum the line touches two rows, or the fraction is 0, so only the
    slopes between rows have to be tried. Both are rounded up, the context to a MiB, the fraction to 0.01 %.
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
        "*allocated*: live tensors. *reserved*: what PyTorch's allocator held. *on the card*: reserved at its peak "
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


def _cells(row: Row, stock: Row | None) -> list[str]:
    peaks = row.peaks
    allocated = peaks.allocated_bytes if peaks else None
    return [
        row.case.name,
        _gib(row.predicted_bytes),
        _gib(allocated),
        "" if allocated is None else f"{allocated / row.predicted_bytes:.3f}",
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
