"""Hard limits that are not memory: a job within its budget can still die of them."""

from ..job import MIN_LATENT_FRAMES, MIN_SOUND_S, Job, Lever
from .constants import GROUP_POSITIONS, LATENT_SIDE

GUIDANCE_BRANCHES = 3
MAX_ATTENTION_BATCH = 65_535
"""Largest batch of some attention kernels: a CUDA grid's y and z dimension."""
MAX_MPS_ELEMENTS = 2**31 - 1
"""MPS indexes with 32 bits."""
HEADS_AT_FULL_SIZE = 5
"""Attention heads of the UNet's outermost blocks."""


def find_limits(job: Job, device: str = "cuda") -> tuple[str, ...]:
    """The limits `job` meets on `device` (cuda, mps, cpu), in words that say what to do."""
    size = job.frame_size
    positions = size.width * size.height // LATENT_SIDE**2
    branches = 1 if Lever.BRANCH in job.levers else GUIDANCE_BRANCHES
    found = []
    if job.latent_frames < MIN_LATENT_FRAMES:
        found.append(
            f"short sound: {job.duration_s:.2f} s is less than the {MIN_SOUND_S:.2f} s the wrapper can take (it stops "
            "with “mat1 and mat2 shapes cannot be multiplied”). Add silence; Preflight does."
        )
    batch = branches * (min(positions, GROUP_POSITIONS) if Lever.BLOCK in job.levers else positions)
    if device == "cuda" and batch > MAX_ATTENTION_BATCH:
        found.append(
            f"attention batch: temporal attention runs with batch {batch:,}, over {MAX_ATTENTION_BATCH:,}; with some "
            "torch versions this stops with “CUDA error: invalid configuration argument” (not yet confirmed on a GPU). "
            + (
                "Use a smaller min_resolution."
                if branches == 1
                else "Use a smaller min_resolution, or one guidance branch at a time."
            )
        )
    scores = branches * job.window * HEADS_AT_FULL_SIZE * positions**2
    if device == "mps" and scores > MAX_MPS_ELEMENTS:
        found.append(
            f"MPS indexing: spatial attention makes {scores:,} scores, over 2**31; Apple GPUs stop with “Can't be "
            "indexed using 32-bit iterator” (not yet confirmed on a Mac). Use a smaller min_resolution or fps."
        )
    return tuple(found)
