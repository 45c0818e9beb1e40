"""The portrait and the voice of the templates: what they are, and how they come into ComfyUI's input folder."""

import numpy as np
import pytest
import skimage.data

from sonic_guard.media import audio_file, face, picture
from sonic_guard.media.silence import find_silence
from sonic_guard.operations.example_files import PORTRAIT, VOICE, example_folder, place_examples


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "input").mkdir()
    return tmp_path / "input", tmp_path / "user" / "sonic_guard" / "example_files.txt"


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_they_are_placed_the_first_time(folders):
    assert sorted(file.name for file in place_examples(*folders)) == names(folders[0]) == [PORTRAIT, VOICE]
    for name in (PORTRAIT, VOICE):
        assert (folders[0] / name).read_bytes() == (example_folder() / name).read_bytes()


def test_whoever_deletes_them_is_not_given_them_again(folders):
    place_examples(*folders)
    (folders[0] / VOICE).unlink()
    assert place_examples(*folders) == []
    assert names(folders[0]) == [PORTRAIT]


def test_another_input_folder_gets_them_too(folders, tmp_path):
    place_examples(*folders)
    (tmp_path / "other").mkdir()
    assert len(place_examples(tmp_path / "other", folders[1])) == 2


def test_a_file_of_the_user_is_left_as_it_is(folders):
    (folders[0] / PORTRAIT).write_bytes(b"mine")
    assert [file.name for file in place_examples(*folders)] == [VOICE]
    assert (folders[0] / PORTRAIT).read_bytes() == b"mine"


def test_a_folder_that_is_not_there_is_an_error_and_is_not_noted(folders, tmp_path):
    with pytest.raises(OSError, match="none"):
        place_examples(tmp_path / "none", folders[1])
    assert not folders[1].exists()


def test_the_portrait_is_the_public_domain_picture_and_has_a_face():
    pixels = picture.load(example_folder() / PORTRAIT)
    difference = pixels.astype(float) - skimage.data.astronaut()
    assert np.sqrt(np.mean(difference**2)) < 6, "of 255: JPEG's own loss"
    assert len(face.find_faces(pixels)) == 1


def test_the_voice_is_a_few_seconds_that_are_loud_enough():
    file = example_folder() / VOICE
    info = audio_file.probe(file)
    silence = find_silence(audio_file.load(file))
    assert 3 < info.duration_s < 10
    assert silence.lead_s + silence.tail_s < 1
    assert file.stat().st_size < 50_000
