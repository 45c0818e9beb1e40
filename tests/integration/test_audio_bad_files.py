"""Files that are no usable sound: the error names the file, what is wrong and what to do."""

import random
import wave

import av
import numpy as np
import pytest

from sonic_guard.errors import AudioError
from sonic_guard.media.audio_file import load, probe
from tests.support.sound_files import encode


def text(file):
    file.write_text("This is no sound.\n" * 500)


def noise(file):
    file.write_bytes(random.Random(1).randbytes(150_000))  # noqa: S311 - no cryptography


def torn(file):
    """Without its end, where an m4a keeps its table of contents."""
    encode(file, "aac")
    file.write_bytes(file.read_bytes()[:-200])


def mute(file):
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=64, height=64)
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))


def no_samples(file):
    with wave.open(str(file), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))


def two_rates(file):
    parts = []
    for rate in (44_100, 32_000):
        encode(file, "libmp3lame", rate, write_xing="0", id3v2_version="0")
        parts.append(file.read_bytes())
    file.write_bytes(b"".join(parts))


BAD = {  # the file's name: what makes it, what the error says
    "text.mp3": (text, "cannot be read as a sound"),
    "text.wav": (text, "cannot be read as a sound"),
    "text.txt": (text, "a kind of file that is not read here"),
    "noise.mp3": (noise, "not a single sample of sound|cannot be read as a sound"),
    "zeros.mp3": (lambda file: file.write_bytes(bytes(5000)), "cannot be read as a sound"),
    "torn.m4a": (torn, "damaged, cut off, or not a sound file"),
    "mute.mp4": (mute, "there is no sound in this file"),
    "no samples.wav": (no_samples, "not a single sample of sound"),
    "two rates.mp3": (
        two_rates,
        "mixes sound of 32000 Hz, 1 ch and of 44100 Hz, 1 ch|mixes sound of 44100 Hz, 1 ch and of 32000 Hz, 1 ch",
    ),
    "empty.mp3": (lambda file: file.write_bytes(b""), "the file is empty"),
    "folder.wav": (lambda file: file.mkdir(), "this is a folder"),
    "missing.wav": (lambda file: None, "there is no such file"),
}


@pytest.mark.parametrize("read", [probe, load])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_called_by_name(tmp_path, name, read):
    make, complaint = BAD[name]
    make(tmp_path / name)
    with pytest.raises(AudioError, match=f"{name}: .*({complaint})"):
        read(tmp_path / name)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(tmp_path, bad):
    sound = np.zeros((1, 8000), np.float32)
    sound[0, 4000] = bad
    encode(tmp_path / "nan.wav", "pcm_f32le", 8000, sound)
    with pytest.raises(AudioError, match=r"nan\.wav: the sound holds NaN or infinite samples, the first at 0\.50 s"):
        load(tmp_path / "nan.wav")
