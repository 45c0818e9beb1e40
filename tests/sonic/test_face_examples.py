"""The faces in the pictures that the Sonic wrapper brings are found."""

import cv2
import numpy as np
import pytest

from sonic_guard.media.face import Box, find_faces, pick_face
from sonic_guard.media.picture import load
from tests.support import installed


def example(name):
    """One of Sonic's own example pictures."""
    return load(installed.sonic() / "examples" / "image" / name)


def overlap(a, b):
    """Intersection over union."""
    width = max(0, min(a.x2, b.x2) - max(a.x1, b.x1))
    height = max(0, min(a.y2, b.y2) - max(a.y1, b.y1))
    return width * height / (a.area + b.area - width * height)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("anime1.png", Box(132, 132, 368, 352)),
        ("female_diaosu.png", Box(236, 167, 596, 610)),
        ("hair.png", Box(154, 109, 428, 461)),
        ("leonnado.jpg", Box(150, 107, 382, 409)),
    ],
    ids=["anime", "statue", "long hair", "photo"],
)
def test_finds_the_faces_of_sonics_examples(name, expected):
    assert overlap(pick_face(find_faces(example(name))).box, expected) > 0.8


@pytest.mark.parametrize("side", [256, 400, 640, 768, 1024, 2048])
@pytest.mark.parametrize("mirrored", [False, True])
def test_finds_a_drawn_face_at_any_size(side, mirrored):
    drawn = cv2.resize(example("anime1.png"), (side, side), interpolation=cv2.INTER_CUBIC)
    expected = [round(x * side / 512) for x in (132, 140, 380, 354)]
    if mirrored:
        drawn = np.ascontiguousarray(drawn[:, ::-1])
        expected[0], expected[2] = side - expected[2], side - expected[0]
    assert overlap(pick_face(find_faces(drawn)).box, Box(*expected)) > 0.8
