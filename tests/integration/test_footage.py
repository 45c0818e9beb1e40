"""Anybody's video is read with the colours that players show, upright, and from any picture on."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from sonic_guard.media.footage import Trait, open_footage, shots
from tests.support.footage_files import number_of, write

COLOURS = np.array(
    [
        [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)],
        [(0, 0, 0), (128, 128, 128), (200, 120, 40), (30, 60, 220)],
    ],
    np.uint8,
)
CELL = 32


def colours(
    path: Path, codec: str, pixels: str, matrix: int, *, full: bool = False, tags: bool = True, scale: int = 1
) -> Path:
    """A video of `COLOURS` whose luma and chroma follow BT.601 or BT.709."""
    picture = np.kron(COLOURS, np.ones((CELL * scale, CELL * scale, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options={"crf": "1"} if codec == "libx264" else {})
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], pixels
        if tags:
            stream.codec_context.colorspace = {709: 1, 601: 5}[matrix]
            stream.codec_context.color_range = 2 if full else 1
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format=pixels,
                dst_colorspace=Colorspace.ITU709 if matrix == 709 else Colorspace.ITU601,
                dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            )
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "matrix", "more", "traits"),
    [
        ("a.mp4", "libx264", "yuv420p", 709, {}, set()),
        ("a.mp4", "libx264", "yuv420p", 601, {}, set()),
        ("a.mp4", "libx264", "yuv420p", 709, {"full": True}, set()),
        ("a.mp4", "libx264", "yuvj420p", 601, {"full": True}, set()),
        ("small.mp4", "libx264", "yuv420p", 601, {"tags": False}, set()),
        ("large.mp4", "libx264", "yuv420p", 709, {"tags": False, "scale": 12}, set()),
        ("a.mkv", "ffv1", "bgr0", 709, {}, set()),
        ("a.mov", "prores_ks", "yuv422p10le", 709, {}, {Trait.DEEP}),
        ("a.mov", "prores_ks", "yuva444p10le", 709, {}, {Trait.DEEP, Trait.ALPHA}),
        ("a.mkv", "ffv1", "yuva420p", 709, {}, {Trait.ALPHA}),
        ("a.avi", "mpeg4", "yuv420p", 601, {"tags": False}, set()),
    ],
    ids=lambda value: str(value) if isinstance(value, str | int) else "",
)
def test_colours_are_those_that_players_show(
    tmp_path: Path, name: str, codec: str, pixels: str, matrix: int, more: dict[str, Any], traits: set[Trait]
) -> None:
    footage = open_footage(colours(tmp_path / name, codec, pixels, matrix, **more))
    picture = next(shots(footage)).picture
    step = CELL * more.get("scale", 1)
    seen = picture[step // 2 :: step, step // 2 :: step].astype(int)
    assert np.abs(seen - COLOURS).max() <= 2, "of 255; full range has coarser steps after libav's conversion"
    assert footage.traits == traits


@pytest.mark.parametrize("name", ["a.mp4", "b.mkv", "c.avi", "d.mov"])
@pytest.mark.parametrize("start", [0, 1, 37, 99])
def test_reading_begins_at_any_picture(tmp_path: Path, name: str, start: int) -> None:
    footage = open_footage(write(tmp_path / name, 100, sound=""))
    assert footage.frames == 100
    seen = list(shots(footage, start))
    assert [number_of(shot.picture) for shot in seen] == list(range(start, 100))
    assert [shot.moment for shot in seen] == list(footage.moments[start:])


def test_what_a_file_is(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", 10)
    footage = open_footage(source)
    assert (footage.codec, footage.container, footage.audio_tracks, footage.rate) == ("h264", "mov", 1, 25)
    assert not footage.variable


def test_pictures_whose_packets_are_damaged_are_left_out(tmp_path: Path) -> None:
    source = write(tmp_path / "in.avi", 60, codec="mpeg4", sound="")
    content = bytearray(source.read_bytes())
    packet = content.index(b"00dc", len(content) // 2)
    content[packet + 8 : packet + 48] = b"\xff" * 40
    source.write_bytes(content)
    footage = open_footage(source)
    numbers = [number_of(shot.picture) for shot in shots(footage)]
    assert (numbers[0], numbers[-1]) == (0, 59)
    assert len(numbers) >= 50
    assert footage.traits == set()


def test_a_file_that_ends_early_is_told(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mkv", 200)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])
    footage = open_footage(source)
    assert 50 < footage.frames < 150
    assert footage.traits == {Trait.CUT_OFF}
    assert len(list(shots(footage))) >= footage.frames - 1
