"""A seam is hidden: held against the truth of a made-up scene, and compared with a hard cut and a plain cross-fade.

In the scene a head moves over a fixed background. In the later part the head is some pixels elsewhere and the light
is slightly different. The truth moves evenly from one position to the other during the fade, and its light changes
from one part's to the other's after it.
"""

from typing import NamedTuple

import cv2
import numpy as np
import pytest
import skimage.data

from sonic_guard.media.seams import hide_seam

SIDE, FADE, SETTLE = 192, 8, 24
PORTRAIT = cv2.resize(skimage.data.astronaut()[:360, 60:420], (160, 160), interpolation=cv2.INTER_AREA) / 255
GROUND = cv2.resize(skimage.data.coffee()[:400, :400], (SIDE, SIDE), interpolation=cv2.INTER_AREA) / 255


class Case(NamedTuple):
    shift: tuple[float, float]
    """Pixels by which the head is elsewhere in the later part."""
    gain: float
    offset: float
    """Light of the later part: gain times the earlier's, and offset."""
    cut: float
    """How many times smaller than a hard cut's the error has to be."""
    cross: float
    """The same for a plain cross-fade."""


CASES = {
    "elsewhere": Case((5, 2), 1.0, 0.0, 4.5, 4),
    "brighter": Case((0, 0), 1.0, 0.04, 12, 12),
    "both": Case((5, 2), 0.95, 0.04, 5, 4.5),
    "far and darker": Case((9, -4), 1.06, -0.03, 4, 3),
}


def view(x: float, y: float, gain: float = 1.0, offset: float = 0.0) -> np.ndarray:
    """The scene with the head moved to (x, y): float64 [SIDE, SIDE, 3]."""
    move = np.array([[1, 0, 16 + x], [0, 1, 30 + y]])
    size, kind = (SIDE, SIDE), cv2.INTER_CUBIC
    head = cv2.warpAffine(PORTRAIT, move, size, flags=kind)
    yy, xx = np.mgrid[0:160, 0:160] - 79.5
    inside = np.clip((75 - np.hypot(xx, yy)) / 4, 0, 1)
    alpha = cv2.warpAffine(inside, move, size, flags=cv2.INTER_LINEAR)[..., None]
    return np.clip((alpha * head + (1 - alpha) * GROUND) * gain + offset, 0, 1)


def to_bytes(picture: np.ndarray) -> np.ndarray:
    return np.rint(picture * 255).astype(np.uint8)


def smooth(way: float) -> float:
    return way * way * (3 - 2 * way)


def scene(case: Case):
    """Both parts' pictures and the truth."""
    positions = [(0.6 * moment, 0.3 * moment) for moment in range(FADE + SETTLE)]
    there = [(x + case.shift[0], y + case.shift[1]) for x, y in positions]
    old = [to_bytes(view(*position)) for position in positions[:FADE]]
    new = [to_bytes(view(*position, case.gain, case.offset)) for position in there]
    truth = []
    for moment, (x, y) in enumerate(positions):
        way = smooth(min(1, (moment + 1) / (FADE + 1)))
        light = smooth(max(0, (moment + 1 - FADE) / (SETTLE + 1)))
        position = (x + way * case.shift[0], y + way * case.shift[1])
        truth.append(view(*position, 1 + light * (case.gain - 1), light * case.offset))
    return old, new, np.array(truth)


def error(pictures, truth) -> float:
    """Mean distance from the truth over the fade, in steps of 8 bits."""
    return float(np.mean([np.abs(a - b).mean() for a, b in zip(pictures, truth, strict=True)][:FADE]) * 255)


def largest_jump(pictures) -> float:
    return float(max(np.abs(b - a).mean() for a, b in zip(pictures, pictures[1:], strict=False)) * 255)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_seam_is_nearer_the_truth_than_a_cut_or_a_cross_fade(case):
    old, new, truth = scene(case)
    before, after = np.array(old) / 255, np.array(new) / 255
    ours = np.array(list(hide_seam(old, new, SETTLE)))
    cut = np.concatenate([before[: FADE // 2], after[FADE // 2 :]])
    ways = np.array([smooth((moment + 1) / (FADE + 1)) for moment in range(FADE)])[:, None, None, None]
    cross = np.concatenate([(1 - ways) * before + ways * after[:FADE], after[FADE:]])

    assert len(ours) == len(new)
    assert error(ours, truth) < 2
    assert error(ours, truth) * case.cut < error(cut, truth)
    assert error(ours, truth) * case.cross < error(cross, truth)
    assert largest_jump(ours) < 1.3 * largest_jump(truth)
    assert largest_jump(cut) > 1.8 * largest_jump(truth), "the cut is no harder than the scene moves"


def test_a_seam_is_as_sharp_as_what_it_joins():
    case = CASES["elsewhere"]
    old, new, truth = scene(case)
    detail = [
        [cv2.Laplacian(picture.mean(axis=2).astype(np.float64), cv2.CV_64F).var() for picture in pictures[:FADE]]
        for pictures in (np.array(list(hide_seam(old, new, SETTLE))), truth)
    ]
    assert np.mean(detail[0]) > 0.85 * np.mean(detail[1])


def test_where_both_parts_agree_nothing_changes():
    _, new, _ = scene(Case((0, 0), 1, 0, 1, 1))
    ours = [to_bytes(picture) for picture in hide_seam(new[:FADE], new, SETTLE)]
    assert np.array_equal(ours, new)


def test_light_goes_back_to_the_later_part_s_own():
    old, new, _ = scene(CASES["brighter"])
    ours = np.array(list(hide_seam(old, new, SETTLE)))
    off = [(picture - other / 255).mean() for picture, other in zip(ours, new, strict=True)]
    assert off[FADE] == pytest.approx(-0.04, abs=0.003)
    assert off[-1] == pytest.approx(0, abs=0.002)
    assert np.all(np.diff(off[FADE:]) > -1e-4), "it does not go back evenly"


@pytest.mark.parametrize("settle", [0, 5])
def test_a_seam_may_be_all_there_is(settle):
    old, new, _ = scene(CASES["both"])
    assert len(list(hide_seam(old, new[: FADE + settle], settle))) == FADE + settle


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_one_colour_stays_whole(level):
    plain = [np.full((64, 64, 3), level, np.uint8)] * 4
    assert all(np.array_equal(to_bytes(picture), plain[0]) for picture in hide_seam(plain, plain, 0))


def test_light_is_evened_out_within_reason():
    """A flat earlier part must not flatten the later one."""
    flat, (_, new, _) = [np.full((SIDE, SIDE, 3), 128, np.uint8)] * FADE, scene(CASES["elsewhere"])
    ours = list(hide_seam(flat, new, SETTLE))
    assert ours[FADE].std() > 0.7 * (new[FADE] / 255).std()
