"""The article's estimate as published: its formula to the decimal, its table, its rule for a risk."""

import pytest

from sonic_guard.job import Job
from sonic_guard.memory.article_formula import ARTICLE_TABLE, article_bytes, article_gb, is_article_risk


@pytest.mark.parametrize(
    ("resolution_px", "duration_s", "steps", "expand_ratio", "total_gb"),
    [
        (1024, 10, 30, 0.15, 369.8),  # the article's own example
        (512, 10, 25, 0.0, 49.8),  # 250 frames of 0.18 GB, and the base of 4.8 GB
        (512, 10, 20, 0.20, 75.4),
        (768, 10, 20, 0.20, 163.6),
        (768, 10, 20, 0.15, 141.7),
        (384, 10, 15, 0.20, 34.6),
        (512, 60, 25, 0.20, 534.0),
        (512, 0, 25, 0.20, 4.8),
    ],
)
def test_the_formula(resolution_px, duration_s, steps, expand_ratio, total_gb):
    assert article_gb(resolution_px, duration_s, steps, expand_ratio) == total_gb


def test_the_resolution_of_a_job_is_its_min_resolution_and_a_gb_is_a_thousand_million_bytes():
    job = Job(1920, 1080, 10.0, min_resolution=1024, steps=30, expand_ratio=0.15)
    assert article_bytes(job) == 369_800_000_000


@pytest.mark.parametrize(
    ("total_gb", "free_gb", "risk"), [(9.0, 10, False), (9.1, 10, True), (369.8, 24, True), (4.8, 5.4, False)]
)
def test_a_risk_is_more_than_nine_tenths_of_what_is_free(total_gb, free_gb, risk):
    assert is_article_risk(total_gb, free_gb) is risk


def test_the_table_of_the_article():
    assert [tuple(row) for row in ARTICLE_TABLE] == [(384, 0.12, 6.5), (768, 0.38, 9.8), (1024, 0.75, 13.2)]
