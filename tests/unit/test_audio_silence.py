"""Silence at the ends of a sound: found by pydub, cut on demand."""

import os
import subprocess
import sys

import numpy as np
import pytest

from sonic_guard.errors import AudioError
from sonic_guard.media.audio import Sound
from sonic_guard.media.silence import Silence, cut_silence, find_silence


def tone(seconds, rate, dbfs=-10.0):
    """A sine whose RMS is `dbfs`."""
    time_s = np.arange(round(seconds * rate)) / rate
    return np.sin(2 * np.pi * 440 * time_s) * 2**0.5 * 10 ** (dbfs / 20)


def spoken(lead_s, voice_s, tail_s, rate=16_000, channels=1, noise=0.0):
    """A tone between two silences."""
    parts = [np.zeros(round(lead_s * rate)), tone(voice_s, rate), np.zeros(round(tail_s * rate))]
    wave = np.concatenate(parts)
    wave += noise * np.random.default_rng(0).normal(size=wave.size)
    return Sound(np.tile(wave.astype(np.float32), (channels, 1)), rate)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(
    ("lead_s", "voice_s", "tail_s"),
    [(0, 1, 0), (0.5, 1, 0.25), (0, 1, 0.7), (1.3, 0.3, 0), (12, 1, 25)],
)
def test_silence_is_found_to_ten_milliseconds(rate, channels, lead_s, voice_s, tail_s):
    silence = find_silence(spoken(lead_s, voice_s, tail_s, rate, channels))
    assert silence.lead_s == pytest.approx(lead_s, abs=0.0101)
    assert silence.tail_s == pytest.approx(tail_s, abs=0.0101)


def test_noise_below_the_threshold_is_silence():
    sound = spoken(0.5, 1, 0.5, noise=10 ** (-60 / 20))
    assert find_silence(sound).lead_s == pytest.approx(0.5, abs=0.0101)
    assert find_silence(sound, threshold_dbfs=-65) == Silence(0.0, 0.0)


@pytest.mark.parametrize("dbfs", [-20, -50, -80, -100])
def test_the_threshold_is_kept_to_a_decibel(dbfs):
    sound = Sound(tone(1, 16_000, dbfs)[None].astype(np.float32), 16_000)
    assert find_silence(sound, dbfs - 1) == Silence(0.0, 0.0)
    assert find_silence(sound, dbfs + 1) == Silence(1.0, 0.0)


@pytest.mark.parametrize("samples", [1, 5, 160, 4800, 16_000 * 3600 * 3])
def test_nothing_but_silence(samples):
    sound = Sound(np.broadcast_to(np.float32(0), (1, samples)), 16_000)
    assert find_silence(sound) == Silence(samples / 16_000, 0.0)
    with pytest.raises(AudioError, match=r"There is no sound above -50 dBFS in these .* Use a louder sound"):
        cut_silence(sound)


@pytest.mark.parametrize(
    ("keep_s", "length_s"),
    [(0.0, 1.0), (0.1, 1.2), (0.4, 1.8), (9.0, 2.0)],
)
def test_cutting_keeps_a_breath_and_the_voice(keep_s, length_s):
    sound = spoken(0.5, 1, 0.5)
    cut = cut_silence(sound, keep_s=keep_s)
    assert cut.duration_s == pytest.approx(length_s, abs=0.0201)
    assert np.abs(cut.waveform).sum() == pytest.approx(np.abs(sound.waveform).sum())
    assert np.shares_memory(cut.waveform, sound.waveform)


def test_a_sound_without_silence_stays_whole():
    assert cut_silence(spoken(0, 1, 0)).samples == 16_000


def test_a_click_between_two_chunks_is_not_lost():
    # As 10 ms counted from the front it reaches the threshold; counted from the back it falls into two that do not.
    click = np.repeat([0.9, 1.2], 80) ** 0.5 * 10 ** (-50 / 20)
    wave = np.concatenate([np.zeros(8000), click, np.zeros(7760)])
    sound = Sound(wave[None].astype(np.float32), 16_000)
    assert find_silence(Sound(sound.waveform[:, ::-1], 16_000)) == Silence(0.995, 0.0)  # taken for silence
    assert find_silence(sound) == Silence(0.5, 0.0)


def test_no_ffmpeg_program_is_missed():
    code = (
        "import numpy as np; from sonic_guard.media.audio import Sound; from sonic_guard.media.silence import *;"
        "print(find_silence(Sound(np.ones((1, 800), np.float32), 8000)))"
    )
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "Silence(lead_s=0.0, tail_s=0.0)"
    assert run.stderr == ""
