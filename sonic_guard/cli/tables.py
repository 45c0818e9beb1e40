"""The tables that the command line prints, through rich."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..devices.card_catalogue import GIB
from ..errors import SonicGuardError
from ..farm.card_ledger import Leases
from ..history.calibration import Calibration, peaks
from ..history.run_record import Outcome, Run
from ..memory.article_formula import article_bytes
from ..memory.stage_model import STAGES, Estimate
from ..messages import cli_texts as texts
from ..messages.catalogue import fill, gib
from ..messages.lease_messages import state_word
from ..messages.plan_messages import (
    change_line,
    headline,
    limit_lines,
    notes,
    optimizations_line,
    overhead_lines,
    refusal,
    stage_word,
    summary_lines,
)
from ..operations.stock_plan import StockPlan
from ..plain_files import printable
from ..planning.planner import Level
from .planned import Planned

try:
    from rich.console import Console
    from rich.table import Table
except ImportError as error:
    raise SonicGuardError("tables: printing needs rich; install it with `pip install rich`, or use --json.") from error

if TYPE_CHECKING:  # it needs SQLAlchemy
    from ..history.history_store import Page

_STYLES = {Level.OK: "bold green", Level.WARN: "bold yellow", Level.BAD: "bold red"}
_BAR = 16
"""Characters of a bar that fills the budget."""


def print_plan(planned: Planned, lang: str = "en") -> None:
    """The verdict, the settings, the optimizations, the stages next to those of Sonic alone, and the changes."""
    console = Console(highlight=False)
    result, plan = planned.result, planned.result.plan
    console.print(headline(plan.risk, lang, plan.losses), style=_STYLES[plan.level])
    for line in (*summary_lines(result, lang), optimizations_line(plan.job.optimizations, planned.available, lang)):
        console.print(line)
    console.print(_plan_table(plan.estimate, plan.budget.usable_bytes, planned.stock, lang))
    for stage in plan.estimate.floors:
        most = plan.estimate.most(stage)
        if most > plan.estimate.required(stage):
            console.print(fill(texts.IF_ROOM, lang, stage=stage_word(stage, lang), most=gib(most)), style="dim")
    if planned.stock is not None:
        console.print(stock_line(planned.stock, lang))
    for change in plan.changes:
        console.print(f"· {change_line(change, lang)}")
    if not plan.fits:
        console.print(refusal(plan, lang), style=_STYLES[Level.BAD])
    _print_limits(console, plan.estimate, lang)
    for note in notes(result, lang):
        console.print(note, style="dim")
    for warning in planned.warnings:
        console.print(f"! {warning}", style="bold yellow", markup=False)


def stock_line(stock: StockPlan, lang: str = "en") -> str:
    """What the request needs with Sonic's own nodes alone, and what would be left of it on the card."""
    job = stock.requested.job
    peak, stage = gib(stock.requested.peak_bytes), stage_word(stock.requested.peak_stage, lang)
    if not stock.plan.fits:
        return fill(texts.STOCK_NEVER, lang, size=job.frame_size, peak=peak, stage=stage)
    left = stock.plan.job
    if (left.frame_size, left.output_fps) == (job.frame_size, job.output_fps):
        return fill(texts.STOCK_FITS, lang, size=job.frame_size, peak=peak, stage=stage)
    return fill(
        texts.STOCK_SMALLER, lang, size=job.frame_size, peak=peak, stage=stage, smaller=left.frame_size,
        fps=left.output_fps,
    )  # fmt: skip


def print_written(arguments: Namespace, fits: bool) -> None:
    """The files that a plan has written, and what to do with them."""
    console, lang = Console(highlight=False), arguments.lang
    if arguments.chart:
        console.print(fill(texts.WROTE_CHART, lang, path=arguments.chart), markup=False)
    if arguments.workflow:
        image, audio = (Path(each).name for each in (arguments.image, arguments.audio))
        text = fill(texts.WROTE_WORKFLOW, lang, path=arguments.workflow, image=image, audio=audio)
        console.print(text, style="bold", markup=False)
        if not fits:
            console.print(fill(texts.NOT_AS_IT_IS, lang), style=_STYLES[Level.BAD])


def print_estimate(estimate: Estimate, lang: str = "en") -> None:
    """The stages of an estimate."""
    console = Console(highlight=False)
    job = estimate.job
    console.print(
        fill(
            texts.FRAMES, lang, size=job.frame_size, latent=job.latent_frames, frames=job.output_frames,
            window=job.window, dtype=job.dtype,
        )
    )  # fmt: skip
    console.print(optimizations_line(job.optimizations, lang=lang))
    console.print(_estimate_table(estimate, lang))
    stage = stage_word(estimate.peak_stage, lang)
    console.print(fill(texts.PEAK, lang, peak=gib(estimate.peak_bytes), stage=stage))
    console.print(fill(texts.HOST_MEMORY, lang, size=gib(estimate.host_ram_bytes)))
    console.print(fill(texts.ARTICLE, lang, size=article_bytes(job) / 1e9), style="dim")
    _print_limits(console, estimate, lang)
    for line in overhead_lines(lang):
        console.print(line, style="dim")


def print_check(rows: Iterable[Mapping[str, Any]], lang: str = "en") -> None:
    """The model compared with traced runs, a line a stage."""
    table = Table(
        fill(texts.JOB, lang), fill(texts.STAGE, lang), fill(texts.TRACED, lang), fill(texts.MODEL, lang),
        fill(texts.APART, lang),
    )  # fmt: skip
    for row in rows:
        stage = stage_word(row["stage"], lang) if row["stage"] in STAGES else row["stage"]
        table.add_row(row["job"], stage, f"{row['traced']:,}", f"{row['model']:,}", f"{row['apart']:.3%}")
    Console(highlight=False).print(table)


