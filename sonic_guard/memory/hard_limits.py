"""Hard limits that are not memory: a job within its budget can still die of them."""

from typing import NamedTuple

from ..job import MIN_LATENT_FRAMES, Job
from ..optimizations import Optimization
from .constants import CHANNELS, LATENT_SIDE, fitting

GUIDANCE_BRANCHES = 3
MAX_ATTENTION_BATCH = 65_535
"""Largest batch of some attention kernels: a CUDA grid's y and z dimension."""
MAX_MPS_ELEMENTS = 2**31 - 1
"""MPS indexes with 32 bits."""
HEADS_AT_FULL_SIZE = 5
"""Attention heads of the UNet's outermost blocks."""


class Limit(NamedTuple):
    """A hard limit that a job meets; `words.limit_text` says it."""

    kind: str
    """short sound, attention batch or mps."""
    figure: float
    """What is too little or too much: seconds of sound, batch, attention scores."""
    one_branch: bool = False
    """Whether the guidance branches go one by one already."""


def find_limits(job: Job, device: str = "cuda") -> tuple[Limit, ...]:
    """The limits `job` meets on `device` (cuda, mps, cpu)."""
    size = job.frame_size
    positions = size.width * size.height // LATENT_SIDE**2
    branches = 1 if Optimization.SEQUENTIAL_CFG in job.optimizations else GUIDANCE_BRANCHES
    found = []
    if job.latent_frames < MIN_LATENT_FRAMES:
        found.append(Limit("short sound", job.duration_s))
    frames, rows = job.window * branches, positions * branches
    if (
        Optimization.LAYER_CHUNKING in job.optimizations
    ):  # groups of frames in spatial attention, of positions in temporal attention
        frames = fitting(job.chunk_size, positions * CHANNELS[0], job.window)
        rows = branches * fitting(job.chunk_size, job.window * CHANNELS[0], positions)
    if device == "cuda" and rows > MAX_ATTENTION_BATCH:
        found.append(Limit("attention batch", rows, branches == 1))
    scores = frames * HEADS_AT_FULL_SIZE * positions**2
    if device == "mps" and scores > MAX_MPS_ELEMENTS:
        found.append(Limit("mps", scores))
    return tuple(found)
