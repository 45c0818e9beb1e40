"""What is read off the wrapper's objects, and objects that are not the wrapper's."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from sonic_guard.errors import JobError, WrapperError
from sonic_guard.history.run_record import Outcome
from sonic_guard.optimizations import Optimization
from sonic_guard.runtime import sampler_hooks as follow_module
from sonic_guard.runtime.run_watch import RunWatch
from sonic_guard.runtime.sampler_hooks import calls_per_step, follow

torch = pytest.importorskip("torch")
from sonic_guard.comfy.sonic_objects import job_of  # noqa: E402


@pytest.fixture(autouse=True)
def nothing_logged(monkeypatch):
    monkeypatch.setattr(follow_module, "_warned", set())


def test_an_unknown_wrapper_runs_unchanged_and_is_reported_once(caplog):
    for _ in range(2):
        watch = RunWatch()
        with follow(SimpleNamespace(use_interframe=True), {}, watch, fps=25.0, steps=4):
            pass
        assert (watch.outcome, watch.stage, watch.step) == (Outcome.DONE, "denoise", 0)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == len(set(messages)) == 4  # its windows, and three networks
    with follow(None, None, watch, fps=25.0, steps=4):
        pass


def objects(width=512, height=512, frames=125, dtype="float16", vae="bfloat16", interpolate=True, **others):
    picture = torch.empty(1, 3, height, width, device="meta")
    unet = SimpleNamespace(dtype=getattr(torch, dtype))
    model = SimpleNamespace(pipe=SimpleNamespace(unet=unet), use_interframe=interpolate, **others)
    vae = SimpleNamespace(vae_dtype=getattr(torch, vae))
    return model, {"test_data": {"ref_img": picture}, "audio_tensor_list": [None] * frames, "vae": vae}


@pytest.mark.parametrize("frames", [1, 6, 125, 749, 7500])
@pytest.mark.parametrize(("width", "height"), [(512, 512), (448, 704), (1024, 576), (64, 2048)])
def test_any_frame_size_and_length_comes_back(width, height, frames):
    job = job_of(*objects(width, height, frames), fps=25.0, steps=30, dynamic_scale=1.2)
    assert (job.frame_size.width, job.frame_size.height, job.latent_frames) == (width, height, frames)
    assert (job.steps, job.window, job.dynamic_scale) == (30, 25, 1.2)


@pytest.mark.parametrize(("name", "dtype"), [("float16", "fp16"), ("bfloat16", "bf16"), ("float32", "fp32")])
def test_number_formats_and_optimizations(name, dtype):
    optimizations = {Optimization.SEQUENTIAL_CFG, Optimization.FEED_FORWARD_CHUNKING}
    optimized_job = partial(replace, optimizations=frozenset(optimizations))  # the job of a low-VRAM model
    model, data = objects(dtype=name, vae=name, interpolate=False, optimized_job=optimized_job)
    job = job_of(model, data, fps=25.0, steps=25)
    assert (job.dtype, job.vae_dtype, job.interpolate, job.optimizations) == (
        dtype,
        dtype,
        False,
        frozenset(optimizations),
    )


@pytest.mark.parametrize(
    ("model", "data", "error"),
    [
        (None, {}, WrapperError),
        (*objects(dtype="float64"), WrapperError),
        (*objects(500, 500), WrapperError),
        (objects()[0], {"test_data": {}}, WrapperError),
        (*objects(frames=0), JobError),
    ],
)
def test_objects_of_another_shape_are_refused(model, data, error):
    with pytest.raises(error, match="sonic|duration"):
        job_of(model, data, fps=25.0, steps=25)


@pytest.mark.parametrize(
    ("frames", "fps", "overlap", "calls"), [(125, 25.0, 0, 5), (126, 25.0, 0, 6), (6, 25.0, 0, 1), (100, 25.9, 5, 5)]
)
def test_a_step_has_as_many_calls_as_windows(frames, fps, overlap, calls):
    data = {"audio_tensor_list": [None] * frames, "config": SimpleNamespace(overlap=overlap)}
    assert calls_per_step(data, fps) == calls
