"""What the steps of the command `finish` share: file to file with progress, and the result in words or JSON."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ..finishing.frames import FrameFilter, Notes
from ..finishing.pipeline import Finished, Finishing, FinishRequest, finish
from ..media.video_writer import Encoding
from ..messages.finish_messages import finish_report
from .output import print_json

LOCK = ".lock"
"""The file in it by which runs wait for each other: see `resume.exclusive_lock`."""
WORK = ".sonic-guard"
"""Folder beside the result with the work that a run that was stopped has left."""


def finish_file(
    arguments: argparse.Namespace, filters: Sequence[FrameFilter], *, shift_s: float = 0.0, notes: Sequence[Notes] = ()
) -> Finished:
    """Put the video through `filters`; its sound comes `shift_s` later. Shows the progress on the error stream."""
    request = FinishRequest(arguments.input, tuple(filters), encoding_of(arguments), shift_s, tuple(notes))
    target: Path = arguments.out
    with shown_progress(target.name) as notify, work_folder_of(target) as work:
        return finish(request, target, work, overwrite=arguments.overwrite, notify=notify)


@contextmanager
def shown_progress(name: str) -> Iterator[Callable[[Finishing], None]]:
    """A bar on the error stream, if that is a terminal, and the function that moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=1.0)
        yield lambda event: bar.update(task, completed=event.share)


@contextmanager
def work_folder_of(target: Path) -> Iterator[Path]:
    """The folder for unfinished work beside `target`; it is removed afterwards if there is none in it."""
    work = target.parent / WORK
    try:
        yield work
    finally:
        with suppress(OSError):  # there is unfinished work, of this or of other videos
            if [file.name for file in work.iterdir()] == [LOCK]:
                (work / LOCK).unlink()
            work.rmdir()


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


def encoding_of(arguments: argparse.Namespace) -> Encoding:
    """The encoder settings that the options choose. Raises `OutputError` for impossible ones."""
    writes = "crf" in arguments  # a step that writes no pictures has no such options
    return Encoding(arguments.format, arguments.crf) if writes else Encoding()
