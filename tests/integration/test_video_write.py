"""A video is written as its frames come: right count, right moment, right colour, sound to the sample, and whole or not
at all."""

import gc
import subprocess
import sys
import weakref
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from sonic_guard.atomic_files import errors_about, temp_for
from sonic_guard.errors import OutputError
from sonic_guard.media.audio import Sound
from sonic_guard.media.video_file import frames, verify
from sonic_guard.media.video_writer import Encoding, VideoWriter, formats, pictures
from tests.support import installed

RATES = [Fraction(25), Fraction(25, 2)]
KINDS = list(formats())
HEIGHT, WIDTH = 128, 192


def moving(count: int) -> np.ndarray:
    """Smooth colours that move: float32 [count, H, W, 3]."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / HEIGHT
    pictures = [((np.sin(6 * x + i / 5) + 1) / 2, (np.cos(5 * y + i / 9) + 1) / 2, (x + y) / 3) for i in range(count)]
    return np.moveaxis(np.array(pictures, np.float32), 1, -1)


def noise(seconds: float, rate: int, channels: int = 1) -> Sound:
    """24-bit noise, of which no moment is like another."""
    whole = np.random.default_rng(0).integers(-(2**21), 2**21, (channels, round(seconds * rate)))
    return Sound((whole / 2**23).astype(np.float32), rate)


def sound_of(path) -> tuple[np.ndarray, int]:
    """The sound in a file, float64 [channels, samples], and its rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        blocks = []
        for frame in container.decode(stream):
            block = frame.to_ndarray()
            block = block if frame.format.is_planar else block.reshape(-1, frame.layout.nb_channels).T
            blocks.append(block / 2**31 if block.dtype == np.int32 else block)
        return np.concatenate(blocks, axis=1).astype(np.float64), stream.rate


