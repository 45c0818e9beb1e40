"""Landmarks over time: the same for a part as for the whole, smoothed, never across a cut."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sonic_guard.finishing.face_track import CONTEXT, locate, locate_near, track

PORTRAIT = Path(__file__).parents[2] / "demo" / "portrait.jpg"
EYES_NOSE_MOUTH = ((204, 102), (248, 104), (224, 124), (206, 143), (242, 144))
"""Of the portrait, read off the picture, in pixels."""


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return np.asarray(Image.open(PORTRAIT).convert("RGB"))


def shifted(picture: np.ndarray, right: int) -> np.ndarray:
    return np.ascontiguousarray(np.roll(picture, right, axis=1))


def test_landmarks_of_a_face(portrait):
    found = locate(portrait)
    assert found is not None
    np.testing.assert_allclose(found.array(), EYES_NOSE_MOUTH, atol=4)


def test_a_small_face_in_a_large_frame(portrait):
    frame = np.zeros((1080, 1920, 3), np.uint8)
    frame[500:756, 1200:1456] = portrait[::2, ::2]
    found = locate(frame)
    assert found is not None
    np.testing.assert_allclose(found.array(), np.array(EYES_NOSE_MOUTH) / 2 + (1200, 500), atol=4)


def test_a_moving_face_is_followed_and_smoothed(portrait):
    frames = [shifted(portrait, 3 * n) for n in range(10)]
    found = list(track(iter(frames)))
    assert [frame is given for (frame, _), given in zip(found, frames, strict=True)] == [True] * 10
    rights = [landmarks.centre[0] for _, landmarks in found if landmarks]
    np.testing.assert_allclose(np.diff(rights), 3, atol=1.5)


def test_a_part_gives_what_the_whole_gives(portrait):
    frames = [shifted(portrait, 5 * n) for n in range(12)]
    whole = [landmarks for _, landmarks in track(iter(frames))]
    part = [landmarks for _, landmarks in track(iter(frames[5 - CONTEXT : 6 + CONTEXT]))]
    assert part[CONTEXT] == whole[5]


def test_not_smoothed_across_a_cut(portrait):
    frames = [portrait] * 5 + [shifted(portrait, 150)] * 5
    rights = [landmarks.centre[0] for _, landmarks in track(iter(frames)) if landmarks]
    before, after = rights[:5], rights[5:]
    assert np.ptp(before) < 1e-6 and np.ptp(after) < 1e-6
    assert after[0] - before[0] == pytest.approx(150, abs=4)


def test_a_frame_without_a_face_between_two_with_it(portrait):
    frames = [portrait, portrait, np.zeros_like(portrait), portrait, portrait]
    found = [landmarks for _, landmarks in track(iter(frames))]
    assert found[2] is not None and found[1] is not None
    assert found[2].centre == pytest.approx(found[1].centre)


@pytest.mark.parametrize("count", [0, 1])
def test_few_frames(portrait, count):
    assert len(list(track(iter([portrait] * count)))) == count


def test_no_face(portrait):
    empty = np.zeros((96, 64, 3), np.uint8)
    assert locate(empty) is None
    assert [landmarks for _, landmarks in track(iter([empty, empty]))] == [None, None]
    near = locate(portrait)
    assert near is not None and locate_near(np.zeros_like(portrait), near) is None
    assert locate(np.zeros((1, 1, 3), np.uint8)) is None
