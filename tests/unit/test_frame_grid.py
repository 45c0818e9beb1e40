"""The trimmed sound against Sonic's own arithmetic, spelled out from the wrapper (8556234) and librosa."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_guard.job import Job, latent_frames
from sonic_guard.media.audio import Sound
from sonic_guard.media.frame_grid import fit_to_frames


def frames_sonic_makes(sound, duration_setting):
    """SONIC_PreData, then `get_audio_feature`, line by line."""
    infer_duration = min(duration_setting, sound.samples / sound.sample_rate)
    read = min(int(infer_duration * sound.sample_rate), sound.samples)  # librosa.load through soundfile
    audio_input = math.ceil(read * (16_000 / sound.sample_rate))  # librosa.resample
    audio_len = audio_input // 640
    return audio_len // 2


def silence(samples, rate):
    """A sound that takes no memory, however long."""
    return Sound(np.broadcast_to(np.float32(0), (1, samples)), rate)


rates = st.integers(8000, 96_000) | st.sampled_from([8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])


@given(rate=rates, frames=st.integers(1, 400), length=st.floats(0.5, 2), interpolate=st.booleans())
def test_sonic_makes_exactly_the_frames_asked_for(rate, frames, length, interpolate):
    sound = silence(int(frames * 0.08 * rate * length) + 1, rate)
    fitted = fit_to_frames(sound, frames, interpolate).for_sonic
    for duration_setting in (1e11, fitted.duration_s, frames / 12.5 + 0.02, fitted.duration_s + 0.08):
        assert frames_sonic_makes(fitted, duration_setting) == frames


@given(rate=rates, frames=st.integers(1, 400), length=st.floats(0.5, 2), interpolate=st.booleans())
def test_sound_and_picture_end_together(rate, frames, length, interpolate):
    sound = silence(int(frames * 0.08 * rate * length) + 1, rate)
    fitted = fit_to_frames(sound, frames, interpolate).for_video
    job = Job(512, 512, duration_s=frames / 12.5, interpolate=interpolate)
    assert job.latent_frames == frames
    assert abs(fitted.duration_s - job.output_s) <= 0.5 / rate + 1e-12


@given(rate=rates, samples=st.integers(8000, 1_000_000))
def test_a_whole_sound_loses_no_frame_and_gains_none(rate, samples):
    sound = silence(samples, rate)
    frames = latent_frames(sound.duration_s)
    if frames:
        assert frames_sonic_makes(fit_to_frames(sound, frames, True).for_sonic, 1e11) == frames


@pytest.mark.parametrize(("rate", "frames"), [(16_000, 201), (16_000, 819), (8000, 402), (11_025, 35)])
def test_why_half_a_hop_is_added(rate, frames):
    bare = silence(frames * 2 * rate // 25, rate)
    assert frames_sonic_makes(bare, 1e11) == frames - 1
    assert frames_sonic_makes(fit_to_frames(bare, frames, True).for_sonic, 1e11) == frames


@pytest.mark.parametrize(
    ("rate", "frames", "interpolate", "for_sonic", "for_video"),
    [  # N / 12.5 + 0.02 s, and (2N - 1) / 25 s or N / 12.5 s
        (16_000, 125, True, 160_320, 159_360),
        (16_000, 125, False, 160_320, 160_000),
        (44_100, 125, True, 441_882, 439_236),
        (44_100, 1, True, 4410, 1764),
        (11_025, 1, True, 1103, 441),  # 1102.5 samples: to the nearest, halves up
        (48_000, 3, False, 12_480, 11_520),
        (8000, 135_000, True, 86_400_160, 86_399_680),  # three hours
    ],
)
def test_lengths(rate, frames, interpolate, for_sonic, for_video):
    fitted = fit_to_frames(silence(86_400_000 if frames > 1000 else 500_000, rate), frames, interpolate)
    assert (fitted.for_sonic.samples, fitted.for_video.samples) == (for_sonic, for_video)


def test_sound_is_kept_and_silence_fills_up():
    sound = Sound(np.linspace(-1, 1, 2 * 1300, dtype=np.float32).reshape(2, 1300), 16_000)
    for_sonic, for_video = fit_to_frames(sound, 1, True)
    assert for_sonic.samples == 1600
    np.testing.assert_array_equal(for_sonic.waveform[:, :1300], sound.waveform)
    assert not for_sonic.waveform[:, 1300:].any()
    assert for_video.samples == 640
    assert np.shares_memory(for_video.waveform, sound.waveform)
