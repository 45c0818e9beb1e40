"""Load Voice without a host: it reads the chosen track, refuses names outside the input folder, and hears silence."""

import importlib

import numpy as np
import pytest

from sonic_guard.errors import AudioError, FileNameError, SonicGuardError, UnknownNameError
from tests.support.sound_files import RATE, encode, encode_tracks


@pytest.fixture
def load(nodes, tmp_path, monkeypatch):
    """Runs the node over files in `tmp_path`."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path))
    return lambda **inputs: nodes["SonicGuardLoadVoice"].execute(**{"track": 1} | inputs)


def test_it_reads_the_chosen_track(load, tmp_path):
    encode_tracks(tmp_path / "film.mkv", np.zeros(3 * RATE), np.full(2 * RATE, 0.25), codec="flac")
    first, second = load(audio="film.mkv"), load(audio="film.mkv [input]", track=2)
    assert first.args[0]["waveform"].shape == (1, 1, 3 * RATE)
    assert second.args[0]["waveform"].shape == (1, 1, 2 * RATE)
    assert second.args[0]["sample_rate"] == RATE
    assert first.ui["text"][0].startswith("3.00 s\nAudio track 1 of 2 is silent")
    assert second.ui["text"] == ("2.00 s",)


def test_it_reads_what_load_audio_refuses(load, tmp_path):
    encode(tmp_path / "old.wav", "pcm_u8")
    assert load(audio="old.wav").args[0]["waveform"].shape == (1, 1, 44_100)


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        ({"audio": "../film.mkv"}, FileNameError, "not a file in the input folder"),
        ({"audio": "none.mkv"}, UnknownNameError, "there is no 'none.mkv'"),
        ({"audio": None}, SonicGuardError, "audio: expected a text"),
        ({"audio": "film.mkv", "track": 2}, AudioError, "there is no track 2"),
        ({"audio": "film.mkv", "track": True}, SonicGuardError, "track: expected a whole number"),
        ({"audio": "film.mkv", "track": "2"}, SonicGuardError, "track: expected a whole number"),
    ],
)
def test_what_it_cannot_read_is_said(load, pack, tmp_path, inputs, error, words):
    encode_tracks(tmp_path / "film.mkv", np.full(RATE, 0.25))
    errors = importlib.import_module(f"{pack.__name__}.sonic_guard.errors")  # the pack's own copy
    with pytest.raises(getattr(errors, error.__name__), match=words):
        load(**inputs)


def test_the_menu_has_sounds_and_videos_and_a_new_file_is_valid(load, nodes, tmp_path):
    for name in ("b.mp3", "a.mp4", "c.png", "d.txt"):
        (tmp_path / name).write_bytes(b"")
    node = nodes["SonicGuardLoadVoice"]
    (menu, _) = node.define_schema().inputs
    assert list(menu.options) == ["a.mp4", "b.mp3"]
    assert node.validate_inputs(audio="d.txt") is True
    assert "there is no" in node.validate_inputs(audio="new.mp3")
    before = node.fingerprint_inputs(audio="b.mp3", track=1)
    (tmp_path / "b.mp3").write_bytes(b"changed")
    assert node.fingerprint_inputs(audio="b.mp3", track=1) != before
