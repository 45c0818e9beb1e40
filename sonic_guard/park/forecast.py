"""What a job needs on each card model: the options that are placed, from the memory model and the time model."""

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..devices.budget import Budget
from ..errors import HistoryError
from ..history.calibration import Calibration
from ..history.card_models import model_histories
from ..history.database import VARIABLE
from ..history.history_cache import CardHistory
from ..history.history_store import History, history_location
from ..job import LATENT_FPS, Job
from ..memory.stage_model import Estimate
from ..operations.run_settings import dtype_on, vae_dtype_on
from ..optimizations import ESCALATION_ORDER, Optimization, without_redundant
from ..planning.capacity import Capacity
from ..planning.pace import RELATIVE_TO, Pace, passes, predict_time
from ..planning.pass_time import pass_s
from ..planning.selection import STREAMED, largest_chunk_size
from .placement import Option

log = logging.getLogger(__name__)

LOAD_S, DECODE_S = 7.0, 1.2e-5
"""Seconds of a run beside denoising, once and for each latent frame and latent pixel, on the H200: ``docs/time.md``."""
_LATENT_PIXELS = 64
"""Pixels of a frame in one latent pixel."""
_MEASURED_S = passes(RELATIVE_TO) * pass_s(RELATIVE_TO)
"""What the run that others are compared with takes on the H200."""


@dataclass(frozen=True)
class CardModel:
    """A card model of the park, and what its earlier runs have shown, on whichever worker."""

    budget: Budget
    pace: Pace | None = None
    calibration: Calibration = field(default_factory=Calibration)

    def needed_bytes(self, estimate: Estimate) -> int:
        """Bytes to plan with: the calibration's upper bound where there is one, else its corrected prediction."""
        upper = self.calibration.upper(estimate)
        return self.calibration.corrected(estimate) if upper is None else upper


def card_models(budgets: Mapping[str, Budget], known: Mapping[str, CardHistory]) -> dict[str, CardModel]:
    """The models of a park, with what the park's history tells of them (`history.card_models.model_histories`)."""
    return {
        name: CardModel(budget, known[name].pace, known[name].calibration) if name in known else CardModel(budget)
        for name, budget in budgets.items()
    }


def known_cards() -> dict[str, CardHistory]:
    """What the park's history tells of its card models: that of SONIC_GUARD_DB; nothing where none is set.

    Where it cannot be read, nothing either, with a warning in the log: then the models alone predict.
    """
    if not os.environ.get(VARIABLE):
        return {}
    try:
        return model_histories(History(history_location(), existing=True))
    except HistoryError as error:
        log.warning("Jobs are placed by the models alone: %s", error)
        return {}


class Forecast:
    """The options of jobs on the card models of a park. Jobs that take the same windows share one answer."""

    def __init__(self, models: Mapping[str, CardModel]) -> None:
        self._models = models
        self._capacities = {name: Capacity(model.budget) for name, model in models.items()}
        self._known: dict[Job, tuple[Option, ...]] = {}

    def options(self, job: Job) -> tuple[Option, ...]:
        """The options of `job`, made by Sonic Talking Head, from its own optimizations to every exact one."""
        job = whole_windows(job)
        if job not in self._known:
            self._known[job] = tuple(self._useful(job))
        return self._known[job]

    def _useful(self, job: Job) -> Iterator[Option]:
        """The options that need less memory than the one before on some card."""
        before: Option | None = None
        for optimizations in escalation(job.optimizations):
            option = self._option(replace(job, optimizations=optimizations, to_file=True))
            if before is None or any(option.bytes_on(name) < before.bytes_on(name) for name in self._models):
                yield option
                before = option

    def _option(self, job: Job) -> Option:
        sizes: dict[str, int] = {}
        seconds: dict[str, float] = {}
        for name, model in self._models.items():
            capacity = self._capacities[name]
            on_card = replace(job, dtype=dtype_on(model.budget, job.dtype), vae_dtype=vae_dtype_on(model.budget))
            estimate = capacity.estimate(on_card)
            sizes[name] = model.needed_bytes(estimate)
            if not estimate.limits and sizes[name] <= model.budget.usable_bytes:
                chunked = replace(on_card, chunk_size=largest_chunk_size(on_card, capacity.fits))
                seconds[name] = run_s(chunked, model)
        usual = min(sizes.values(), default=0)
        return Option(usual, seconds, job.optimizations, {name: size for name, size in sizes.items() if size != usual})


def escalation(enabled: frozenset[Optimization]) -> Iterator[frozenset[Optimization]]:
    """The optimizations of Sonic Talking Head, and after each out-of-memory error one more."""
    enabled |= STREAMED
    yield without_redundant(enabled)
    for each in ESCALATION_ORDER:
        if each not in enabled:
            enabled |= {each}
            yield without_redundant(enabled)


def whole_windows(job: Job) -> Job:
    """`job` with its last window full: it takes as long, and not less memory."""
    return replace(job, duration_s=job.windows * job.window / LATENT_FPS)


def run_s(job: Job, model: CardModel, parts: Sequence[int] | None = None) -> float:
    """Most likely seconds of a whole run of `job`, or of a video like it whose parts have so many latent frames.

    Loading takes as long everywhere, for disks and buses differ less than cards do. Decoding follows the card's pace.
    """
    size = job.frame_size
    frames = job.latent_frames if parts is None else sum(parts)
    decoded = frames * size.width * size.height / _LATENT_PIXELS
    return _denoise_s(job, model, parts) + LOAD_S + _pace(model) * DECODE_S * decoded


def _pace(model: CardModel) -> float:
    """Time of a stock pass as a ratio to the H200's."""
    return _denoise_s(RELATIVE_TO, model) / _MEASURED_S


def _denoise_s(job: Job, model: CardModel, parts: Sequence[int] | None = None) -> float:
    """Of a card never seen, the middle of its range; of one of unknown speed, as if it were the measured card."""
    time = predict_time(job, model.budget, model.pace, parts=parts)
    if time.seconds is not None:
        return time.seconds
    if time.low_s is None or time.high_s is None:
        return time.relative * _MEASURED_S
    return math.sqrt(time.low_s * time.high_s)
