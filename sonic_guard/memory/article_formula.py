"""The estimate of the article this pack grew from, kept under its own name for comparison.

The article gives one formula in duration, resolution, steps and expand_ratio, and a table that does not
follow from it. Only one value of the formula is known to us (1024 px, 10 s, 30 steps, ratio 0.15: about
370 GB), so this is the product of its four inputs scaled to that value, not a quotation. It is never used
to decide anything; see `docs/memory-model.md` for how far it is from the traced figures.
"""

from ..job import Job

BYTES = 1024
"""Bytes for a pixel, second and step: what makes the known value come out (370.4 GB)."""


def article_bytes(job: Job) -> int:
    """VRAM in bytes by the article's formula, with its claim that steps and margins cost memory."""
    size = job.frame_size
    return int(BYTES * size.width * size.height * job.duration_s * job.steps * (1 + job.expand_ratio))
