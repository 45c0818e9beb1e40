"""Twice the frame rate: motion is followed where it can be, and no frame is worse than a blend."""

import cv2
import numpy as np
import pytest

from sonic_guard.finishing.interpolate import Halfway, Interpolate
from tests.support.moving_scenes import SCENES, SIDE, as_frame, disc, moved, noisy, psnr, textured


def blend(first, second):
    return cv2.addWeighted(first, 0.5, second, 0.5, 0)


def frames_of(scene, count=6):
    return [scene(float(time)) for time in range(count)]


GAINS_DB = {"pan": 14, "turn": 9, "zoom": 4, "disc": 9}
NO_DIFFERENCE_DB = 46
"""Above, pictures differ by rounding."""


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("sigma", [0, 3])
def test_no_frame_is_worse_than_a_blend(name, sigma):
    scene = noisy(SCENES[name], sigma) if sigma else SCENES[name]
    halfway = Halfway()
    for time in range(3):
        first, truth, second = scene(time), SCENES[name](time + 0.5), scene(time + 1.0)
        made, mean = psnr(halfway.between(first, second), truth), psnr(blend(first, second), truth)
        assert made >= min(mean, NO_DIFFERENCE_DB) - 0.1
        if name in GAINS_DB and not sigma:
            assert made >= mean + GAINS_DB[name]


def test_frames_are_kept_and_the_last_one_stays():
    frames = frames_of(SCENES["pan"])
    made = list(Interpolate().run(iter(frames)))
    assert len(made) == 2 * len(frames)
    assert all(kept is frame for kept, frame in zip(made[::2], frames, strict=True))
    assert made[-1] is frames[-1]


@pytest.mark.parametrize("count", [0, 1])
def test_few_frames(count):
    made = list(Interpolate().run(iter(frames_of(SCENES["pan"], count))))
    assert len(made) == 2 * count


def test_nothing_is_mixed_across_a_cut():
    shots = [
        *frames_of(SCENES["pan"], 3),
        *frames_of(lambda time: as_frame(moved(textured(30, grain=6), (time, 0))), 3),
    ]
    made = list(Interpolate().run(iter(shots)))
    assert made[5] is shots[2]
    assert not any(made[index] is made[index - 1] for index in (1, 3, 7, 9))


def test_a_part_is_made_as_in_the_whole():
    frames = frames_of(disc, 8)
    step = Interpolate()
    whole = list(step.run(iter(frames)))
    part = list(step.run(iter(frames[3 - step.before : 6 + step.after])))[2 * step.before :]
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(part[:6], whole[6:12], strict=True))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 3), (31, 33), (47, 48), (49, 49), (97, 161), (480, 854)])
def test_any_size(size):
    width, height = size
    frames = [cv2.resize(SCENES["pan"](time), (width, height)) for time in (0.0, 1.0)]
    made = list(Interpolate().run(iter(frames)))
    assert {frame.shape for frame in made} == {(height, width, 3)}
    assert {frame.dtype for frame in made} == {np.dtype(np.uint8)}


def test_still_parts_stay_as_they_are():
    first = SCENES["still"](0.0)
    second = first.copy()
    second[: SIDE // 4, : SIDE // 4] = disc(1.0)[: SIDE // 4, : SIDE // 4]
    between = Halfway().between(first, second)
    assert np.array_equal(between[SIDE // 2 :], first[SIDE // 2 :])


def test_chance_matches_are_not_followed():
    """Pictures that have nothing to do with each other: without the way back as a witness it would be 3 levels."""
    away = []
    for seed in range(4):
        first, second = (as_frame(moved(textured(each + seed, grain=6), (0, 0))) for each in (3, 30))
        away.append(cv2.absdiff(Halfway().between(first, second), blend(first, second)).mean())
    assert np.mean(away) < 2
