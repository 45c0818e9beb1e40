"""Hard limits that are not memory: a run that meets one fails, however much memory there is."""

from enum import StrEnum
from typing import NamedTuple

from ..job import MIN_LATENT_FRAMES, Job
from ..optimizations import Optimization
from .constants import CHANNELS, LATENT_SIDE, fitting

GUIDANCE_BRANCHES = 3
MAX_ATTENTION_BATCH = 65_535
"""Largest batch of torch's attention kernels on CUDA: the limit of a grid's y and z dimension.

On an H200 with torch 2.11 a batch of 69,120 (1280×1152, stock order) ends in "CUDA error: invalid argument".
"""
MAX_MPS_ELEMENTS = 2**31 - 1
"""Largest number of elements in a tensor on MPS, which uses 32-bit indices."""
HEADS_AT_FULL_SIZE = 5
"""Attention heads of the UNet's outermost blocks. The inner ones have more heads and fewer scores."""


class LimitKind(StrEnum):
    """What is too little or too much."""

    SHORT_SOUND = "short sound"
    """The wrapper cannot take so short a sound. No other setting changes that."""
    ATTENTION_BATCH = "attention batch"
    """CUDA: rows that go through temporal attention together."""
    MPS_INDEX = "mps"
    """Apple GPUs: scores of one attention layer. MPS has no attention that does without the matrix of all scores."""


class Limit(NamedTuple):
    """A hard limit that a job meets; `plan_messages.limit_text` describes it."""

    kind: LimitKind
    figure: float
    """Seconds of sound, rows of the batch, or attention scores."""
    cleared_by: tuple[Optimization, ...] = ()
    """The optimizations that would clear it, at the same settings; empty where none would."""


_CLEARING = (
    (Optimization.SEQUENTIAL_CFG,),
    (Optimization.LAYER_CHUNKING,),
    (Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING),
)
"""Optimizations that send fewer frames or positions through attention at a time, in escalation order."""


def find_limits(job: Job, device: str = "cuda") -> tuple[Limit, ...]:
    """The hard limits `job` meets on `device` (cuda for ROCm too, mps, cpu)."""
    found = []
    if job.latent_frames < MIN_LATENT_FRAMES:
        found.append(Limit(LimitKind.SHORT_SOUND, job.duration_s))
    if device in _ATTENTION:
        kind, figure, most = _ATTENTION[device]
        value = figure(job, job.optimizations)
        if value > most:
            ways = (way for way in _CLEARING if figure(job, job.optimizations.union(way)) <= most)
            found.append(Limit(kind, value, next(ways, ())))
    return tuple(found)


def attention_batch(job: Job, optimizations: frozenset[Optimization]) -> int:
    """Rows that go through the outermost temporal attention together: guidance branches × positions."""
    positions = _positions(job)
    if Optimization.LAYER_CHUNKING in optimizations:  # by groups of positions
        positions = fitting(job.chunk_size, job.window * CHANNELS[0], positions)
    return _branches(optimizations) * positions


def attention_scores(job: Job, optimizations: frozenset[Optimization]) -> int:
    """Scores of the largest attention layer: rows × heads × (positions or frames attended to each other)²."""
    positions = _positions(job)
    if Optimization.LAYER_CHUNKING in optimizations:  # by groups of frames, of any branch
        frames = fitting(job.chunk_size, positions * CHANNELS[0], job.window)
    else:
        frames = _branches(optimizations) * job.window
    spatial = frames * positions**2
    temporal = attention_batch(job, optimizations) * job.window**2
    return HEADS_AT_FULL_SIZE * max(spatial, temporal)


def _positions(job: Job) -> int:
    size = job.frame_size
    return size.width * size.height // LATENT_SIDE**2


def _branches(optimizations: frozenset[Optimization]) -> int:
    return 1 if Optimization.SEQUENTIAL_CFG in optimizations else GUIDANCE_BRANCHES


_ATTENTION = {
    "cuda": (LimitKind.ATTENTION_BATCH, attention_batch, MAX_ATTENTION_BATCH),
    "mps": (LimitKind.MPS_INDEX, attention_scores, MAX_MPS_ELEMENTS),
}
"""By device: the limit of its attention, what it counts, and the most it takes."""
