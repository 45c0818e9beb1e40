"""Silence is told, the voice in another track is found, and read."""

import subprocess
import time

import numpy as np
import pytest

from sonic_guard.errors import AudioError, SlowFileError
from sonic_guard.media import audio_file
from sonic_guard.media.audio import Refusal, Sound
from sonic_guard.media.audio_file import Pick
from sonic_guard.media.audio_tracks import Hearing, Track, is_silent, listen
from sonic_guard.media.cancellation import deadline
from tests.support.installed import PACK
from tests.support.sound_files import RATE, encode, encode_tracks, film_with_tracks, hours_of_silence

SILENCE = np.zeros(4 * RATE)
NOISE = np.random.default_rng(0).normal(0, 1e-4, 4 * RATE)
"""Of a microphone nobody speaks into: -68 dBFS at its loudest."""
VOICE = 0.4 * np.sin(2 * np.pi * 220 / RATE * np.arange(4 * RATE)) * (np.arange(4 * RATE) > 3 * RATE)
"""Of somebody who begins after 3 s."""


@pytest.mark.parametrize(
    ("tracks", "chosen", "silent", "voices"),
    [
        ([VOICE], 1, False, []),
        ([SILENCE], 1, True, []),
        ([NOISE], 1, True, []),
        ([SILENCE, VOICE], 1, True, [2]),
        ([SILENCE, VOICE], 2, False, []),
        ([VOICE, SILENCE], 1, False, []),
        ([VOICE, SILENCE], 2, True, [1]),
        ([NOISE, VOICE, SILENCE, VOICE], 1, True, [2, 4]),
        ([NOISE, SILENCE], 1, True, []),
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_silent_track_names_those_with_a_voice(tmp_path, suffix, tracks, chosen, silent, voices):
    file = tmp_path / f"film.{suffix}"
    encode_tracks(file, *tracks)
    heard = listen(file, chosen)
    assert (heard.track, heard.silent, heard.tracks) == (chosen, silent, len(tracks))
    assert [voice.number for voice in heard.voices] == voices


def test_a_track_has_the_title_of_its_file(tmp_path):
    encode_tracks(tmp_path / "film.mkv", SILENCE, VOICE, title="Mikrofon\n1")
    assert listen(tmp_path / "film.mkv").voices == (Track(2, r"Mikrofon\n1"),)


def test_the_chosen_track_is_read(tmp_path):
    encode_tracks(tmp_path / "film.mkv", SILENCE, VOICE[: 2 * RATE] + VOICE[-2 * RATE :], codec="flac")
    first, second = (audio_file.load(tmp_path / "film.mkv", track=track) for track in (1, 2))
    assert (is_silent(first), is_silent(second)) == (True, False)
    lengths = [audio_file.probe(tmp_path / "film.mkv", track=track).duration_s for track in (1, 2)]
    assert lengths == [4.0, 2.0]
    assert audio_file.claimed(tmp_path / "film.mkv", track=2).sample_rate == RATE


MONO, STEREO = ((1, 1), (2, 2))
"""Seconds and channels of a track."""


TRACKS = [
    ([MONO], None, 1, 1),
    ([MONO, MONO], None, 2, 1),
    ([MONO, STEREO, STEREO], None, 3, 2),
    ([STEREO, MONO], None, 2, 1),
    ([STEREO, MONO], 1, 2, 2),
    ([MONO, STEREO], 0, 2, 1),
]
"""Tracks, which of them is marked as default, and the numbers of the last and of ffmpeg's."""


@pytest.mark.parametrize(("tracks", "marked", "last", "ffmpegs"), TRACKS)
def test_the_track_that_a_program_picks(tmp_path, tracks, marked, last, ffmpegs):
    film = tmp_path / "film.mkv"
    film_with_tracks(film, *tracks, marked=marked)
    for pick, number in ((Pick.LAST, last), (Pick.FFMPEG, ffmpegs)):
        picked, sound = audio_file.probe(film, track=pick), audio_file.load(film, track=pick)
        assert (picked.duration_s, picked.channels) == (sound.duration_s, sound.channels) == tracks[number - 1]
        assert listen(film, pick).track == number


@pytest.mark.parametrize(("tracks", "marked", "last", "ffmpegs"), TRACKS)
def test_the_command_ffmpeg_picks_that_track(tmp_path, tracks, marked, last, ffmpegs):
    program = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    film = tmp_path / "film.mkv"
    film_with_tracks(film, *tracks, marked=marked)
    command = [program, "-i", film, "-f", "f32le", "-"]
    samples = len(subprocess.run(command, capture_output=True, check=True).stdout) // 4
    seconds, channels = tracks[ffmpegs - 1]
    assert samples == seconds * channels * RATE


@pytest.mark.parametrize("read", [audio_file.probe, audio_file.load, audio_file.claimed, listen])
@pytest.mark.parametrize("track", [0, 3, -1])
def test_a_track_that_is_not_there_is_an_error(tmp_path, read, track):
    encode_tracks(tmp_path / "film.mkv", SILENCE, VOICE)
    with pytest.raises(AudioError, match=rf"film.mkv: there is no track {track}. Choose one from 1 to 2"):
        read(tmp_path / "film.mkv", track=track)


def test_channels_that_cancel_each_other_are_silent_to_sonic():
    """The wrapper's librosa takes the mean of the channels."""
    voice = np.float32(VOICE)
    assert is_silent(Sound(np.stack([voice, -voice]), RATE))
    assert not is_silent(Sound(np.stack([voice, 0 * voice]), RATE))
    assert is_silent(Sound(np.zeros((1, RATE), np.float32), RATE))


def test_a_voice_is_heard_at_once():
    began = time.perf_counter()
    assert listen(PACK / "demo" / "speech.mp3") == Hearing(1, silent=False, tracks=1)
    assert time.perf_counter() - began < 0.5


def test_listening_to_silence_has_a_limit(tmp_path):
    hours_of_silence(tmp_path / "long.flac", 20)
    with pytest.raises(SlowFileError):
        listen(tmp_path / "long.flac", check=deadline(tmp_path / "long.flac", 0.2))


REFUSED = {
    "u8.wav": Refusal.EIGHT_BITS,
    "cut off.flac": Refusal.DAMAGED,
    "old tags.wav": Refusal.OLD_TAGS,
    "fine.wav": None,
}
"""Why Load Audio refuses a file; `test_load_nodes` asks ComfyUI itself."""


def sound_file(folder, name):
    """A file of that name from `REFUSED`."""
    if name == "cut off.flac":
        encode(folder / name, "flac", sound=np.float32(np.random.default_rng(0).normal(0, 0.1, (1, 44_100))))
        (folder / name).write_bytes((folder / name).read_bytes()[:-2000])
        return
    encode(folder / name, "pcm_u8" if name == "u8.wav" else "pcm_s16le")
    if name == "old tags.wav":
        tag = b"INFOINAM\4\0\0\0\xe9\xe8a\0"
        with (folder / name).open("ab") as file:
            file.write(b"LIST" + len(tag).to_bytes(4, "little") + tag)


@pytest.mark.parametrize("name", REFUSED)
def test_what_load_audio_refuses_is_known(tmp_path, name):
    sound_file(tmp_path, name)
    assert audio_file.probe(tmp_path / name).refusal is REFUSED[name]
    assert audio_file.load(tmp_path / name).samples, "read here all the same"


def test_64_bit_samples_are_refused_before_they_are_decoded(tmp_path):
    encode(tmp_path / "s64.wav", "pcm_s64le")
    for read in (audio_file.probe, audio_file.load):
        with pytest.raises(AudioError, match="its samples are s64"):
            read(tmp_path / "s64.wav")
    assert listen(tmp_path / "s64.wav").silent
