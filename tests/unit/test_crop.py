"""The crop is inside the picture, holds the whole face, and has the shape that was asked for wherever that can be."""

from fractions import Fraction

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given
from hypothesis import strategies as st

from sonic_guard.errors import FaceError, JobError, PictureError
from sonic_guard.job import frame_size
from sonic_guard.media.crop import Aspect, crop, crop_box, draw_preview
from sonic_guard.media.face import Box, Face

SIZES = st.tuples(st.integers(1, 3000), st.integers(1, 3000))
MARGINS = st.sampled_from([0.0, 0.15, 0.2, 0.5, 1.0, 10.0])
ASPECTS = st.sampled_from(list(Aspect))


@st.composite
def scenes(draw):
    """A picture's size and a face somewhere in it, both down to one pixel."""
    width, height = draw(SIZES)
    x1, y1 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (width, height), Box(x1, y1, draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height)))


def grown(size, face, margin):
    """The face and its margin, cut to the picture."""
    across, down = round(margin * face.width), round(margin * face.height)
    return Box(
        max(0, face.x1 - across),
        max(0, face.y1 - down),
        min(size[0], face.x2 + across),
        min(size[1], face.y2 + down),
    )


@pytest.mark.parametrize(
    ("size", "face", "expand_ratio", "aspect", "expected"),
    [
        # space on all sides: the margin, then the shape around its middle
        ((1000, 1000), (400, 400, 500, 500), 0.2, "1:1", (380, 380, 520, 520)),
        ((1000, 1000), (400, 400, 500, 500), 0.15, "1:1", (385, 385, 515, 515)),
        ((1000, 1000), (400, 400, 500, 500), 0.2, "9:16", (380, 325, 520, 574)),
        ((1000, 1000), (400, 400, 500, 500), 0.2, "16:9", (325, 380, 574, 520)),
        ((2000, 1000), (400, 400, 500, 500), 0.2, "original", (310, 380, 590, 520)),
        ((1000, 1000), (400, 400, 500, 500), 0.2, "none", (0, 0, 1000, 1000)),
        # a face in a corner: moved inside
        ((1000, 1000), (0, 0, 100, 100), 0.2, "1:1", (0, 0, 120, 120)),
        ((1000, 1000), (900, 900, 1000, 1000), 0.2, "9:16", (880, 787, 1000, 1000)),
        # too little space for the margin: it is reduced, the shape stays
        ((600, 1000), (50, 300, 550, 800), 0.5, "1:1", (0, 250, 600, 850)),
        # too little space for the shape: it is reduced just enough for the face
        ((300, 1000), (50, 300, 250, 700), 0.2, "16:9", (0, 300, 300, 700)),
        ((1000, 300), (300, 50, 700, 250), 0.2, "9:16", (300, 0, 700, 300)),
        ((8000, 50), (5012, 9, 5039, 42), 0.2, "16:9", (4983, 2, 5067, 49)),
        ((1, 1), (0, 0, 1, 1), 0.2, "9:16", (0, 0, 1, 1)),
    ],
)
def test_crop_box(size, face, expand_ratio, aspect, expected):
    assert crop_box(size, Box(*face), expand_ratio, Aspect(aspect)) == expected


@given(scene=scenes(), margin=MARGINS, aspect=ASPECTS)
def test_crop_is_inside_and_holds_the_face(scene, margin, aspect):
    size, face = scene
    box = crop_box(size, face, margin, aspect)
    assert Box(0, 0, *size).holds(box)
    assert box.holds(face)
    assert all(type(side) is int for side in box)
    assert box == crop_box(size, face, margin, aspect)


@given(scene=scenes(), margin=MARGINS, aspect=ASPECTS)
def test_crop_has_the_aspect_and_the_margin_wherever_they_fit(scene, margin, aspect):
    size, face = scene
    box = crop_box(size, face, margin, aspect)
    ratio = aspect.ratio(size)
    widest = min(size[0], int(size[1] * ratio))
    if face.width <= widest and face.height * ratio <= widest:
        assert abs(box.height - box.width / ratio) <= 1
    wanted = grown(size, face, margin)
    if wanted.width <= widest and wanted.height * ratio <= widest:
        assert box.holds(wanted)


@given(scene=scenes(), aspect=st.sampled_from([Aspect.SQUARE, Aspect.TALL, Aspect.WIDE]))
def test_crop_is_no_larger_than_it_must_be(scene, aspect):
    size, face = scene
    box = crop_box(size, face, 0.2, aspect)
    wanted = grown(size, face, 0.2)
    ratio = aspect.ratio(size)
    assert box.width <= max(wanted.width, wanted.height * ratio + 1)
    assert box.height <= max(wanted.height, wanted.width / ratio + 1, (wanted.height * ratio + 1) / ratio + 1)


