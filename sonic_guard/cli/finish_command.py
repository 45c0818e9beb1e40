"""What the steps of the command `finish` share: file to file with progress, and the result in words or JSON."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ..finishing.frames import FrameFilter
from ..finishing.pipeline import Finished, FinishRequest, finish
from ..media.video_writer import Encoding
from ..messages.finish_messages import finish_report
from .output import print_json

WORK = ".sonic-guard"
"""Folder beside the result with the work that a run that was stopped has left."""


def finish_file(arguments: argparse.Namespace, filters: Sequence[FrameFilter], *, shift_s: float = 0.0) -> Finished:
    """Put the video through `filters`; its sound comes `shift_s` later. Shows the progress on the error stream."""
    request = FinishRequest(arguments.input, tuple(filters), _encoding(arguments), shift_s)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    target: Path = arguments.out
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(target.name, total=1.0)
        return finish(
            request, target, target.parent / WORK, overwrite=arguments.overwrite,
            notify=lambda event: bar.update(task, completed=event.share),
        )  # fmt: skip


def print_finished(
    arguments: argparse.Namespace, finished: Finished, more: dict[str, Any], lines: Sequence[str]
) -> None:
    """The result: `more` is the step's part of the JSON, `lines` its part of the text."""
    if arguments.json:
        print_json({**finished_dict(finished), **more})
    else:
        Console(highlight=False).print("\n".join([finish_report(finished, arguments.lang), *lines]), markup=False)


def finished_dict(finished: Finished) -> dict[str, Any]:
    """The result as JSON values."""
    return {
        "file": str(finished.path),
        "width": finished.width,
        "height": finished.height,
        "frames": finished.frames,
        "changed": finished.changed,
        "kept": finished.kept,
        "is_copy": finished.is_copy,
    }


def _encoding(arguments: argparse.Namespace) -> Encoding:
    writes = "crf" in arguments  # a step that writes no pictures has no such options
    return Encoding(arguments.format, arguments.crf) if writes else Encoding()
