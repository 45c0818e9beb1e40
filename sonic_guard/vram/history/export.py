"""The history for other programs: a table for spreadsheets, and what its runs say about the next one."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from typing import Any

from ...run import Place, Run, StageFigures
from ..model import STAGES
from .calibration import MAX_RUNS, Calibration, calibrate, peaks
from .store import History

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula, or passes over before one."""
_NAMES = tuple(field.name for field in fields(Place) if field.name != "card")
_FIGURES = tuple(field.name for field in fields(StageFigures))
_HEAD = (
    *("id", "started", "card", "outcome", "stage", "width", "height", "latent_frames", "output_frames", "duration_s"),
    *("window", "dtype", "steps", "interpolate", "levers", "vae_dtype", "predicted_peak_bytes", "actual_peak_bytes"),
    *_NAMES,
    *(f"{stage}_{figure}" for stage in STAGES for figure in ("predicted_bytes", *_FIGURES)),
)


def calibrations(history: History, card: str | None = None) -> dict[str, Calibration]:
    """What the runs of each card (or of one) say, with the version of the wrapper that ran last."""
    found = {}
    for name in history.cards() if card is None else [card]:
        runs = history.runs(card=name, limit=2 * MAX_RUNS)
        if runs:
            found[name] = calibrate(run for run in runs if run.place.wrapper == runs[0].place.wrapper)
    return found


def calibration_dict(calibration: Calibration) -> dict[str, Any]:
    """A calibration as JSON."""
    return {
        "runs": calibration.runs,
        "median_error_model": calibration.median_error_model,
        "median_error": calibration.median_error,
        "upper_factor": calibration.upper_factor,
    }


def export_csv(runs: Iterable[Run]) -> str:
    """The runs as a table, a line each, empty where nothing was measured. No text in it is taken for a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_HEAD)
    writer.writerows(map(_cell, _row(run)) for run in runs)
    return text.getvalue()


def _row(run: Run) -> Iterator[Any]:
    job, size = run.job, run.job.frame_size
    yield from (run.id, run.started.isoformat(), run.place.card, str(run.outcome), run.stage)
    yield from (size.width, size.height, job.latent_frames, job.output_frames, job.duration_s, job.window)
    yield from (str(job.dtype), job.steps, job.interpolate, " ".join(sorted(job.levers)), str(job.vae_dtype))
    yield from peaks(run)
    yield from (getattr(run.place, name) for name in _NAMES)
    for stage in STAGES:
        yield run.predicted.get(stage)
        yield from asdict(run.stages.get(stage, StageFigures())).values()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
