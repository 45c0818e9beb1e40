"""What a lean run holds: in host memory here, counted tensor by tensor; for the GPU see `test_model`'s rehearsals."""

from functools import partial
from pathlib import Path

import pytest

from sonic_guard.job import Dtype, Job, Lever, duration_of
from sonic_guard.low_vram import EXACT
from sonic_guard.memory.stage_model import FRAME_BYTES, clip_host_bytes

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from sonic_guard.low_vram.engine import LeanSonic  # noqa: E402
from sonic_guard.devtools.allocation_tracker import Meter  # noqa: E402
from tests import sonics  # noqa: E402

SHORT, LONG = 30, 44
"""Latent frames; both with a second group of 14, when the finished frames are held beside the VAE's work."""


def held(frames, sink=None):
    """Most bytes of tensors in denoise and in decode."""
    meter, held = Meter(Path("/")), {}

    def watch(stage, done, _):
        if (stage, done) == ("denoise", 0):
            meter.begin()
        if (stage, done) == ("decode", 0):
            held["denoise"] = meter.host_peak_bytes
            meter.begin()

    model = LeanSonic(sonics.build(), EXACT, spare=[Lever.FP8], piece=8192, on_stage=watch)
    if sink:
        model.process = partial(model.stream, sink)
    with torch.no_grad(), meter:
        sonics.run(model, sonics.Vae(), 1, frames)
    return held["denoise"], meter.host_peak_bytes


@pytest.mark.parametrize(("sink", "frames_a_latent"), [(None, 2), (lambda frames: None, 0)], ids=["whole", "streamed"])
def test_host_memory_grows_with_the_clip_as_the_model_tells(sink, frames_a_latent):
    """Streamed to a sink that keeps nothing, only the clip's small tensors are left to grow."""
    grown = [(long - short) / (LONG - SHORT) for short, long in zip(held(SHORT, sink), held(LONG, sink), strict=True)]
    short, long = (clip_host_bytes(job(frames, to_file=sink is not None)) for frames in (SHORT, LONG))
    told = [(long[stage] - short[stage]) / (LONG - SHORT) for stage in (0, 1)]
    pictures = frames_a_latent * FRAME_BYTES * sonics.SIDE**2
    assert grown[0] == pytest.approx(told[0], rel=0.01)
    assert grown[1] == pytest.approx(told[1] + pictures, rel=0.01)


def job(frames, to_file):
    side = sonics.SIDE
    return Job(side, side, duration_of(frames), min_resolution=side, dtype=Dtype.FP32, levers=EXACT, to_file=to_file)
