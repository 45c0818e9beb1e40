"""The portrait and the voice of the templates: what they are, and how they come into ComfyUI's input folder."""

import os
import sys

import numpy as np
import pytest
import skimage.data

from sonic_guard.media import audio_file, face, picture
from sonic_guard.media.silence import find_silence
from sonic_guard.operations.example_files import CLIP, FILES, PORTRAIT, VOICE, example_folder, place_examples
from tests.support import processes
from tests.support.child_tasks import place_with_little_room
from tests.support.installed import PACK
from tools.example_media import RATE, speak


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "input").mkdir()
    return tmp_path / "input", tmp_path / "user" / "sonic_guard" / "example_files.txt"


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_the_page_on_security_names_them():
    text = (PACK / "docs" / "security.md").read_text(encoding="utf-8")
    assert [name for name in FILES if f"`{name}`" not in text] == []


def test_they_are_placed_the_first_time(folders):
    assert sorted(file.name for file in place_examples(*folders)) == names(folders[0]) == sorted(FILES)
    for name in FILES:
        assert (folders[0] / name).read_bytes() == (example_folder() / name).read_bytes()


def test_whoever_deletes_them_is_not_given_them_again(folders):
    place_examples(*folders)
    (folders[0] / VOICE).unlink()
    assert place_examples(*folders) == []
    assert names(folders[0]) == [CLIP, PORTRAIT]


def test_another_input_folder_gets_them_too(folders, tmp_path):
    place_examples(*folders)
    (tmp_path / "other").mkdir()
    assert len(place_examples(tmp_path / "other", folders[1])) == len(FILES)


def test_a_file_of_the_user_is_left_as_it_is(folders):
    (folders[0] / PORTRAIT).write_bytes(b"mine")
    assert [file.name for file in place_examples(*folders)] == [VOICE, CLIP]
    assert (folders[0] / PORTRAIT).read_bytes() == b"mine"


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
@pytest.mark.parametrize("before", [b"", b"\xff\xfe no text\n"], ids=["no note", "a damaged note"])
def test_a_folder_whose_name_is_no_text(folders, tmp_path, before):
    odd = tmp_path / os.fsdecode(b"\xff")
    odd.mkdir()
    folders[1].parent.mkdir(parents=True)
    folders[1].write_bytes(before)
    assert len(place_examples(odd, folders[1])) == len(FILES)
    assert place_examples(odd, folders[1]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is POSIX's")
def test_a_full_disk_leaves_no_part_of_a_file(folders):
    """Limited by what a process may write into one file."""
    assert processes.ended(place_with_little_room, *folders).code == 1
    assert names(folders[0]) == []
    assert not folders[1].exists()


def test_what_is_no_plain_file_is_not_written_to(folders):
    folders[1].mkdir(parents=True)
    assert place_examples(*folders) == []
    assert names(folders[0]) == []


def test_a_folder_that_is_not_there_is_an_error_and_is_not_noted(folders, tmp_path):
    with pytest.raises(OSError, match="none"):
        place_examples(tmp_path / "none", folders[1])
    assert not folders[1].exists()


def test_the_portrait_is_the_public_domain_picture_and_has_a_face():
    pixels = picture.load(example_folder() / PORTRAIT)
    difference = pixels.astype(float) - skimage.data.astronaut()
    assert np.sqrt(np.mean(difference**2)) < 6, "of 255: JPEG's own loss"
    assert len(face.find_faces(pixels)) == 1


def test_the_voice_is_the_synthesised_one():
    """As MP3 has it: the same sound, later by the encoder's delay."""
    sound = audio_file.load(example_folder() / VOICE)
    assert sound.sample_rate == RATE
    made = speak()
    kept = sound.waveform[0, : len(made)]
    spectra = [np.fft.rfft(each, 2 * len(made)) for each in (made, kept)]
    correlation = np.fft.irfft(spectra[1] * np.conj(spectra[0]))
    assert correlation.max() > 0.95 * np.linalg.norm(made) * np.linalg.norm(kept)


def test_the_voice_is_a_few_seconds_that_are_loud_enough():
    file = example_folder() / VOICE
    info = audio_file.probe(file)
    silence = find_silence(audio_file.load(file))
    assert 3 < info.duration_s < 10
    assert silence.lead_s + silence.tail_s < 1
    assert file.stat().st_size < 50_000
