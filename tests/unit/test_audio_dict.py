"""ComfyUI's AUDIO as input: what is accepted, what it becomes, what is refused and with which message."""

from collections import UserDict

import numpy as np
import pytest
import torch

from sonic_guard.errors import AudioError
from sonic_guard.media.audio import Sound, SoundInfo, duration_of, from_dict, to_dict


def audio(waveform=None, sample_rate=16_000):
    return {"waveform": torch.zeros(1, 2, 8000) if waveform is None else waveform, "sample_rate": sample_rate}


@pytest.mark.parametrize(
    "waveform",
    [
        torch.full((1, 2, 8000), 0.5),
        torch.full((1, 2, 8000), 0.5, dtype=torch.bfloat16),
        torch.full((1, 2, 8000), 0.5, dtype=torch.float64),
        torch.full((1, 2, 8000), 0.5, requires_grad=True),
        np.full((1, 2, 8000), 0.5, np.float32),
        np.full((1, 2, 8000), 0.5, np.float64),
    ],
    ids=["float32", "bfloat16", "float64", "with gradient", "numpy", "numpy float64"],
)
def test_every_kind_of_waveform_becomes_the_same_sound(waveform):
    sound = from_dict(audio(waveform))
    assert sound.waveform.dtype == np.float32
    assert (sound.waveform == 0.5).all()
    assert (sound.channels, sound.samples, sound.sample_rate, sound.duration_s) == (2, 8000, 16_000, 0.5)


def test_neither_way_copies():
    tensor = torch.zeros(1, 2, 8000)
    there_and_back = to_dict(from_dict(audio(tensor)))["waveform"]
    assert there_and_back.data_ptr() == tensor.data_ptr()
    assert there_and_back.shape == tensor.shape


def test_any_mapping_will_do():
    assert from_dict(UserDict(audio())).samples == 8000


def test_of_a_batch_the_first_is_used_and_the_log_reports_so(caplog):
    sound = from_dict(audio(torch.stack([torch.zeros(1, 80), torch.ones(1, 80)])), "voice")
    assert not sound.waveform.any()
    assert "voice: a batch of 2 sounds; the first is used" in caplog.text


@pytest.mark.parametrize(
    ("samples", "rate", "duration_s"),
    [(1, 8000, 1 / 8000), (13_230, 44_100, 0.3), (441_001, 44_100, 441_001 / 44_100), (86_400_000, 8000, 10_800.0)],
)
def test_duration_is_exact(samples, rate, duration_s):
    waveform = np.broadcast_to(np.float32(0), (1, 1, samples))
    assert duration_of(audio(waveform, rate)) == duration_s


@pytest.mark.parametrize(("samples", "seconds"), [(44_100, 1.0), (441_221, 10.01), (13_229, 0.3)])
def test_seconds_are_for_people(samples, seconds):
    assert SoundInfo(samples, 44_100, 1, "mp3").seconds == seconds


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (None, "expected ComfyUI's AUDIO, got nothing"),
        ("voice.wav", "expected ComfyUI's AUDIO, got str"),
        (torch.zeros(1, 2, 80), "expected ComfyUI's AUDIO, got Tensor"),
        ({}, "no 'waveform'"),
        ({"waveform": None, "sample_rate": 16_000}, "no 'waveform'"),
        ({"waveform": torch.zeros(1, 2, 80)}, "no 'sample_rate'"),
        (audio([[[0.0]]]), "must be a tensor, got list"),
        (audio(torch.zeros(80)), r"its shape is \[80\]"),
        (audio(torch.zeros(2, 80)), r"its shape is \[2, 80\]"),
        (audio(torch.zeros(1, 1, 2, 80)), r"its shape is \[1, 1, 2, 80\]"),
        (audio(torch.zeros(1, 2, 0)), r"the sound is empty \(shape \[1, 2, 0\]\)"),
        (audio(torch.zeros(0, 2, 80)), "the sound is empty"),
        (audio(torch.zeros(1, 0, 80)), "the sound is empty"),
        (audio(torch.zeros(1, 2, 80, dtype=torch.int16)), "floating-point samples in ±1, but holds int16"),
        (audio(torch.zeros(1, 2, 80, dtype=torch.complex64)), "but holds complex64"),
        (audio(torch.full((1, 2, 80), torch.nan)), "NaN or infinite samples, the first at 0.00 s"),
        (audio(torch.cat([torch.zeros(1, 2, 8000), torch.full((1, 2, 1), -torch.inf)], -1)), "the first at 0.50 s"),
        (audio(sample_rate=0), "0 is no sample rate"),
        (audio(sample_rate=-1), "-1 is no sample rate"),
        (audio(sample_rate=True), "True is no sample rate"),
        (audio(sample_rate=44_100.5), "a whole number of Hz, got 44100.5"),
        (audio(sample_rate="44100"), "a whole number of Hz, got '44100'"),
    ],
)
def test_what_is_no_sound_is_refused_in_words(bad, complaint):
    with pytest.raises(AudioError, match=f"^voice: .*{complaint}"):
        from_dict(bad, "voice")


def test_a_part_shares_memory():
    sound = Sound(np.zeros((2, 100), np.float32), 8000)
    assert np.shares_memory(sound.part(10, 30).waveform, sound.waveform)
    assert sound.part(10, 30).samples == 20
