"""A sound is cut where the voice pauses."""

import numpy as np
import pytest

from sonic_guard.media.audio import Sound
from sonic_guard.media.pauses import longest_pause

RATE = 16000


def speech(pauses, seconds=20.0, rate=RATE, level=0.3, hiss=0.0, channels=1):
    """A voice-like noise that is silent (but for `hiss`) in the stretches `pauses`."""
    numbers = np.random.default_rng(0)
    time_s = np.arange(round(seconds * rate)) / rate
    voice = level * numbers.standard_normal((channels, len(time_s))) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s))
    for start, stop in pauses:
        voice[:, (start <= time_s) & (time_s < stop)] = 0
    return Sound((voice + hiss * numbers.standard_normal(voice.shape)).astype(np.float32), rate)


@pytest.mark.parametrize(
    ("pauses", "wanted"),
    [
        ([(9, 9.5)], 9.25),
        ([(8.2, 8.5), (11, 11.8), (12, 12.2)], 11.4),
        ([(8, 8.4), (10.2, 10.6)], 10.4),
        ([(2, 4), (9, 9.3), (15, 19)], 9.15),
        ([(6, 8)], 7.5),
    ],
    ids=["the only one", "the longest", "of two alike the nearer", "none outside", "as far as it is inside"],
)
@pytest.mark.parametrize(
    "kind",
    [{}, {"rate": 44100}, {"channels": 2}, {"hiss": 0.01}, {"level": 0.02, "hiss": 0.0005}],
    ids=["clean", "44.1 kHz", "stereo", "noisy", "soft"],
)
def test_the_longest_pause_is_found(pauses, wanted, kind):
    assert longest_pause(speech(pauses, **kind), 7, 13) == pytest.approx(wanted, abs=0.06)


def test_without_a_pause_the_quietest_moment_is_taken():
    sound = speech([])
    sound.waveform[:, int(10.7 * RATE) : int(10.8 * RATE)] *= 0.4
    assert longest_pause(sound, 7, 13) == pytest.approx(10.75, abs=0.03)


def test_of_silence_the_middle_is_taken():
    assert longest_pause(Sound(np.zeros((1, 20 * RATE), np.float32), RATE), 7, 13) == pytest.approx(10)


@pytest.mark.parametrize(("start", "stop"), [(19.95, 25), (18, 30), (-5, 3), (30, 31)])
def test_a_stretch_may_extend_beyond_the_sound(start, stop):
    assert min(start, 20) <= longest_pause(speech([(0.5, 1), (19, 19.4)]), start, stop) <= stop
