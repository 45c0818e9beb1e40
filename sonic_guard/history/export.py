"""Exports the history: as CSV for spreadsheets, and its calibrations as JSON."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import lru_cache
from typing import Any

from ..devices.environment import RunEnvironment
from ..memory.stage_model import STAGES
from .calibration import MAX_RUNS, Calibration, calibrate, peaks
from .history_store import History, Page
from .run_record import Run, StageFigures

_FORMULA = "=+-@\N{MINUS SIGN}"
"""Characters that begin a formula in a spreadsheet; their full-width, small and raised forms count too."""
_ENDS = ",;|\t\r\n"
"""Characters that may end a cell in a spreadsheet, depending on the locale."""
_NAMES = tuple(field.name for field in fields(RunEnvironment) if field.name != "card")
_FIGURES = tuple(field.name for field in fields(StageFigures))
_NOTHING = StageFigures()
_HEAD = (
    *("id", "started", "card", "outcome", "stage", "width", "height", "latent_frames", "output_frames", "duration_s"),
    *(
        "window",
        "dtype",
        "steps",
        "interpolate",
        "optimizations",
        "vae_dtype",
        "predicted_peak_bytes",
        "actual_peak_bytes",
    ),
    *_NAMES,
    *(f"{stage}_{figure}" for stage in STAGES for figure in ("predicted_bytes", *_FIGURES)),
)


def calibrations(history: History, cards: Iterable[str]) -> dict[str, Calibration]:
    """The calibration of each of the `cards`, from its runs with the pack that ran last, in the same version."""
    found = {}
    for name in cards:
        newest = next((run for page in history.pages(name, limit=2 * MAX_RUNS) for run in page.runs), None)
        if newest:
            wrapper, relative = newest.environment.wrapper, newest.job.relative
            found[name] = calibrate(history.runs(name, wrapper, 2 * MAX_RUNS, relative=relative))
    return found


def calibration_dict(calibration: Calibration) -> dict[str, Any]:
    """A calibration as JSON."""
    return {
        "runs": calibration.runs,
        "median_error_model": calibration.median_error_model,
        "median_error": calibration.median_error,
        "upper_factor": calibration.upper_factor,
    }


def csv_parts(pages: Iterable[Page]) -> Iterator[str]:
    """The runs of `pages` as CSV, one text per page and one line per run; cells without a figure are empty.

    It begins with a byte order mark, by which spreadsheets recognise UTF-8. Texts that a spreadsheet would take for a
    formula are escaped.
    """
    head = "\ufeff" + _lines([_HEAD])
    for page in pages:  # the head is sent with the first page, so that an unreadable history gives no output
        yield head + _lines(map(_cell, _row(run)) for run in page.runs)
        head = ""
    if head:
        yield head


def _lines(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _row(run: Run) -> Iterator[Any]:
    job, size = run.job, run.job.frame_size
    yield from (run.id, run.started.isoformat(), run.environment.card, str(run.outcome), run.stage)
    yield from (size.width, size.height, job.latent_frames, job.output_frames, job.duration_s, job.window)
    yield from (str(job.dtype), job.steps, job.interpolate, " ".join(sorted(job.optimizations)), str(job.vae_dtype))
    yield from peaks(run)
    yield from (getattr(run.environment, name) for name in _NAMES)
    for stage in STAGES:
        yield run.predicted.get(stage)
        took = run.stages.get(stage, _NOTHING)
        yield from (getattr(took, figure) for figure in _FIGURES)


def _cell(value: Any) -> Any:
    return _harmless(value) if isinstance(value, str) else value


@lru_cache(4096)
def _harmless(text: str) -> str:
    """`text` with an apostrophe before every character that would begin a formula."""
    safe, begins = [], True
    for letter in text:
        if letter in _ENDS:
            begins = True
        elif begins and letter != '"' and unicodedata.category(letter)[0] not in "ZC":
            safe += "'" * (unicodedata.normalize("NFKC", letter)[0] in _FORMULA)
            begins = False  # some programs skip blanks, invisible characters and quotes at the beginning of a cell
        safe.append(letter)
    return "".join(safe)
