"""A few pictures of a finished video for the preview: evenly spread, in its own colours, whatever its length."""

from fractions import Fraction

import numpy as np
import pytest

from sonic_guard.errors import OutputError
from sonic_guard.media.audio import Sound
from sonic_guard.media.video_file import frames, join, pick
from sonic_guard.media.video_writer import Encoding, VideoWriter, formats
from tests.support.numbered_frames import draw, read

KINDS = list(formats())


def film(folder, kind, count, fps=25):
    path = folder / f"clip{formats()[kind].suffix}"
    sound = Sound(np.zeros((1, 16_000), np.float32), 16_000)
    with VideoWriter(path, Fraction(fps), Encoding(kind, preset="ultrafast"), sound) as video:
        for moment in range(count):
            video.write(draw(moment)[None])
    return path


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(25, 2)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("count", "wanted"), [(1, 1), (2, 2), (8, 8), (9, 8), (100, 8), (1000, 8), (3000, 8)])
def test_they_are_evenly_spread(tmp_path, kind, count, wanted, fps):
    path = film(tmp_path, kind, count, fps)
    moments = [read(picture) for picture in pick(path, 8)]
    assert len(moments) == wanted
    assert moments == sorted(set(moments))
    assert moments[0] == 0
    step = count / 8
    if count >= 8:
        assert all(abs(moment - index * step) <= step / 2 + 1 for index, moment in enumerate(moments))


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_the_film_s_own_pictures(tmp_path, kind):
    path = film(tmp_path, kind, 60)
    everything = list(frames(path))
    for picture in pick(path, 5):
        assert np.array_equal(picture, everything[read(picture)])


def test_of_a_joined_film_too(tmp_path):
    videos = []
    for index in range(3):
        (tmp_path / str(index)).mkdir()
        videos.append(film(tmp_path / str(index), "h264", 300))
    path = tmp_path / "whole.mp4"
    join(videos, path, Encoding("h264", preset="ultrafast"), Fraction(25))
    moments = [read(picture) for picture in pick(path, 3)]
    assert moments[0] == 0
    assert len(moments) == 3


def test_what_is_no_film_is_reported(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no film")
    with pytest.raises(OutputError):
        pick(path, 8)
    with pytest.raises(OutputError):
        pick(tmp_path / "none.mp4", 8)