@given(
    scene=scenes().filter(lambda scene: min(scene[0]) >= 300),
    aspect=st.sampled_from([Aspect.SQUARE, Aspect.TALL, Aspect.WIDE, Aspect.ORIGINAL]),
    min_resolution=st.sampled_from([256, 384, 512, 768, 1024]),
)
def test_crop_for_a_resolution_leaves_sonic_nothing_to_distort(scene, aspect, min_resolution):
    size, face = scene
    box = crop_box(size, face, 0.2, aspect, min_resolution)
    target = frame_size(*Fraction(aspect.ratio(size)).as_integer_ratio(), min_resolution)
    ratio = target.width / target.height
    assert Box(0, 0, *size).holds(box)
    assert box.holds(face)
    if face.width + 1 <= min(size[0], size[1] * ratio) and face.height + 1 <= min(size[1], size[0] / ratio):
        assert abs(box.height - box.width / ratio) <= 1


@pytest.mark.parametrize(
    ("size", "aspect", "least_side", "expected"),
    [
        ((2000, 2000), Aspect.SQUARE, 512, (512, 512)),
        ((2000, 1000), Aspect.ORIGINAL, 512, (1024, 512)),
        ((1000, 2000), Aspect.TALL, 512, (512, 910)),
        ((400, 400), Aspect.SQUARE, 512, (400, 400)),
        ((2000, 2000), Aspect.SQUARE, 100, (140, 140)),
    ],
)
def test_crop_has_the_pixels_of_the_video_where_the_picture_has_them(size, aspect, least_side, expected):
    box = crop_box(size, Box(100, 100, 200, 200), 0.2, aspect, least_side=least_side)
    assert (box.width, box.height) == expected


@pytest.mark.parametrize(
    ("face", "expand_ratio", "min_resolution", "error"),
    [
        (Box(0, 0, 101, 50), 0.2, None, FaceError),
        (Box(-1, 0, 50, 50), 0.2, None, FaceError),
        (Box(50, 50, 50, 60), 0.2, None, FaceError),
        (Box(0, 0, 50, 50), -0.1, None, FaceError),
        (Box(0, 0, 50, 50), 11, None, FaceError),
        (Box(0, 0, 50, 50), float("nan"), None, FaceError),
        (Box(0, 0, 50, 50), 0.2, 0, JobError),
    ],
)
def test_crop_box_refuses(face, expand_ratio, min_resolution, error):
    with pytest.raises(error):
        crop_box((100, 100), face, expand_ratio, Aspect.SQUARE, min_resolution)


@pytest.mark.parametrize("image", [torch.rand(2, 20, 30, 3), torch.rand(20, 30, 4), np.zeros((2, 20, 30, 1))])
def test_crop_cuts_arrays_and_tensors(image):
    cut = crop(image, Box(5, 2, 15, 20))
    assert tuple(cut.shape) == (*image.shape[:-3], 18, 10, image.shape[-1])
    assert (cut == image[..., 2:20, 5:15, :]).all()


def test_crop_refuses_a_box_outside():
    with pytest.raises(PictureError, match="30×20"):
        crop(np.zeros((1, 20, 30, 3)), Box(0, 0, 31, 20))


@pytest.mark.parametrize("size", [(512, 512), (64, 64), (1, 1), (8000, 50), (50, 8000), (6000, 4000)])
def test_preview_has_one_size_and_shows_the_boxes(size):
    width, height = size
    rgb = np.full((height, width, 3), 200, np.uint8)
    face = Face(Box(width // 4, height // 4, max(1, width // 2), max(1, height // 2)), 0.9)
    box = crop_box(size, face.box, 0.2, Aspect.SQUARE)

    preview = draw_preview(rgb, [face], face, box)

    assert preview.dtype == np.uint8
    assert max(preview.shape) == 1024
    packed = preview.reshape(-1, 3).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours = {(int(each) >> 16, int(each) >> 8 & 255, int(each) & 255) for each in np.unique(packed)}
    assert {(80, 220, 120), (255, 190, 60)} <= colours


def test_preview_dims_what_is_cut_away_and_only_that():
    rgb = skimage.data.astronaut()
    face = Face(Box(181, 58, 270, 178), 1.0)
    preview = draw_preview(rgb, [], face, Box(150, 30, 300, 210))
    assert preview[300, 448].mean() == pytest.approx(rgb[150, 224].mean(), abs=8)
    assert preview[900, 100].mean() == pytest.approx(rgb[450, 50].mean() * 0.4, abs=8)
