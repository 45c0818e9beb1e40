"""The frame arithmetic: what a run's settings lead to."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_guard.errors import JobError
from sonic_guard.job import Dtype, Job, frame_size, latent_frames


@pytest.mark.parametrize(
    ("width", "height", "min_resolution", "expected"),
    [
        (512, 512, 512, (512, 512)),
        (1000, 1000, 768, (768, 768)),
        (1080, 1920, 512, (512, 896)),
        (1920, 1080, 512, (896, 512)),
        (640, 480, 512, (704, 512)),
        (300, 400, 384, (384, 512)),
        (736, 512, 512, (768, 512)),  # 11.5 steps: Python rounds halves to even
        (672, 512, 512, (640, 512)),  # 10.5 steps
        (1, 1, 512, (512, 512)),
        (16384, 16384, 1024, (1024, 1024)),
        (50, 8000, 128, (128, 20480)),
    ],
)
def test_frames_have_sides_of_whole_64s(width, height, min_resolution, expected):
    size = frame_size(width, height, min_resolution)
    assert (size.width, size.height) == expected


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [(10.0, 125), (3.04, 38), (0.08, 1), (0.15, 1), (0.16, 2), (0.3, 3), (1.0, 12), (4.0, 50), (3 * 3600, 135_000)],
)
def test_a_second_of_sound_makes_12_and_a_half_latent_frames(seconds, frames):
    assert latent_frames(seconds) == frames


@pytest.mark.parametrize("frames", range(1, 2000, 7))
def test_a_duration_on_the_grid_loses_no_frame_to_binary_fractions(frames):
    assert latent_frames(frames / 12.5) == frames


@pytest.mark.parametrize(
    ("interpolate", "frames", "fps", "seconds"), [(True, 249, 25.0, 9.96), (False, 125, 12.5, 10.0)]
)
def test_ten_seconds_of_output(interpolate, frames, fps, seconds):
    job = Job(512, 512, 10.0, interpolate=interpolate)
    assert (job.output_frames, job.output_fps, job.output_s) == (frames, fps, pytest.approx(seconds))


def test_fps_sets_the_window_and_nothing_else():
    job = Job(512, 512, 10.0, fps=12.5)
    assert (job.window, job.windows, job.output_fps, job.output_frames) == (12, 11, 25.0, 249)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"duration_s": 0.0}, "too short"),
        ({"duration_s": 0.05}, "too short"),
        ({"duration_s": math.nan}, "duration"),
        ({"duration_s": math.inf}, "duration"),
        ({"duration_s": -1.0}, "duration"),
        ({"duration_s": 1e9}, "duration"),
        ({"duration_s": "10"}, "duration: expected a number"),
        ({"width": 0}, "width"),
        ({"width": 512.0}, "width: expected a whole number"),
        ({"height": -5}, "height"),
        ({"width": True}, "width"),
        ({"min_resolution": 0}, "min_resolution"),
        ({"min_resolution": 10**6}, "min_resolution"),
        ({"fps": 0.0}, "fps"),
        ({"fps": math.nan}, "fps"),
        ({"steps": 0}, "steps"),
        ({"expand_ratio": math.nan}, "expand_ratio"),
        ({"dynamic_scale": -1.0}, "dynamic_scale"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, message):
    with pytest.raises(JobError, match=message):
        Job(**{"width": 512, "height": 512, "duration_s": 10.0, **settings})


@given(
    width=st.integers(1, 20_000),
    height=st.integers(1, 20_000),
    resolution=st.integers(2, 32).map(lambda n: n * 64),
    seconds=st.floats(0.08, 36_000),
    interpolate=st.booleans(),
)
def test_what_holds_for_every_job(width, height, resolution, seconds, interpolate):
    job = Job(width, height, seconds, min_resolution=resolution, interpolate=interpolate)
    size = job.frame_size
    assert size.width % 64 == size.height % 64 == 0
    assert min(size.width, size.height) == resolution
    assert (size.width >= size.height) == (width >= height) or size.width == size.height
    assert -1e-9 <= seconds - job.latent_frames / 12.5 < 0.08 + 1e-9
    assert job.output_s <= seconds + 1e-6
    assert (job.windows - 1) * job.window < job.latent_frames <= job.windows * job.window


@pytest.mark.parametrize(("dtype", "size"), [(Dtype.FP16, 2), (Dtype.BF16, 2), (Dtype.FP32, 4)])
def test_sizes_of_number_formats(dtype, size):
    assert dtype.size == size