def length_of_sound(path) -> Fraction:
    """Seconds of sound a player plays: by the container, because MP4 pads its last packet."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return stream.duration * stream.time_base


def test_this_build_writes_the_formats_that_are_promised():
    assert KINDS == ["h264", "ffv1", "prores"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(64, 64), (16384, 64), (64, 16384), (16448, 64), (64, 16448)], ids=str)
def test_what_an_encoder_takes_is_known_before(tmp_path, kind, size):
    encoding, refusals = Encoding(kind, preset="ultrafast"), []
    for attempt in (encoding.try_out, partial(write_one, tmp_path, encoding)):
        try:
            attempt(*size, RATES[0])
        except OutputError as error:
            refusals.append(str(error))
    if kind == "h264" and max(size) > 16384:
        assert "h264 takes no pictures of {}×{} (".format(*size) in refusals[0]
        assert len(refusals) == 2
    else:
        assert not refusals


def write_one(folder, encoding, width, height, fps):
    with VideoWriter(folder / "one.mkv", fps, encoding) as video:
        video.write(np.zeros((1, height, width, 3), np.uint8))


@pytest.mark.parametrize("kind", ["h264", "prores"])
def test_a_player_can_begin_before_it_has_the_whole(tmp_path, kind):
    whole, fragmented = tmp_path / "whole", tmp_path / "chunk_size"
    for path, more in ((whole, {}), (fragmented, {"faststart": False})):
        with VideoWriter(path, RATES[0], Encoding(kind), **more) as video:
            video.write(moving(3))
    assert whole.read_bytes().index(b"moov") < whole.read_bytes().index(b"mdat")
    assert fragmented.read_bytes().index(b"moov") > fragmented.read_bytes().index(b"mdat")


@pytest.mark.parametrize("fps", RATES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 63])
def test_every_frame_arrives_at_its_moment(tmp_path, kind, fps, count):
    path = tmp_path / "clip"
    with VideoWriter(path, fps, Encoding(kind)) as video:
        for start in range(0, count, 14):
            video.write(moving(count)[start : start + 14])
    assert verify(path) == (count, fps)
    assert verify(path).seconds == float(count / fps)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        moments = [frame.pts * stream.time_base for frame in container.decode(stream)]
    assert moments == [index / fps for index in range(count)]


@pytest.mark.parametrize(("kind", "worst", "mean"), [("h264", 24, 2.0), ("ffv1", 0.51, 0.3), ("prores", 6, 1.0)])
def test_colours_stay_what_they_were(tmp_path, kind, worst, mean):
    path, made = tmp_path / "clip", moving(30)
    with VideoWriter(path, Fraction(25), Encoding(kind)) as video:
        video.write(made)
    off = np.stack(list(frames(path))) - made.astype(np.float64) * 255
    assert abs(off).max() < worst
    assert abs(off).mean() < mean
    assert abs(off.mean(axis=(0, 1, 2))).max() < 1, "a colour is shifted as a whole"


@pytest.mark.parametrize(("kind", "tags"), [("h264", (1, 1, 1, 1)), ("ffv1", (0, 2, 1, 1)), ("prores", (1, 1, 1, 1))])
def test_the_file_names_its_colour_space(tmp_path, kind, tags):
    if kind == "prores" and not hasattr(av.VideoFrame, "color_trc"):
        pytest.skip(f"PyAV {av.__version__} cannot tag ProRes")
    path = tmp_path / "clip"
    with VideoWriter(path, Fraction(25), Encoding(kind)) as video:
        video.write(moving(2))
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        next(container.decode(video=0))
        found = (context.colorspace, context.color_range, context.color_primaries, context.color_trc)
    assert found == tags


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 37800, 192000])
@pytest.mark.parametrize("kind", KINDS)
def test_sound_ends_with_the_last_picture(tmp_path, kind, rate):
    """63 frames at 25 a second are 2.52 s, with a sound that is longer, and one that is shorter."""
    for seconds in (4, 1):
        path = tmp_path / f"clip {seconds}"
        with VideoWriter(path, Fraction(25), Encoding(kind, preset="ultrafast"), noise(seconds, rate)) as video:
            video.write(moving(63))
        decoded, played_rate = sound_of(path)
        assert played_rate == rate or (kind == "h264" and rate in (37800, 192000))
        wanted = round(Fraction(63, 25) * played_rate)
        assert 0 <= decoded.shape[1] - wanted < 1024, "beyond the padding of AAC's last packet"
        if kind == "ffv1":
            assert decoded.shape[1] == wanted
        else:
            assert abs(length_of_sound(path) - Fraction(63, 25)) <= Fraction(1, 1000)


@pytest.mark.parametrize("kind", ["ffv1", "prores"])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossless_sound_is_the_sound_that_came(tmp_path, kind, channels):
    path, sound = tmp_path / "clip", noise(3, 44100, channels)
    with VideoWriter(path, Fraction(25), Encoding(kind), sound) as video:
        video.write(moving(63))
    decoded, _ = sound_of(path)
    assert np.array_equal(decoded, sound.waveform[:, : 44100 * 63 // 25])


def test_sound_in_mp4_is_not_late(tmp_path):
    path, sound = tmp_path / "clip.mp4", noise(3, 44100)
    with VideoWriter(path, Fraction(25), sound=sound) as video:
        video.write(moving(50))
    decoded, _ = sound_of(path)
    likeness = np.correlate(decoded[0, 10_000:30_000], sound.waveform[0, 12_000:20_000], "valid")
    assert likeness.argmax() == 2000


@pytest.mark.parametrize("channels", [5, 6, 7, 8])
def test_surround_becomes_stereo_and_a_voice_in_its_middle_stays_as_loud(tmp_path, channels):
    path, voice = tmp_path / "clip.mkv", noise(1, 48000).waveform[0]
    whole = np.zeros((channels, len(voice)), np.float32)
    whole[2] = voice  # the front's middle in all of them
    with VideoWriter(path, Fraction(25), Encoding("ffv1"), Sound(whole, 48000)) as video:
        video.write(moving(6))
        video.write(moving(4))
    decoded, _ = sound_of(path)
    assert decoded.shape == (2, 19200)
    assert np.allclose(decoded, voice[:19200] / 2**0.5, atol=1e-6), "half the power from either side"


@pytest.mark.parametrize("channels", [1, 2, 6, 9])
def test_sound_that_ends_before_the_pictures_is_filled_up_with_silence(tmp_path, channels):
    path = tmp_path / "clip.mkv"
    with VideoWriter(path, Fraction(25), Encoding("ffv1"), noise(0.3, 48000, channels)) as video:
        for _ in range(4):
            video.write(moving(7))
    decoded, _ = sound_of(path)
    assert decoded.shape == ({2: 2, 6: 2}.get(channels, 1), 28 * 1920)
    assert not decoded[:, 14400:].any()


def test_an_unknown_channel_layout_is_averaged(tmp_path):
    path, sound = tmp_path / "clip.mkv", noise(1, 48000, channels=9)
    with VideoWriter(path, Fraction(25), Encoding("ffv1"), sound) as video:
        video.write(moving(10))
    decoded, _ = sound_of(path)
    assert decoded.shape == (1, 19200)
    assert np.allclose(decoded[0], sound.waveform[:, :19200].mean(axis=0), atol=1e-6)


def test_quality_can_be_set(tmp_path):
    sizes = []
    for crf in (10, 18, 30):
        with VideoWriter(tmp_path / f"{crf}.mp4", Fraction(25), Encoding(crf=crf)) as video:
            video.write(moving(30))
        sizes.append((tmp_path / f"{crf}.mp4").stat().st_size)
    assert sizes[0] > 1.2 * sizes[1] > 1.2 * 1.2 * sizes[2]


def torch_frames(dtype: str):
    torch = pytest.importorskip("torch")
    return torch.from_numpy(moving(3)).permute(0, 3, 1, 2).to(getattr(torch, dtype))


@pytest.mark.parametrize(
    ("make", "tolerance"),
    [
        (lambda: moving(3), 0),
        (lambda: moving(3).transpose(0, 3, 1, 2), 0),
        (lambda: moving(3).astype(np.float64), 0),
        (lambda: np.rint(moving(3) * 255).astype(np.uint8), 0),
        (lambda: moving(3) + 2 * (moving(3) > 0.999), 0),
        (lambda: torch_frames("float32"), 0),
        (lambda: torch_frames("float16"), 1),
        (lambda: torch_frames("bfloat16"), 1),
    ],
    ids=["HWC", "CHW", "float64", "uint8", "beyond 1", "torch", "torch half", "torch bfloat16"],
)
def test_frames_come_in_many_forms(make, tolerance):
    ours = np.stack(list(pictures(make())))
    wanted = np.rint(moving(3).clip(0, 1) * np.float32(255)).astype(int)
    assert ours.dtype == np.uint8
    assert abs(ours - wanted)[moving(3) <= 0.999].max() <= tolerance


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.full((1, 64, 64, 3), np.nan, np.float32), "NaN"),
        (np.zeros((64, 64, 3), np.float32), "expected"),
        (np.zeros((1, 64, 64, 4), np.float32), "expected"),
        (np.zeros((1, 64, 64, 3), np.int64), "int64"),
        ([1, 2], "expected"),
    ],
    ids=["NaN", "no batch", "alpha", "integers", "a list"],
)
def test_what_is_no_picture_is_refused(bad, message):
    with pytest.raises(OutputError, match=message):
        list(pictures(bad))


def test_a_video_has_one_size(tmp_path):
    with pytest.raises(OutputError, match="64×64 in a video of 192×128"), VideoWriter(tmp_path / "clip", RATES[0]) as v:
        v.write(moving(1))
        v.write(np.zeros((1, 64, 64, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


class CancelError(Exception):
    pass


def test_nothing_half_written_is_left_by_an_interrupt(tmp_path):
    path = tmp_path / "clip.mp4"
    with pytest.raises(CancelError), VideoWriter(path, RATES[0]) as video:
        video.write(moving(20))
        assert not path.exists()
        assert temp_for(path).exists()
        raise CancelError
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_has_left_is_cleared_by_the_next_attempt(tmp_path):
    path = tmp_path / "clip.mp4"
    temp_for(path).write_bytes(b"half a video")
    with VideoWriter(path, RATES[0]) as video:
        video.write(moving(2))
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]
    assert verify(path).frames == 2


def test_a_video_without_frames_is_none(tmp_path):
    with pytest.raises(OutputError, match="not a single frame"), VideoWriter(tmp_path / "clip.mp4", RATES[0]):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_taken_name_is_kept_unless_it_may_go(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_text("mine")
    with pytest.raises(OutputError, match="another name"):
        VideoWriter(path, RATES[0])
    assert path.read_text() == "mine"
    with VideoWriter(path, RATES[0], overwrite=True) as video:
        video.write(moving(2))
    assert verify(path).frames == 2


def test_a_name_taken_meanwhile_is_kept(tmp_path):
    path = tmp_path / "clip.mp4"
    with pytest.raises(OutputError, match="another name"), VideoWriter(path, RATES[0]) as video:
        video.write(moving(2))
        path.write_text("another's")
    assert path.read_text() == "another's"


@pytest.mark.parametrize(
    ("folder", "message"),
    [("{tmp}/none", "no folder"), ("{tmp}/file", "no folder"), ("/sys", "write-protected")],
    ids=["missing", "a file", "read-only"],
)
def test_an_unwritable_folder_is_reported_before_the_first_frame(tmp_path, folder, message):
    if folder == "/sys" and sys.platform != "linux":
        pytest.skip("no folder here is read-only for every user")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=message):
        VideoWriter(Path(folder.format(tmp=tmp_path)) / "clip.mp4", RATES[0])


WRITE_WITH_A_SIZE_LIMIT = """
import resource, sys
import numpy as np
from fractions import Fraction
from pathlib import Path
from sonic_guard.errors import OutputError
from sonic_guard.media.video_writer import Encoding, VideoWriter
path, kind, limit, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
numbers = np.random.default_rng(0)
try:
    with VideoWriter(path, Fraction(25), Encoding(kind)) as video:
        for _ in range(count):
            video.write(numbers.integers(0, 256, (1, 128, 128, 3), dtype=np.uint8))
