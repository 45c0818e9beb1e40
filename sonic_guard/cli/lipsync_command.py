"""The command `finish lipsync`: measures the offset between lips and sound, and corrects it in a copy."""

import argparse
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import FinishError
from ..finishing.lip_sync.correction import Correction, check_limit, correction_for, steps_for
from ..finishing.lip_sync.film import FilmSync, measure_film
from ..finishing.lip_sync.measurement import LipSync
from ..messages import lipsync_texts as texts
from ..messages.catalogue import fill
from ..messages.lipsync_messages import correction_lines, found_lines, kept_lines, sampled_lines
from .finish_command import finish_file, finished_dict
from .output import print_json


def run_lipsync(arguments: argparse.Namespace) -> None:
    """Measure the video, and with ``--out`` write it with its sound moved. Raises `SonicGuardError` for bad input."""
    if arguments.out is None and arguments.overwrite:
        raise FinishError("--overwrite: there is nothing to write without --out.")
    check_limit(arguments.max_correction)  # before the video is measured
    film = measured(arguments)
    correction = correction_for(film.found, arguments.max_correction)
    lines = [*found_lines(film.found, arguments.lang), *sampled_lines(film, arguments.lang)]
    written: dict[str, Any] = {}
    if arguments.out is None:
        correction = Correction(0.0, film.found.offset_ms or 0.0)
        lines += [] if film.found.abstained else [fill(texts.NOT_ASKED, arguments.lang)]
    else:
        finished = finish_file(arguments, steps_for(film.footage, arguments.out), shift_s=correction.applied_ms / 1e3)
        written = finished_dict(finished)
        lines = [finished.path.name, *lines, *correction_lines(correction, arguments.lang)]
        lines += kept_lines(finished, arguments.lang)
    if arguments.json:
        print_json({**lipsync_dict(film.found, correction), **written})
    else:
        Console(highlight=False).print("\n".join(lines), markup=False)


def lipsync_dict(found: LipSync, correction: Correction) -> dict[str, Any]:
    """What was measured and done as JSON values; `offset_ms` and `drift_ppm` are null if it abstained."""
    return {
        "offset_ms": _rounded(found.offset_ms, 1),
        "drift_ppm": _rounded(found.drift_ppm, 1),
        "confidence": round(found.confidence, 3),
        "abstained": found.abstained,
        "reason": None if found.reason is None else str(found.reason),
        "applied_ms": round(correction.applied_ms, 1),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def measured(arguments: argparse.Namespace) -> FilmSync:
    """What is measured in the video, with its progress on the error stream. Raises `SonicGuardError`."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(arguments.input.name, total=1.0)
        return measure_film(arguments.input, notify=lambda share: bar.update(task, completed=share))
