"""How long a run takes, as users read it."""

import pytest

from sonic_guard.messages.time_messages import about, between, time_text
from sonic_guard.planning.pace import TimePrediction, TimeSource


@pytest.mark.parametrize(
    ("low_s", "high_s", "en", "zh"),
    [
        (0.2, 0.4, "1 to 5 s", "1 至 5 秒"),
        (42.0, 88.0, "40 to 90 s", "40 至 90 秒"),
        (62.0, 130.0, "1 to 3 min", "1 至 3 分钟"),
        (241.0, 539.0, "4 to 9 min", "4 至 9 分钟"),
        (40.0, 130.0, "1 to 3 min", "1 至 3 分钟"),
        (3600.0, 9000.0, "1 to 2.5 h", "1 至 2.5 小时"),
        (2200.0, 7800.0, "35 to 130 min", "35 至 130 分钟"),
        (4000.0, 4300.0, "1 to 1.5 h", "1 至 1.5 小时"),
    ],
)
def test_a_range_is_rounded_outwards(low_s, high_s, en, zh):
    assert (between(low_s, high_s), between(low_s, high_s, "zh")) == (en, zh)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.1, "about 5 s"),
        (47.0, "about 45 s"),
        (150.0, "about 2 min"),
        (245.0, "about 4 min"),
        (3000.0, "about 50 min"),
        (7300.0, "about 2 h"),
    ],
)
def test_one_time_is_rounded(seconds, text):
    assert about(seconds) == text


@pytest.mark.parametrize(
    ("time", "en", "zh"),
    [
        (
            TimePrediction(TimeSource.MEASURED, 1.0, 245.0, 220.0, 280.0),
            "about 4 min of denoising",
            "去噪：约 4 分钟",
        ),
        (
            TimePrediction(TimeSource.ESTIMATED, 1.0, None, 245.0, 530.0),
            "4 to 9 min of denoising, not yet seen on this card",
            "去噪：4 至 9 分钟（尚未在此显卡上实测）",
        ),
        (
            TimePrediction(TimeSource.RELATIVE, 2.34),
            "denoising takes 2.3 times as long as 512 px, 10 s",
            "去噪时长是 512 像素、10 秒的 2.3 倍",
        ),
        (
            TimePrediction(TimeSource.RELATIVE, 1.01),
            "denoising takes as long as 512 px, 10 s",
            "去噪时长与 512 像素、10 秒相同",
        ),
    ],
)
def test_a_prediction_says_where_it_comes_from(time, en, zh):
    assert (time_text(time), time_text(time, "zh")) == (en, zh)
