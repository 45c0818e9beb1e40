"""What a preview says of the files of a graph before they cost a run: silence, refused sounds, batches, no face."""

import numpy as np
import pytest
from PIL import Image

from sonic_guard.errors import AudioError, PictureError
from sonic_guard.job import MIN_SOUND_S
from sonic_guard.messages.plan_messages import assumption
from tests.support.graph_runs import foresee
from tests.support.graphs import after_preflight, machine, node, sources, trio, write_files, write_wav
from tests.support.picture_files import gradient, heic
from tests.support.sound_files import RATE, encode, encode_tracks

VOICE = 0.4 * np.sin(2 * np.pi * 220 / RATE * np.arange(3 * RATE))
SILENCE = np.zeros(5 * RATE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_files(tmp_path_factory.mktemp("input"))
    encode_tracks(folder / "film.mp4", SILENCE, VOICE)
    encode_tracks(folder / "silent.mp4", SILENCE)
    encode(folder / "8 bit.wav", "pcm_u8")
    write_wav(folder / "click.wav", 0.06)
    frames = [Image.fromarray(gradient() // part) for part in (1, 2, 3)]
    for name in ("moving.gif", "moving.png", "moving.webp"):
        frames[0].save(folder / name, save_all=True, append_images=frames[1:])
    Image.fromarray(gradient()).save(folder / "plain.png")
    Image.fromarray(gradient(1, 64)).save(folder / "thin.png")
    (folder / "phone.jpg").write_bytes(heic(gradient(96, 64)))
    return folder


@pytest.fixture
def here(folder):
    return machine(folder)


def said(graph, asked, here, lang="en"):
    """What the answer says beside the figures."""
    return [assumption(*assumed, lang=lang) for assumed in foresee(graph, asked, here).assumed]


def loaded(**inputs):
    return sources() | {"2": node("SonicGuardLoadVoice", **inputs)}


@pytest.mark.parametrize(("make", "asked"), [(trio, "7"), (after_preflight, "3")], ids=["stock", "preflight"])
def test_a_silent_sound_is_said(make, asked, here):
    (text,) = [text for text in said(make() | sources(audio="silent.mp4"), asked, here) if "silent" in text]
    assert text.startswith("The audio is silent")
    assert not any("silent" in text for text in said(make() | sources(), asked, here))


def test_that_silence_is_added_to_a_short_sound_is_said(here):
    graph = after_preflight() | sources(audio="click.wav")
    assert "the audio has 0.06 s, and Sonic needs 0.48 s: silence is added" in said(graph, "3", here)
    assert "音频只有 0.06 秒，而 Sonic 至少需要 0.48 秒：将补静音" in said(graph, "3", here, "zh")
    assert foresee(graph, "3", here).judged.plan.job.duration_s == MIN_SOUND_S
    assert not any("silence" in text for text in said(after_preflight(), "3", here))


def test_the_track_with_the_voice_is_named_and_can_be_loaded(here):
    first = sources(audio="film.mp4") | trio()
    assert any("Track 2 has sound. Take it with Load Voice" in text for text in said(first, "7", here))
    assert any("第 2 条音轨有声音" in text for text in said(first, "7", here, "zh"))
    second = loaded(audio="film.mp4", track=2) | trio()
    assert not any("silent" in text for text in said(second, "7", here))
    lengths = [foresee(graph, "7", here).judged.plan.job.duration_s for graph in (first, second)]
    assert lengths[0] > lengths[1] + 1


def test_a_track_that_is_not_there_is_said(here):
    with pytest.raises(AudioError, match=r"film\.mp4: there is no track 3"):
        foresee(loaded(audio="film.mp4", track=3) | trio(), "7", here)


def test_what_load_audio_refuses_is_said_and_load_voice_reads_it(here):
    with pytest.raises(AudioError, match=r"Load Audio will not read 8 bit\.wav: its samples have 8 bits"):
        foresee(sources(audio="8 bit.wav") | trio(), "7", here)
    assert foresee(loaded(audio="8 bit.wav", track=1) | trio(), "7", here).judged.plan.job.duration_s == 1.0


@pytest.mark.parametrize("name", ["moving.gif", "moving.png", "moving.webp"])
def test_a_batch_is_refused_where_sonic_takes_it_and_not_behind_preflight(name, here):
    with pytest.raises(PictureError, match="several frames, and SONIC_PreData takes one picture"):
        foresee(sources(image=name) | trio(), "7", here)
    assert foresee(after_preflight(face_box="8,8,40,40") | sources(image=name), "7", here)


def test_a_picture_of_one_pixels_width_is_refused(here):
    with pytest.raises(PictureError, match="takes no picture of 1×64"):
        foresee(sources(image="thin.png") | trio(), "7", here)


def test_a_picture_without_a_face_is_said(here):
    assert any("no face is found" in text for text in said(sources(image="plain.png") | trio(), "7", here))
    assert not any("no face" in text for text in said(sources() | trio(), "7", here))


def test_a_heic_has_the_size_that_load_image_gives(here):
    assert here.files.size("phone.jpg") == (96, 64)
