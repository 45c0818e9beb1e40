"""What ComfyUI's own LoadImage and Load Audio read, the pack reads alike; what they or the wrapper refuse, it knows."""

import json
import subprocess
import zlib

import numpy as np
import pytest
from PIL import Image

from sonic_guard.errors import SonicGuardError
from sonic_guard.media import audio_file, picture
from tests.support import installed
from tests.support.picture_files import DEEP_GREY, chunk, deep_grey, exif, gradient, heic, png
from tests.support.sound_files import encode, encode_tracks


def _pictures(folder):
    photo = Image.fromarray(gradient(80, 48))
    for orientation in range(1, 9):
        data = Image.Exif()
        data[0x0112] = orientation
        for suffix in ("jpg", "png", "webp", "tiff"):
            photo.save(folder / f"turned {orientation}.{suffix}", exif=data)
    for mode, suffix in (("RGBA", "png"), ("L", "png"), ("P", "gif"), ("CMYK", "jpg"), ("1", "png"), ("RGB", "avif")):
        photo.convert(mode).save(folder / f"{mode}.{suffix}")
    for suffix in ("bmp", "ppm", "jp2", "qoi", "dds", "pcx", "sgi", "tga"):
        photo.save(folder / f"rare.{suffix}")
    frames = [photo.point(lambda value, part=part: value // part) for part in (1, 2, 3)]
    for suffix in ("gif", "png", "webp"):
        frames[0].save(folder / f"moving.{suffix}", save_all=True, append_images=frames[1:], duration=100)
    photo.save(folder / "named.png", "JPEG")
    (folder / "phone.jpg").write_bytes(heic(gradient(80, 48), 1))  # ComfyUI before PyAV came first reads none
    photo.save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-2])
    (folder / "text.png").write_bytes(png(gradient(80, 48), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3 << 20)))))
    (folder / "late.png").write_bytes(png(gradient(80, 48), chunk(b"eXIf", exif(6))))
    Image.fromarray(gradient(1, 64)).save(folder / "thin.png")
    for name in DEEP_GREY:
        deep_grey(folder, name)


def _sounds(folder):
    for name, codec in (
        ("16.wav", "pcm_s16le"), ("24.wav", "pcm_s24le"), ("8.wav", "pcm_u8"), ("voice.mp3", "libmp3lame"),
        ("voice.m4a", "aac"), ("voice.flac", "flac"), ("cut.flac", "flac"),
    ):  # fmt: skip
        encode(folder / name, codec, sound=np.float32(np.random.default_rng(0).normal(0, 0.1, (1, 44_100))))
    (folder / "cut.flac").write_bytes((folder / "cut.flac").read_bytes()[:-2000])
    tag = b"INFOINAM\4\0\0\0\xe9\xe8a\0"
    (folder / "old tags.wav").write_bytes(
        (folder / "16.wav").read_bytes() + b"LIST" + len(tag).to_bytes(4, "little") + tag
    )
    encode_tracks(folder / "film.mp4", np.zeros(16_000), np.ones(8_000))


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """What ComfyUI's nodes give for each file, and the folder of the files."""
    folder = tmp_path_factory.mktemp("files")
    _pictures(folder)
    _sounds(folder)
    command = [
        installed.python(), installed.PACK / "tests" / "support" / "load_nodes_child.py", installed.comfyui(),
        tmp_path_factory.mktemp("base"), installed.sonic(), *sorted(folder.iterdir()),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1]), folder


def _pictures_of(given):
    return {name: it["picture"] for name, it in given.items() if it["picture"] and not name.startswith("film")}


def test_a_picture_has_the_size_that_load_image_gives(given):
    given, folder = given
    shapes = _pictures_of(given)
    assert len(shapes) > 50
    sizes = {name: (width, height) for name, (_, height, width, _) in shapes.items()}
    assert {name: picture.read_size(folder / name) for name in sizes} == sizes
    assert {name: picture.size_of(picture.load(folder / name)) for name in sizes} == sizes


def test_deep_grey_has_the_levels_that_load_image_gives(given):
    given, folder = given
    reads_by_libav = given["phone.jpg"]["picture"] is not None
    names = [name for name in DEEP_GREY if reads_by_libav or DEEP_GREY[name][1] is np.float32]
    for name in names:  # whole numbers are scaled in another way, or clipped, before PyAV came first
        ours = picture.load(folder / name)[0, :, 0].tolist()
        assert [round(level) for level in given[name]["row"]] == ours == 10 * DEEP_GREY[name][2], name


def test_a_batch_is_known(given):
    given, folder = given
    batches = {name for name, shape in _pictures_of(given).items() if shape[0] > 1}
    assert batches == {"moving.gif", "moving.png", "moving.webp"}
    assert {name for name in _pictures_of(given) if picture.is_batch(folder / name)} == batches


def test_sonic_takes_no_batch_and_no_line_of_pixels(given):
    given, _ = given
    refused = {name for name in _pictures_of(given) if not given[name]["converted"]}
    assert refused == {"moving.gif", "moving.png", "moving.webp", "thin.png"}


def test_a_sound_has_the_length_that_load_audio_gives(given):
    given, folder = given
    lengths = {name: it["samples"] for name, it in given.items() if it["samples"]}
    assert len(lengths) >= 6
    ours = {name: audio_file.probe(folder / name) for name in lengths}
    assert {name: [info.samples, info.sample_rate] for name, info in ours.items()} == lengths
    assert not [name for name, info in ours.items() if info.refusal]


def test_what_load_audio_refuses_is_known(given):
    given, folder = given
    refused = set()
    for name, it in given.items():
        if it["samples"] is None and it["picture"] is None:
            try:
                assert audio_file.probe(folder / name).refusal, name
            except SonicGuardError:
                continue
            refused.add(name)
    assert refused >= {"8.wav", "cut.flac"}