except OutputError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("limit", "count"), [(500_000, 200), (5_000, 1)], ids=["in the middle", "at the end"])
def test_a_full_disk_ends_it_and_leaves_nothing(tmp_path, kind, limit, count):
    pytest.importorskip("resource", reason="file sizes can be limited on POSIX only")
    command = [sys.executable, "-c", WRITE_WITH_A_SIZE_LIMIT, str(tmp_path / "clip"), kind, str(limit), str(count)]
    result = subprocess.run(command, cwd=installed.PACK, capture_output=True, text=True)
    assert "no space left on this disk" in result.stderr, result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_full_device_is_reported_apart(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with (
        pytest.raises(OutputError, match="no space left"),
        errors_about(tmp_path / "clip.mp4"),
        open("/dev/full", "wb") as full,
    ):
        full.write(b"x" * 100_000)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"format": "gif"}, "h264, ffv1, prores"),
        ({"crf": 52}, "from 1 to 51"),
        ({"crf": 0}, "from 1 to 51"),
        ({"preset": "swift"}, "ultrafast, superfast"),
    ],
    ids=["format", "crf", "crf 0", "preset"],
)
def test_what_no_encoder_can_do_is_reported_at_once(wrong, message):
    with pytest.raises(OutputError, match=message):
        Encoding(**wrong)


def test_a_writer_keeps_nothing_once_it_is_closed(tmp_path):
    """An encoder of 1080p has tens of MB, and a long film one for every few seconds."""
    gc.disable()
    try:
        with VideoWriter(tmp_path / "out.mp4", Fraction(25)) as writer:
            writer.write(np.zeros((2, 64, 64, 3), np.uint8))
        gone = weakref.ref(writer)
        del writer
        assert gone() is None
    finally:
        gc.enable()
