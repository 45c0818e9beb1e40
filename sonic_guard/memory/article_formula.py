"""The estimate of the article this pack grew from, exactly as published, for comparison.

The article has a formula and a table, and one does not follow from the other: for 10 s at 1024 px the formula gives
369.8 GB (30 steps, ratio 0.15), the table 13.2 GB. Neither agrees with the wrapper's code, where steps and
expand_ratio cost no memory; `docs/memory-model.md` compares both with traced and measured figures. Nothing is decided
by either. GB is 10**9 bytes.
"""

from typing import NamedTuple

from ..job import Job

GB = 10**9
BASE_GB = 4.8
"""What the models take, whatever the job."""
GB_PER_FRAME = 0.18
"""For one frame of 512 px, no margin and 25 steps."""
FPS = 25
RISK_SHARE = 0.9
"""Part of the free memory above which the article warns of a risk."""


class ArticleRow(NamedTuple):
    """A line of the article's table, which is for an RTX 3090 and 10 s of sound."""

    resolution_px: int
    frame_gb: float
    """GB a frame."""
    total_gb: float


ARTICLE_TABLE = (ArticleRow(384, 0.12, 6.5), ArticleRow(768, 0.38, 9.8), ArticleRow(1024, 0.75, 13.2))
"""As printed: the totals are not the base and the frames added up. The article names no steps and no ratio for it."""


def article_gb(resolution_px: int, duration_s: float, steps: int, expand_ratio: float) -> float:
    """VRAM in GB by the article's formula, to one decimal as there.

    total = 4.8 + duration · 25 · 0.18 · (resolution / 512)² · (1 + 2 · expand_ratio)² · steps / 25
    """
    area = (resolution_px / 512) ** 2 * (1 + 2 * expand_ratio) ** 2
    return round(BASE_GB + duration_s * FPS * GB_PER_FRAME * area * steps / 25, 1)


def is_article_risk(total_gb: float, free_gb: float) -> bool:
    """Whether the article warns of `total_gb` with `free_gb` free: above nine tenths of it."""
    return total_gb > RISK_SHARE * free_gb


def article_bytes(job: Job) -> int:
    """`article_gb` of a job in bytes; its resolution is `min_resolution`."""
    return round(article_gb(job.min_resolution, job.duration_s, job.steps, job.expand_ratio) * GB)
