"""Where a shot begins: another scene is one, motion and light are none."""

import numpy as np
import pytest

from sonic_guard.finishing.cuts import with_cuts
from tests.support.head_scenes import Scene, brightened

SIZE = 128
TALK = Scene(SIZE, 12).render()
OTHER = Scene(SIZE, 12, seed=7, nod=(-9.0, 6.0)).render()
STREET = [np.ascontiguousarray(np.roll(frame, 40, 1)[::-1]) for frame in OTHER]


def cuts(frames):
    found = list(with_cuts(iter(frames)))
    assert all(frame is given for (frame, _), given in zip(found, frames, strict=True))
    return [number for number, (_, is_first) in enumerate(found) if is_first]


def plain(level, size=SIZE):
    return np.full((size, size, 3), level, np.uint8)


PAN = [np.ascontiguousarray(np.roll(TALK[0], 5 * n, 1)) for n in range(8)]
FADE = [brightened(frame, 1 - 0.08 * n) for n, frame in enumerate(TALK)]
FLASH = [brightened(frame, 1.5 if n == 5 else 1.0) for n, frame in enumerate(TALK)]
NOISE = [np.random.default_rng(n).integers(120, 126, (SIZE, SIZE, 3)).astype(np.uint8) for n in range(5)]

CASES = {
    "no frame": ([], []),
    "one frame": (TALK[:1], [0]),
    "a head that nods": (TALK, [0]),
    "a still picture": (TALK[:1] * 6, [0]),
    "another scene": (TALK[:6] + STREET[:6], [0, 6]),
    "there and back": (TALK[:3] + STREET[:3] + TALK[3:6], [0, 3, 6]),
    "another scene in each frame": ([TALK[0], STREET[0]] * 3, [0, 1, 2, 3, 4, 5]),
    "a cut in every second frame": ([TALK[0], TALK[1], STREET[0], STREET[1], TALK[2], TALK[3]], [0, 2, 4]),
    "a pan": (PAN, [0]),
    "a fade": (FADE[:11], [0]),
    "a flash": (FLASH, [0]),
    "from black": ([plain(0)] * 3 + TALK[:3], [0, 3]),
    "black to white": ([plain(0)] * 2 + [plain(255)] * 2, [0, 2]),
    "plain grey with noise": (NOISE, [0]),
    "another size": (TALK[:2] + [frame[:-8].copy() for frame in TALK[2:4]], [0, 2]),
    "one pixel": ([np.zeros((1, 1, 3), np.uint8)] * 3, [0]),
    "a strip too thin for flow": ([frame[:5].copy() for frame in TALK[:4]], [0]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_shot_begins(name):
    frames, expected = CASES[name]
    assert cuts(frames) == expected


def test_it_depends_on_the_frame_before_only():
    frames = TALK[:4] + STREET[:4]
    whole = [is_first for _, is_first in with_cuts(frames)]
    for start in range(1, len(frames)):
        part = [is_first for _, is_first in with_cuts(frames[start - 1 :])]
        assert part[1:] == whole[start:]
