"""Everything that a preset includes, on one video, in one encode: light, jitter and size of the pictures, and lips."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..media.cancellation import Check, nothing
from ..media.video_writer import Encoding
from .finish_presets import FinishSteps, finish_filters
from .lip_sync.correction import Correction, correction_for
from .lip_sync.film import FilmSync, measure_film
from .output_size import OutputSize
from .pipeline import Finished, Finishing, FinishRequest, finish
from .smooth import SmoothNotes

MEASURING = 0.1
"""Share of the progress that belongs to the measurement of the lips."""


@dataclass(frozen=True)
class FinishAllRequest:
    """A video and what is done to it."""

    source: Path
    steps: FinishSteps
    encoding: Encoding = field(default_factory=Encoding)
    model: str | None = None
    """Name of the upscale model; None: the video is resized without one."""
    upscale: Callable[[OutputSize], Any] | None = None
    """Makes the filter that enlarges with that model."""


@dataclass(frozen=True)
class FinishedAll:
    """A finished video, and what was found in it."""

    request: FinishAllRequest
    finished: Finished
    notes: SmoothNotes
    film: FilmSync | None
    """None where the preset leaves the lips alone, or the video has no sound."""
    correction: Correction


def finish_all(
    request: FinishAllRequest,
    target: Path,
    work: Path,
    *,
    notify: Callable[[Finishing], None] = lambda event: None,
    check: Check = nothing,
    overwrite: bool = False,
) -> FinishedAll:
    """Finish the video of `request` into the file `target`. Arguments and errors are those of `pipeline.finish`."""
    notes, film, correction = SmoothNotes(), None, Correction(0.0, 0.0)
    filters = finish_filters(request.steps, notes, request.upscale)
    if request.steps.lip_sync:
        film = measure_film(request.source, check, lambda share: notify(Finishing(MEASURING * share, None)))
        film = film if film.footage.audio_tracks else None
        correction = correction_for(film.found) if film else correction
    begun = MEASURING if film else 0.0
    finished = finish(
        FinishRequest(request.source, filters, request.encoding, correction.applied_ms / 1e3, (notes,)), target, work,
        notify=lambda event: notify(event._replace(share=begun + (1 - begun) * event.share)),
        check=check, overwrite=overwrite,
    )  # fmt: skip
    return FinishedAll(request, finished, notes, film, correction)
