"""Hard limits other than memory, at which a job fails even within its memory budget."""

from typing import NamedTuple

from ..job import MIN_LATENT_FRAMES, Job
from ..optimizations import Optimization
from .constants import CHANNELS, LATENT_SIDE, fitting

GUIDANCE_BRANCHES = 3
MAX_ATTENTION_BATCH = 65_535
"""Largest batch of some attention kernels: the limit of the y and z dimensions of a CUDA grid."""
MAX_MPS_ELEMENTS = 2**31 - 1
"""Largest number of elements in a tensor on MPS, which uses 32-bit indices."""
HEADS_AT_FULL_SIZE = 5
"""Attention heads of the UNet's outermost blocks."""


class Limit(NamedTuple):
    """A hard limit that a job exceeds."""

    kind: str
    """"short sound", "attention batch" or "mps"."""
    figure: float
    """The job's value: seconds of sound, batch size, number of attention scores."""
    one_branch: bool = False
    """Whether the guidance branches already run one at a time."""


def find_limits(job: Job, device: str = "cuda") -> tuple[Limit, ...]:
    """The limits that `job` exceeds on `device` (cuda, mps, cpu)."""
    size = job.frame_size
    positions = size.width * size.height // LATENT_SIDE**2
    branches = 1 if Optimization.SEQUENTIAL_CFG in job.optimizations else GUIDANCE_BRANCHES
    found = []
    if job.latent_frames < MIN_LATENT_FRAMES:
        found.append(Limit("short sound", job.duration_s))
    frames, rows = job.window * branches, positions * branches
    if Optimization.LAYER_CHUNKING in job.optimizations:
        # Spatial attention runs on groups of frames, temporal attention on groups of positions.
        frames = fitting(job.chunk_size, positions * CHANNELS[0], job.window)
        rows = branches * fitting(job.chunk_size, job.window * CHANNELS[0], positions)
    if device == "cuda" and rows > MAX_ATTENTION_BATCH:
        found.append(Limit("attention batch", rows, branches == 1))
    scores = frames * HEADS_AT_FULL_SIZE * positions**2
    if device == "mps" and scores > MAX_MPS_ELEMENTS:
        found.append(Limit("mps", scores))
    return tuple(found)
