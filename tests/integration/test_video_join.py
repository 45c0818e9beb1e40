"""Finished videos are checked and joined: no frame is lost, none is encoded twice where that can be helped."""

from fractions import Fraction

import av
import numpy as np
import pytest

from sonic_guard.errors import OutputError
from sonic_guard.media.audio import Sound
from sonic_guard.media.video_file import frames, join, verify
from sonic_guard.media.video_writer import Encoding, VideoWriter, formats

KINDS = list(formats())
FPS = Fraction(25)
LENGTHS = (40, 1, 3, 57)


def made(first: int, count: int, side: int = 128) -> np.ndarray:
    """Frames number `first` …: each shows its number in its brightness, on a picture that moves."""
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [np.sin(9 * x + i / 3) * np.cos(7 * y - i / 4) * 0.2 for i in range(first, first + count)]
    levels = [0.3 + 0.4 * (i % 101) / 101 for i in range(first, first + count)]
    return np.array([np.repeat((wave + level)[..., None], 3, 2) for wave, level in zip(waves, levels)], np.float32)  # noqa: B905


def write(path, pictures, kind, fps=FPS, **encoding):
    with VideoWriter(path, fps, Encoding(kind, **encoding)) as video:
        video.write(pictures)
    return path


@pytest.fixture
def videos(tmp_path, request):
    kind, fps = request.param
    starts = np.cumsum((0, *LENGTHS[:-1]))
    suffix = formats()[kind].suffix
    paths = [
        write(tmp_path / f"{at}{suffix}", made(at, count), kind, fps) for at, count in zip(starts, LENGTHS, strict=True)
    ]
    return kind, fps, paths


@pytest.mark.parametrize("videos", [(kind, fps) for kind in KINDS for fps in (FPS, FPS / 2)], indirect=True, ids=str)
def test_chunks_of_a_kind_are_joined_as_they_are(tmp_path, videos):
    kind, fps, paths = videos
    target = tmp_path / "whole"
    sound = Sound(np.random.default_rng(0).uniform(-0.5, 0.5, (1, 10 * 44100)).astype(np.float32), 44100)
    assert join(paths, target, Encoding(kind), fps, sound) == (sum(LENGTHS), fps)
    assert verify(target) == (sum(LENGTHS), fps)
    apart = [picture for path in paths for picture in frames(path)]
    assert np.array_equal(np.stack(list(frames(target))), np.stack(apart)), "a frame was encoded anew"
    with av.open(str(target)) as container:
        pictures = container.streams.video[0]
        moments = [frame.pts * pictures.time_base for frame in container.decode(pictures)]
    assert moments == [index / fps for index in range(sum(LENGTHS))]
    with av.open(str(target)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert 0 <= samples - round(sum(LENGTHS) / fps * 44100) < 1024


@pytest.mark.parametrize("videos", [(kind, FPS) for kind in KINDS], indirect=True, ids=str)
def test_any_moment_of_a_joined_video_can_be_sought(tmp_path, videos):
    kind, fps, paths = videos
    target = tmp_path / "whole"
    join(paths, target, Encoding(kind), fps)
    everything = list(frames(target))
    for wanted in (0, 39, 40, 41, 44, 100):
        with av.open(str(target)) as container:
            stream = container.streams.video[0]
            container.seek(int(wanted / fps / stream.time_base), stream=stream)
            found = next(f for f in container.decode(stream) if f.pts * stream.time_base >= wanted / fps)
            ours = found.reformat(format="yuv444p", interpolation="BICUBIC") if kind != "ffv1" else found
            ours = ours.reformat(format="rgb24", src_colorspace="ITU709" if kind != "ffv1" else None).to_ndarray()
        assert np.array_equal(ours, everything[wanted])


@pytest.mark.parametrize(
    ("first", "second", "into"),
    [
        (("h264", {}), ("ffv1", {}), "h264"),
        (("ffv1", {}), ("ffv1", {}), "h264"),
        (("h264", {"preset": "ultrafast"}), ("h264", {"preset": "medium"}), "h264"),
        (("h264", {}), ("h264", {}), "prores"),
    ],
    ids=["other codecs", "another format", "another kind of H.264", "for editing"],
)
def test_chunks_of_several_kinds_are_encoded_anew(tmp_path, first, second, into):
    paths = [
        write(tmp_path / f"{index}{formats()[kind].suffix}", made(20 * index, 20), kind, **options)
        for index, (kind, options) in enumerate((first, second))
    ]
    target = tmp_path / "whole"
    assert join(paths, target, Encoding(into), FPS).frames == 40
    off = np.stack(list(frames(target))) / 255 - made(0, 40)
    assert abs(off).mean(axis=(1, 2, 3)).max() < 0.02


def test_chunks_of_another_rate_are_encoded_anew(tmp_path):
    paths = [write(tmp_path / f"{index}.mp4", made(0, 10), "h264", FPS / 2) for index in range(2)]
    assert join(paths, tmp_path / "whole.mp4", Encoding(), FPS) == (20, FPS)
    assert verify(tmp_path / "whole.mp4") == (20, FPS)


def test_chunks_of_several_sizes_are_refused(tmp_path):
    paths = [write(tmp_path / f"{side}.mp4", made(0, 3, side), "h264") for side in (64, 128)]
    with pytest.raises(OutputError, match="128×128 in a video of 64×64"):
        join(paths, tmp_path / "whole.mp4", Encoding(), FPS)
    assert not (tmp_path / "whole.mp4").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_off_is_found_out(tmp_path, kind):
    path = write(tmp_path / "clip", made(0, 50), kind)
    whole = path.read_bytes()
    for share in (0.0, 0.01, 0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        try:
            found = verify(path).frames
        except OutputError:
            continue
        assert found < 50


def test_a_missing_file_and_a_sound_file_are_no_video(tmp_path):
    with pytest.raises(OutputError, match="no such file"):
        verify(tmp_path / "none.mp4")
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), "s16", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
    with pytest.raises(OutputError, match="no video"):
        verify(tmp_path / "sound.wav")


def test_names_that_look_like_addresses_are_files(tmp_path):
    path = write(tmp_path / "take:2 ünï 100%d.mp4", made(0, 3), "h264")
    assert verify(path).frames == 3
