"""Jitter is taken out, and real motion, lips and sharp edges are not."""

import cv2
import numpy as np
import pytest

from sonic_guard.errors import FinishError
from sonic_guard.finishing.face_track import locate
from sonic_guard.finishing.jitter import REACH, Jitter, steadied
from tests.support.head_scenes import Scene, opening, psnr, shake, shimmer

SIZE = 256
COUNT = 34
SCENE = Scene(SIZE, COUNT)
CLEAN = SCENE.render()
FACES = [locate(frame) for frame in CLEAN]
JITTER = {
    "a shake of half a pixel": shake(COUNT, SIZE, 0.5),
    "a shake of 0.8 pixels": shake(COUNT, SIZE, 0.8),
    "texture that shimmers": shimmer(COUNT, SIZE, 0.4, 10),
    "both": [a + b for a, b in zip(shake(COUNT, SIZE, 0.5), shimmer(COUNT, SIZE, 0.3, 10), strict=True)],
}
"""In pixels of 256; twice that at 512."""
WHOLE = slice(REACH, COUNT - REACH)
"""Frames with neighbours on both sides."""


@pytest.fixture(scope="module", params=JITTER)
def jittery(request):
    frames = SCENE.render(JITTER[request.param])
    return frames, without_jitter(frames)


def without_jitter(frames, faces=FACES, strength=1.0):
    return list(steadied(zip(frames, faces, strict=False), strength))


