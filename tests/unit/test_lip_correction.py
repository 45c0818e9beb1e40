"""What is done about an offset, and how a sound in memory is moved."""

import numpy as np
import pytest

from sonic_guard.errors import FinishError
from sonic_guard.finishing.lip_sync.confidence import Reason
from sonic_guard.finishing.lip_sync.correction import correction_for, moved
from sonic_guard.finishing.lip_sync.measurement import LipSync
from sonic_guard.finishing.lip_sync.plot import HEIGHT, WIDTH, draw_plot
from sonic_guard.messages.catalogue import LANGUAGES
from sonic_guard.messages.lipsync_messages import correction_lines, found_lines

LAGS_MS = np.arange(-500.0, 501.0, 10.0)


def found(offset_ms: float | None, drift_ppm: float = 0.0, reason: Reason | None = None) -> LipSync:
    drift = None if offset_ms is None else drift_ppm
    curve = np.exp(-(((LAGS_MS - (offset_ms or 0)) / 60) ** 2)) * 0.5
    return LipSync(offset_ms, drift, 0.97, reason, LAGS_MS, curve, 10.0)


@pytest.mark.parametrize(
    ("offset_ms", "limit_ms", "applied_ms", "left_ms"),
    [
        pytest.param(30.0, 50.0, -30.0, 0.0, id="late: earlier"),
        pytest.param(-30.0, 50.0, 30.0, 0.0, id="early: later"),
        pytest.param(120.0, 50.0, -50.0, 70.0, id="no farther than the limit"),
        pytest.param(-120.0, 50.0, 50.0, -70.0, id="nor to the other side"),
        pytest.param(120.0, 500.0, -120.0, 0.0, id="a higher limit"),
        pytest.param(30.0, 0.0, 0.0, 30.0, id="only measured"),
        pytest.param(9.9, 50.0, 0.0, 9.9, id="nobody sees it"),
        pytest.param(-9.9, 50.0, 0.0, -9.9, id="nor before"),
        pytest.param(None, 50.0, 0.0, 0.0, id="abstained"),
    ],
)
def test_how_far_the_sound_is_moved(offset_ms, limit_ms, applied_ms, left_ms):
    assert correction_for(found(offset_ms), limit_ms) == pytest.approx((applied_ms, left_ms))


@pytest.mark.parametrize("limit_ms", [-1.0, 500.1, float("nan"), float("inf")])
def test_an_impossible_limit(limit_ms):
    with pytest.raises(FinishError, match="is not between 0 and 500"):
        correction_for(found(30.0), limit_ms)


@pytest.mark.parametrize(
    ("by_ms", "expected"),
    [
        (0.0, [1, 2, 3, 4, 5]),
        (1.0, [0, 1, 2, 3, 4]),
        (-2.0, [3, 4, 5, 0, 0]),
        (0.4, [1, 2, 3, 4, 5]),
        (0.6, [0, 1, 2, 3, 4]),
        (5.0, [0, 0, 0, 0, 0]),
        (-99.0, [0, 0, 0, 0, 0]),
    ],
)
def test_samples_are_moved_and_silence_moves_in(by_ms, expected):
    sound = np.array([[[1, 2, 3, 4, 5]]], np.float32)
    result = moved(sound, 1000, by_ms)
    np.testing.assert_array_equal(result, [[expected]])
    assert result.dtype == sound.dtype
    assert (result is sound) == (expected == [1, 2, 3, 4, 5])


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    "result",
    [*(found(None, reason=reason) for reason in Reason), found(30.0), found(-30.0), found(3.0), found(30.0, 1000.0)],
)
def test_every_result_has_words(result, lang):
    lines = [*found_lines(result, lang), *correction_lines(correction_for(result), lang)]
    assert all(lines) and not any("{" in line for line in lines)


def test_words_of_a_result():
    late = found(120.0, 1000.0)
    assert found_lines(late) == [
        "The sound is 120 ms late (confidence 97%).",
        "It drifts: +1000 ppm, +60 ms a minute; the offset is that in the middle. The frame rate or the speed of the "
        "sound is wrong; moving the sound does not mend that.",
    ]
    assert correction_lines(correction_for(late)) == [
        "The sound was moved 50 ms earlier.",
        "That is the limit; +70 ms are left. Raise max_correction_ms (--max-correction) if this is right.",
    ]
    assert found_lines(found(-4.4)) == ["Sound and lips are together: -4 ms, which nobody sees (confidence 97%)."]


@pytest.mark.parametrize("offset_ms", [None, -480.0, -20.0, 0.0, 250.0, 480.0])
def test_the_plot(offset_ms):
    """A red line where the offset is, and none without one."""
    picture = draw_plot(found(offset_ms, reason=None if offset_ms is not None else Reason.NO_MATCH)).astype(int)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    red = (picture[..., 0] > 150) & (picture[..., 1] < 110)
    columns = np.flatnonzero(red.sum(0) > HEIGHT / 2)
    if offset_ms is None:
        assert not len(columns)
    else:
        inside = WIDTH - 2 * 28
        assert columns.mean() == pytest.approx(28 + (offset_ms + 500) / 1000 * inside, abs=2)
