"""What a low-VRAM run holds in host memory, counted tensor by tensor. For the GPU see the shape traces."""

from functools import partial
from pathlib import Path

import pytest

from sonic_guard.job import Dtype, Job, duration_of
from sonic_guard.memory.stage_model import FRAME_BYTES, clip_host_bytes
from sonic_guard.optimizations import EVERY, Optimization

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from sonic_guard.devtools.allocation_tracker import AllocationTracker  # noqa: E402
from sonic_guard.low_vram.engine import LowVramSonic  # noqa: E402
from tests.support import small_sonic  # noqa: E402

RESIDENT = EVERY - {Optimization.STREAM_WEIGHTS}
"""On this device streamed weights are counted as host memory."""
SHORT, LONG = 30, 44
"""Latent frames; both with a second group of 14, in which finished frames and the VAE's activations are held."""


def held(frames, on_frames=None):
    """Most bytes of tensors in denoise and in decode."""
    tracker, held = AllocationTracker(Path("/")), {}

    def watch(stage, done, _):
        if (stage, done) == ("denoise", 0):
            tracker.begin()
        if (stage, done) == ("decode", 0):
            held["denoise"] = tracker.host_peak_bytes
            tracker.begin()

    model = LowVramSonic(
        small_sonic.build(), RESIDENT, fallbacks=[Optimization.LAYER_CHUNKING], chunk_size=8192, on_stage=watch
    )
    if on_frames:
        model.process = partial(model.stream, on_frames)
    with torch.no_grad(), tracker:
        small_sonic.run(model, small_sonic.Vae(), 1, frames)
    return held["denoise"], tracker.host_peak_bytes


@pytest.mark.parametrize(
    ("on_frames", "frames_a_latent"), [(None, 2), (lambda frames: None, 0)], ids=["whole", "streamed"]
)
def test_host_memory_grows_with_the_clip_as_the_model_reports(on_frames, frames_a_latent):
    """Streamed to a callback that keeps nothing, only the clip's small tensors are left to grow."""
    grown = [
        (long - short) / (LONG - SHORT)
        for short, long in zip(held(SHORT, on_frames), held(LONG, on_frames), strict=True)
    ]
    short, long = (clip_host_bytes(job(frames, to_file=on_frames is not None)) for frames in (SHORT, LONG))
    predicted = [(long[stage] - short[stage]) / (LONG - SHORT) for stage in (0, 1)]
    pictures = frames_a_latent * FRAME_BYTES * small_sonic.SIDE**2
    assert grown[0] == pytest.approx(predicted[0], rel=0.01)
    assert grown[1] == pytest.approx(predicted[1] + pictures, rel=0.01)


def job(frames, to_file):
    side = small_sonic.SIDE
    return Job(
        side, side, duration_of(frames), min_resolution=side, dtype=Dtype.FP32, optimizations=RESIDENT, to_file=to_file
    )