def energy(frames, clean=CLEAN):
    """Mean square of the distance by which points are away from where they are in the clean clip, outside the mouth."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setFinestScale(0)
    total = []
    for number in range(WHOLE.start, WHOLE.stop):
        a, b = (cv2.cvtColor(each[number], cv2.COLOR_RGB2GRAY) for each in (clean, frames))
        distance = (flow.calc(a, b, None) ** 2).sum(-1)
        x, y = map(round, SCENE.mouth(number))
        distance[y - 25 : y + 25, x - 30 : x + 30] = np.nan
        total.append(np.nanmean(distance[6:-6, 6:-6]))
    return np.mean(total)


def test_most_of_the_jitter_is_gone(jittery):
    frames, result = jittery
    assert energy(result) <= 0.3 * energy(frames)


def test_the_picture_is_nearer_to_the_clean_one(jittery):
    frames, result = jittery
    assert psnr(result[WHOLE], CLEAN[WHOLE]) >= psnr(frames[WHOLE], CLEAN[WHOLE]) + 1.5


def test_the_mouth_opens_as_far_as_it_does(jittery):
    heights = [
        [opening(clip[n], SCENE.mouth(n)) for n in range(WHOLE.start, WHOLE.stop)] for clip in (CLEAN, jittery[1])
    ]
    assert np.std(heights[1]) == pytest.approx(np.std(heights[0]), rel=0.03)
    assert np.corrcoef(heights)[0, 1] >= 0.98


def sharpness(frames):
    """Mean square of the Laplacian around the eyes."""
    parts = [frame[95:125, 95:165] for frame in frames[WHOLE]]
    return np.mean([np.square(cv2.Laplacian(part, cv2.CV_32F)).mean() for part in parts])


def test_eyes_stay_sharp(jittery):
    frames, result = jittery
    assert sharpness(result) >= 0.9 * sharpness(CLEAN)
    assert sharpness(result) <= 1.1 * sharpness(frames)


def test_a_steady_clip_stays_as_it_is():
    assert psnr(without_jitter(CLEAN), CLEAN) >= 46


def test_lips_are_not_smoothed():
    """Syllables are as fast as jitter: without landmarks the filter would take them for it."""
    result = without_jitter(CLEAN)
    heights = [[opening(clip[n], SCENE.mouth(n)) for n in range(COUNT)] for clip in (CLEAN, result)]
    assert np.std(heights[1]) == pytest.approx(np.std(heights[0]), rel=0.01)
    assert np.corrcoef(heights)[0, 1] >= 0.999


def test_half_the_strength_takes_out_less():
    frames = SCENE.render(JITTER["both"])
    energies = [energy(without_jitter(frames, strength=strength)) for strength in (1.0, 0.5)]
    assert energies[0] < energies[1] < energy(frames)


def with_ball(frames, speed):
    """A ball that crosses the picture by `speed` pixels a frame."""
    result = [frame.copy() for frame in frames]
    for number, frame in enumerate(result):
        cv2.circle(frame, (int((20 + speed * number) * 16), 60 * 16), 12 * 16, (250, 240, 60), -1, cv2.LINE_AA, 4)
    return result


@pytest.mark.parametrize("speed", [3, 7, 12, 25])
def test_what_crosses_leaves_no_ghost(speed):
    """Where the ball is, was or will be, the picture is not further from the clean one than it came."""
    clean, jittery = with_ball(CLEAN, speed), with_ball(SCENE.render(JITTER["both"]), speed)
    result = without_jitter(jittery)
    rows = slice(44, 76)
    for number in range(COUNT):
        errors = [
            np.square(frames[number][rows].astype(float) - clean[number][rows]).mean() for frames in (jittery, result)
        ]
        assert errors[1] <= errors[0] * 1.05 + 1
    seen = min(16, round(100 / speed))
    edge = [np.abs(np.diff(frames[seen][60].astype(int), axis=0)).max() for frames in (jittery, result)]
    assert edge[0] > 80, "the ball is in the picture"
    assert edge[1] >= 0.8 * edge[0]


def test_a_cut_is_not_crossed():
    """Each shot comes out as it does alone."""
    shots = [SCENE.render(JITTER["both"])[:16], [np.ascontiguousarray(f[::-1, ::-1]) for f in CLEAN[:16]]]
    joined = without_jitter(shots[0] + shots[1], [None] * 32)
    alone = [*without_jitter(shots[0], [None] * 16), *without_jitter(shots[1], [None] * 16)]
    for number, (a, b) in enumerate(zip(joined, alone, strict=True)):
        np.testing.assert_array_equal(a, b, err_msg=str(number))


STREET = [np.ascontiguousarray(frame[::-1, ::-1]) for frame in CLEAN]
UNCHANGED = {
    "no frame": [],
    "one frame": CLEAN[:1],
    "two frames": CLEAN[:2],
    "a still picture": CLEAN[:1] * 16,
    "a cut in every frame": [(CLEAN, STREET)[n % 2][n] for n in range(14)],
    "black": [np.zeros((64, 96, 3), np.uint8)] * 15,
    "white": [np.full((64, 96, 3), 255, np.uint8)] * 15,
    "grey": [np.full((65, 97, 3), 127, np.uint8)] * 15,
    "one pixel": [np.full((1, 1, 3), n, np.uint8) for n in range(15)],
    "too small for flow": [frame[:31, :40].copy() for frame in CLEAN[:15]],
    "a size of its own for each": [np.ascontiguousarray(CLEAN[n][: SIZE - 2 * n]) for n in range(10)],
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_what_cannot_be_steadied_comes_out_as_the_same_objects(name):
    frames = UNCHANGED[name]
    result = list(Jitter().run(iter(frames)))
    assert len(result) == len(frames)
    assert all(a is b for a, b in zip(result, frames, strict=True))


@pytest.mark.parametrize("part", [(slice(0, 201), slice(0, 175)), (slice(60, 125), slice(None))])
def test_pictures_of_other_shapes(part):
    frames, clean = ([np.ascontiguousarray(f[part]) for f in clip] for clip in (SCENE.render(JITTER["both"]), CLEAN))
    result = without_jitter(frames, [None] * COUNT)
    assert {frame.shape for frame in result} == {clean[0].shape}
    assert psnr(result[WHOLE], clean[WHOLE]) >= psnr(frames[WHOLE], clean[WHOLE]) + 1.5


@pytest.mark.parametrize("start", [1, 8, 15, 27])
def test_a_part_gives_the_frames_of_the_whole(start):
    frames, step = SCENE.render(JITTER["both"]), Jitter()
    whole = list(step.run(iter(frames)))
    first, end = max(0, start - step.before), min(COUNT, start + 5)
    part = list(step.run(iter(frames[first : end + step.after])))[start - first : end - first]
    for number, (a, b) in enumerate(zip(part, whole[start:end], strict=True), start=start):
        np.testing.assert_array_equal(a, b, err_msg=str(number))


def test_strength_0_takes_no_time_and_changes_nothing():
    frames = SCENE.render(JITTER["both"])[:8]
    assert all(a is b for a, b in zip(Jitter(0).run(iter(frames)), frames, strict=True))


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), "much", True])
def test_a_strength_that_is_none_is_refused(strength):
    with pytest.raises(FinishError, match="strength: expected a number from 0 to 1"):
        Jitter(strength)