def print_history(page: Page, calibrations: Mapping[str, Calibration], lang: str = "en") -> None:
    """The runs of each card, predicted and actual, and the calibration of the next prediction there."""
    console = Console(highlight=False)
    for card, calibration in calibrations.items():
        console.print(card, style="bold", markup=False)
        console.print(_runs_table((run for run in page.runs if run.environment.card == card), lang))
        console.print(_calibration_line(calibration, lang), style="dim")
    if not calibrations:
        console.print(fill(texts.NO_RUNS, lang))
    if page.unreadable:
        console.print(fill(texts.UNREADABLE, lang, count=page.unreadable), style="bold yellow")
    if page.before is not None:
        console.print(fill(texts.OLDER, lang), style="dim")


def _runs_table(runs: Iterable[Run], lang: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("id", fill(texts.STARTED, lang), fill(texts.SIZE, lang)):
        table.add_column(column, no_wrap=True)
    for column in (fill(texts.PREDICTED, lang), fill(texts.ACTUAL, lang), fill(texts.OFF, lang)):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column(fill(texts.OUTCOME, lang))
    for run in runs:
        predicted, actual = peaks(run)
        off = predicted / actual - 1 if predicted and actual and run.outcome is Outcome.DONE else None
        outcome = fill(texts.OUTCOMES[run.outcome], lang)
        table.add_row(
            str(run.id),
            f"{run.started:%Y-%m-%d %H:%M}",
            f"{run.job.frame_size} × {run.job.output_frames}",
            gib(predicted) if predicted else "–",
            gib(actual) if actual else "–",
            "" if off is None else f"{off:+.1%}",
            f"{outcome}, {stage_word(run.stage, lang)}" if run.stage in STAGES else outcome,
        )
    return table


def _calibration_line(calibration: Calibration, lang: str) -> str:
    model, error = calibration.median_error_model, calibration.median_error
    if model is None or error is None:
        return fill(texts.NOT_CALIBRATED, lang)
    factor = calibration.upper_factor
    return fill(
        texts.CALIBRATED, lang, runs=calibration.runs, model=model,
        corrected=fill(texts.CORRECTED, lang, error=error) if error < model else "",
        bound=fill(texts.NO_UPPER_BOUND, lang) if factor is None else fill(texts.UPPER_BOUND, lang, factor=factor),
    )  # fmt: skip


def _plan_table(estimate: Estimate, budget_bytes: int, stock: StockPlan | None, lang: str) -> Table:
    """A row a stage: what it needs, overhead included, and what Sonic alone would need for the request."""
    table = Table(box=None, pad_edge=False)
    table.add_column(fill(texts.STAGE, lang))
    table.add_column(fill(texts.NEEDED, lang), justify="right")
    table.add_column(fill(texts.OF_BUDGET, lang, budget=gib(budget_bytes)), justify="right")
    table.add_column("")
    if stock is not None:
        table.add_column(fill(texts.STOCK_COLUMN, lang), justify="right", style="dim")
    for stage in filter(estimate.stages.__getitem__, STAGES):
        required = estimate.required(stage)
        share = required / budget_bytes
        bar = "█" * max(1, round(min(share, 2.0) * _BAR))
        cells = [_marked(stage, estimate, lang), gib(required), f"{share:.0%}", _coloured(bar, share)]
        if stock is not None:
            alone = stock.requested.required(stage)
            cells.append(f"[red]{gib(alone)}[/]" if alone > budget_bytes else gib(alone))
        table.add_row(*cells)
    return table


def _estimate_table(estimate: Estimate, lang: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(fill(texts.STAGE, lang))
    table.add_column(fill(texts.TENSORS, lang), justify="right")
    table.add_column(fill(texts.WITH_OVERHEAD, lang), justify="right")
    for stage in filter(estimate.stages.__getitem__, STAGES):
        size, least = estimate.stages[stage], estimate.floors.get(stage, estimate.stages[stage])
        tensors = f"{least / GIB:.1f}–{gib(size)}" if least < size else gib(size)
        table.add_row(_marked(stage, estimate, lang), tensors, gib(estimate.required(stage)))
    return table


def _marked(stage: str, estimate: Estimate, lang: str) -> str:
    return ("▸ " if stage == estimate.peak_stage else "  ") + stage_word(stage, lang)


def _coloured(bar: str, share: float) -> str:
    return f"[{'red' if share > 1 else 'blue'}]{bar}[/]"


def _print_limits(console: Console, estimate: Estimate, lang: str) -> None:
    for line in limit_lines(estimate, lang):
        console.print(line, style="yellow", markup=False)


def print_leases(found: Sequence[Leases], lang: str = "en") -> None:
    """Who uses, and who waits for, each card."""
    console = Console(highlight=False)
    if not found:
        console.print(fill(texts.NO_LEASES, lang))
        return
    table = Table(
        fill(texts.CARD, lang), fill(texts.PROCESS, lang), fill(texts.STATE, lang), fill(texts.LEASED, lang),
        fill(texts.IN_USE, lang), fill(texts.WHAT, lang),
    )  # fmt: skip
    for leases in found:
        for entry in leases.entries:
            size = gib(entry.size_bytes) if entry.size_bytes else ""
            table.add_row(
                leases.card,
                str(entry.pid),
                state_word(entry, lang),
                size,
                gib(entry.used_bytes),
                printable(entry.label),
            )
    console.print(table)
