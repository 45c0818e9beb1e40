"""Faces are found in photos, drawings, statues, crops and corners; where there is none, the error names what to try."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from sonic_guard.errors import FaceError
from sonic_guard.media.face import Box, Face, expand_ratio_for, face_ratio, find_faces, manual_face, pick_face
from sonic_guard.media.picture import from_batch, load

ASTRONAUT = skimage.data.astronaut()
FACE = Box(181, 58, 270, 178)
"""The face in that photo."""


def overlap(a, b):
    """Intersection over union."""
    width = max(0, min(a.x2, b.x2) - max(a.x1, b.x1))
    height = max(0, min(a.y2, b.y2) - max(a.y1, b.y1))
    return width * height / (a.area + b.area - width * height)


def resized(rgb, width, height):
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)


def on_canvas(rgb, width, height, left, top):
    canvas = np.full((height, width, 3), 120, np.uint8)
    canvas[top : top + rgb.shape[0], left : left + rgb.shape[1]] = rgb
    return canvas


@pytest.mark.parametrize(
    ("rgb", "expected", "at_least"),
    [
        pytest.param(ASTRONAUT, FACE, 0.8, id="photo"),
        pytest.param(on_canvas(ASTRONAUT, 4000, 3000, 2500, 1000), Box(2681, 1058, 2770, 1178), 0.6, id="3 % of 12 MP"),
        pytest.param(
            on_canvas(resized(ASTRONAUT, 256, 256), 4000, 3000, 50, 2700), Box(140, 2729, 185, 2789), 0.4, id="1.5 %"
        ),
        pytest.param(
            on_canvas(resized(ASTRONAUT, 128, 128), 4000, 3000, 1900, 1400), Box(1945, 1414, 1967, 1444), 0.4, id="1 %"
        ),
        pytest.param(resized(ASTRONAUT, 4096, 4096), Box(1448, 464, 2160, 1424), 0.7, id="16 MP"),
        pytest.param(resized(ASTRONAUT, 96, 96), Box(34, 11, 51, 33), 0.4, id="96 pixels"),
        pytest.param(resized(ASTRONAUT, 256, 512), Box(90, 58, 135, 178), 0.6, id="squeezed"),
        pytest.param(resized(ASTRONAUT, 512, 300), Box(181, 34, 270, 104), 0.6, id="flattened"),
        pytest.param(ASTRONAUT[58:178, 181:270], Box(0, 0, 89, 120), 0.7, id="nothing but face"),
        pytest.param(ASTRONAUT[:, 226:], Box(0, 58, 44, 178), 0.6, id="half a face, like a profile"),
        pytest.param(ASTRONAUT // 4, FACE, 0.7, id="dark"),
        pytest.param(
            on_canvas(resized(ASTRONAUT[30:200, 140:310], 50, 50), 8000, 50, 5000, 0),
            Box(5012, 8, 5038, 44),
            0.5,
            id="strip",
        ),
    ],
)
def test_finds_the_face(rgb, expected, at_least):
    found = pick_face(find_faces(rgb)).box
    assert overlap(found, expected) >= at_least, found
    assert Box(0, 0, rgb.shape[1], rgb.shape[0]).holds(found)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "LA", "16-bit"])
def test_finds_the_face_in_every_kind_of_file(tmp_path, mode):
    path = tmp_path / ("face.jpg" if mode == "CMYK" else "face.png")
    if mode == "16-bit":
        Image.fromarray(np.asarray(Image.fromarray(ASTRONAUT).convert("L")).astype(np.uint16) * 257).save(path)
    else:
        Image.fromarray(ASTRONAUT).convert(mode).save(path)
    assert overlap(pick_face(find_faces(load(path))).box, FACE) > 0.8


def test_finds_the_face_in_a_rotated_phone_photo(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(ASTRONAUT)).save(tmp_path / "phone.jpg", exif=exif)
    assert overlap(pick_face(find_faces(load(tmp_path / "phone.jpg"))).box, FACE) > 0.8


def test_two_faces_largest_first():
    pair = np.concatenate([resized(ASTRONAUT, 300, 512)[:, ::-1], ASTRONAUT], axis=1)
    large, small = find_faces(pair)
    assert large.box.area > small.box.area
    assert large.box.x1 > 300 > small.box.x2
    assert pick_face([large, small]) == large
    assert pick_face([large, small], 1) == small


def test_a_batch_is_a_face_a_picture():
    batch = np.stack([ASTRONAUT, ASTRONAUT[:, ::-1]]).astype(np.float32) / 255
    left, right = (pick_face(find_faces(rgb)).box for rgb in from_batch(batch))
    assert overlap(left, FACE) > 0.8
    assert overlap(right, Box(512 - FACE.x2, FACE.y1, 512 - FACE.x1, FACE.y2)) > 0.8


def test_a_face_between_two_tiles_is_one_face():
    small = resized(ASTRONAUT, 160, 160)
    for left in range(900, 1300, 110):
        assert len(find_faces(on_canvas(small, 2400, 1800, left, 900))) == 1


@pytest.mark.parametrize(
    "rgb",
    [
        skimage.data.coins()[..., None].repeat(3, 2),
        skimage.data.coffee(),
        skimage.data.chelsea(),
        np.zeros((1, 1, 3), np.uint8),
        np.full((2000, 1500, 3), 120, np.uint8),
        np.linspace(0, 255, 8000).astype(np.uint8)[None, :, None].repeat(50, 0).repeat(3, 2),
        np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8),
    ],
    ids=["coins", "coffee", "cat", "1 pixel", "grey", "strip", "noise"],
)
def test_no_face(rgb):
    assert find_faces(rgb) == []


def test_no_face_reports_what_to_try():
    with pytest.raises(FaceError, match=r"^portrait\.png: no face found") as caught:
        pick_face([], name="portrait.png")
    for advice in ("sharper", "crop", "by hand", "upright"):
        assert advice in str(caught.value)


def test_a_high_threshold_finds_less():
    assert find_faces(ASTRONAUT, 0.9)
    assert not find_faces(ASTRONAUT, 0.99)


@pytest.mark.parametrize("threshold", [0, 1, -0.3, 30, float("nan")])
def test_an_impossible_threshold(threshold):
    with pytest.raises(FaceError, match="threshold"):
        find_faces(ASTRONAUT, threshold)


def test_threads_find_the_same():
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(find_faces, [ASTRONAUT] * 6))
    assert results == [results[0]] * 6


@pytest.mark.parametrize("index", [2, 5, -1])
def test_a_face_that_does_not_exist(index):
    faces = [Face(Box(0, 0, 9, 9), 0.9), Face(Box(20, 0, 25, 5), 0.9)]
    with pytest.raises(FaceError, match=f"face number {index} does not exist; 2 faces were found"):
        pick_face(faces, index)


@pytest.mark.parametrize("box", [(10, 20, 110, 90), (10.4, 19.6, 110.2, 90.0), [0, 0, 200, 100], (199, 99, 200, 100)])
def test_a_box_by_hand(box):
    assert manual_face(box, (200, 100)) == Face(Box(*map(round, box)), 1.0)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((0, 0, 201, 100), "leaves the picture, which has 200×100"),
        ((-1, 0, 50, 50), "leaves the picture"),
        ((50, 50, 50, 60), "no area"),
        ((90, 90, 10, 10), "upper left corner first"),
        ((1, 2, 3), "four numbers"),
        ((0, 0, float("nan"), 9), "four numbers"),
        ((0, 0, float("inf"), 9), "four numbers"),
        ((0, 0, "9", 9), "four numbers"),
        (None, "four numbers"),
    ],
)
def test_an_impossible_box_by_hand(box, message):
    with pytest.raises(FaceError, match=message):
        manual_face(box, (200, 100))


@pytest.mark.parametrize(
    ("face", "ratio", "expand_ratio"),
    [
        (Box(0, 0, 100, 100), 0.1, 0.20),
        (Box(0, 0, 700, 100), 0.7, 0.20),
        (Box(0, 0, 701, 100), 0.701, 0.15),
        (Box(100, 0, 200, 1000), 1.0, 0.15),
    ],
)
def test_expand_ratio_follows_the_articles_rule(face, ratio, expand_ratio):
    assert face_ratio(face, (1000, 1000)) == pytest.approx(ratio)
    assert expand_ratio_for(face_ratio(face, (1000, 1000))) == expand_ratio


def test_without_the_detector_the_error_reports_what_to_install():
    code = (
        "import sys; sys.modules['cv2'] = None; import numpy; from sonic_guard.media.face import find_faces;"
        "find_faces(numpy.zeros((9, 9, 3), numpy.uint8))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "FaceError" in run.stderr
    assert "requirements.txt" in run.stderr
