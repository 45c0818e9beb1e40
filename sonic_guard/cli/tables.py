"""The tables that the command line prints, through rich."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..devices.card_catalogue import GIB
from ..errors import SonicGuardError
from ..history.calibration import Calibration, peaks
from ..history.run_record import Outcome, Run
from ..memory.article_formula import article_bytes
from ..memory.stage_model import STAGES, Estimate, overhead
from ..messages.catalogue import gib
from ..messages.plan_messages import (
    change_line,
    headline,
    limit_lines,
    notes,
    optimizations_line,
    refusal,
    stage_word,
    summary_lines,
)
from ..operations.preflight import Preflight
from ..optimizations import Optimization
from ..planning.planner import Level

try:
    from rich.console import Console
    from rich.table import Table
except ImportError as error:
    raise SonicGuardError("tables: printing needs rich; install it with `pip install rich`, or use --json.") from error

if TYPE_CHECKING:  # it needs SQLAlchemy
    from ..history.history_store import Page

_STYLES = {Level.OK: "bold green", Level.WARN: "bold yellow", Level.BAD: "bold red", Level.UNKNOWN: "bold"}


def print_plan(result: Preflight, available: Collection[Optimization] = (), lang: str = "en") -> None:
    """The verdict, the settings, the optimizations (of those `available`), the stages and the changes."""
    console = Console(highlight=False)
    plan = result.plan
    console.print(headline(plan.risk, lang, plan.losses), style=_STYLES[plan.level])
    for line in (*summary_lines(result, lang), optimizations_line(plan.job.optimizations, available, lang)):
        console.print(line)
    console.print(_stage_table(plan.estimate, plan.budget.usable_bytes, lang))
    for change in plan.changes:
        console.print(f"· {change_line(change, lang)}")
    if not plan.fits:
        console.print(refusal(plan, lang), style=_STYLES[Level.BAD])
    _print_limits(console, plan.estimate, lang)
    for note in notes(result, lang):
        console.print(note, style="dim")


def print_warnings(warnings: Iterable[str]) -> None:
    """What may spoil a run that fits, a line each."""
    console = Console(highlight=False)
    for warning in warnings:
        console.print(f"! {warning}", style="bold yellow", markup=False)


def print_estimate(estimate: Estimate) -> None:
    """The stages of an estimate."""
    console = Console(highlight=False)
    job = estimate.job
    console.print(
        f"{job.frame_size} px, {job.latent_frames} latent frames → {job.output_frames} frames, "
        f"window {job.window}, {job.dtype}"
    )
    console.print(optimizations_line(job.optimizations))
    console.print(_stage_table(estimate, None, "en"))
    console.print(f"peak {gib(estimate.peak_bytes)} in {estimate.peak_stage}, overhead included")
    console.print(f"host memory {gib(estimate.host_ram_bytes)}")
    console.print(f"(the article's formula: {article_bytes(job) / 1e9:.1f} GB)", style="dim")
    _print_limits(console, estimate, "en")
    if not overhead().confirmed:
        console.print("Overhead is an assumption until it is measured on a card.", style="dim")


def print_check(rows: Iterable[Mapping[str, Any]]) -> None:
    """The model compared with traced runs, a line a stage."""
    table = Table("job", "stage", "traced", "model", "apart")
    for row in rows:
        table.add_row(row["job"], row["stage"], f"{row['traced']:,}", f"{row['model']:,}", f"{row['apart']:.3%}")
    Console(highlight=False).print(table)


def print_history(page: Page, calibrations: Mapping[str, Calibration]) -> None:
    """The runs of each card, predicted and actual, and the calibration of the next prediction there."""
    console = Console(highlight=False)
    for card, calibration in calibrations.items():
        console.print(card, style="bold", markup=False)
        console.print(_runs_table(run for run in page.runs if run.environment.card == card))
        console.print(_calibration_line(calibration), style="dim")
    if not calibrations:
        console.print("No runs.")
    if page.unreadable:
        console.print(f"{page.unreadable} more cannot be read by this version.", style="bold yellow")
    if page.before is not None:
        console.print("Older runs are not shown; --limit shows more of them.", style="dim")


def _runs_table(runs: Iterable[Run]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("id", "started (UTC)", "frames"):
        table.add_column(column, no_wrap=True)
    for column in ("predicted", "actual", "off"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("outcome")
    for run in runs:
        predicted, actual = peaks(run)
        off = predicted / actual - 1 if predicted and actual and run.outcome is Outcome.DONE else None
        table.add_row(
            str(run.id),
            f"{run.started:%Y-%m-%d %H:%M}",
            f"{run.job.frame_size} × {run.job.output_frames}",
            gib(predicted) if predicted else "–",
            gib(actual) if actual else "–",
            "" if off is None else f"{off:+.1%}",
            f"{run.outcome}, {stage_word(run.stage)}" if run.stage in STAGES else str(run.outcome),
        )
    return table


def _calibration_line(calibration: Calibration) -> str:
    if calibration.median_error is None or calibration.median_error_model is None:
        return "not calibrated yet; predictions are from the model only."
    line = (
        f"calibrated from {calibration.runs} jobs: median error {calibration.median_error_model:.1%} by the model only"
    )
    if calibration.median_error < calibration.median_error_model:
        line += f", {calibration.median_error:.1%} corrected"
    if calibration.upper_factor is None:
        return f"{line}; no upper bound yet."
    return f"{line}; 95 of 100 runs stay below {calibration.upper_factor:.2f} times the prediction (context apart)."


def _stage_table(estimate: Estimate, budget_bytes: int | None, lang: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    table.add_column("tensors", justify="right")
    table.add_column("with overhead", justify="right")
    if budget_bytes is not None:
        table.add_column(f"of {gib(budget_bytes)}", justify="right")
        table.add_column("")
    for stage in STAGES:
        if not estimate.stages[stage]:
            continue
        size, required = estimate.stages[stage], estimate.required(stage)
        adapts = stage in estimate.floors and estimate.floors[stage] < size
        cells = [
            ("▸ " if stage == estimate.peak_stage else "  ") + stage_word(stage, lang),
            f"{estimate.floors[stage] / GIB:.1f}–{gib(size)}" if adapts else gib(size),
            gib(required),
        ]
        if budget_bytes is not None:
            share = required / budget_bytes
            bar = "█" * max(1, round(min(share, 2.0) * 16))
            cells += [f"{share:.0%}", f"[{'red' if share > 1 else 'blue'}]{bar}[/]"]
        table.add_row(*cells)
    return table


def _print_limits(console: Console, estimate: Estimate, lang: str) -> None:
    for line in limit_lines(estimate, lang):
        console.print(line, style="yellow", markup=False)
