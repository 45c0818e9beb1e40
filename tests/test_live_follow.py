"""Following the wrapper's own sampler on the CPU, with small networks and real numbers."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from sonic_guard.errors import JobError, WrapperError
from sonic_guard.history.run_record import Outcome
from sonic_guard.job import Dtype, Job
from sonic_guard.memory.stage_model import STAGES
from sonic_guard.optimizations import Optimization
from sonic_guard.runtime import sampler_hooks as follow_module
from sonic_guard.runtime.run_watch import RunWatch
from sonic_guard.runtime.sampler_hooks import calls_per_step, follow
from tests import real

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from sonic_guard.comfy.sonic_objects import job_of  # noqa: E402
from sonic_guard.devtools import network_parts  # noqa: E402
from tests.fake_runs import Vae  # noqa: E402

STEPS, WIDTH = 2, 32
JOB = Job(64, 64, 0.5, min_resolution=64, fps=4.0, dtype=Dtype.FP32, steps=STEPS, vae_dtype=Dtype.FP32)
"""Six latent frames in two windows."""
WINDOWS, DECODES, PAIRS = 2, 2, 5
CALLS = STEPS * WINDOWS + DECODES + PAIRS


@pytest.fixture(scope="module")
def checkout():
    from sonic_guard.devtools.sonic_checkout import open_checkout

    return open_checkout(real.sonic())


class DiffusersVae(torch.nn.Module):
    """Diffusers' VAE for SVD with the calls of ComfyUI's network; unlike that one it is always at hand."""

    def __init__(self, checkout, **changes):
        from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder

        super().__init__()
        config = network_parts.read_config(checkout, "vae/config.json") | changes
        self.network = AutoencoderKLTemporalDecoder.from_config(config).eval()

    @property
    def decoder(self):
        return self.network.decoder

    def encode(self, pixels):
        return self.network.encode(pixels).latent_dist.mean

    def decode(self, latents):
        return self.network.decode(latents, num_frames=latents.shape[0]).sample


def small_unet(checkout):
    """SVD's configuration with few channels: the same layers and inputs."""
    few = {"block_out_channels": [32, 32, 64, 64], "num_attention_heads": [2] * 4, "layers_per_block": 1}
    few |= {"cross_attention_dim": WIDTH}
    return checkout.unet_config | few


def small_vae(checkout):
    return DiffusersVae(checkout, block_out_channels=[32, 32, 64, 64], layers_per_block=1)


def predata(job, device):
    """What SONIC_PreData hands over, with random numbers in it."""
    frames, size = range(job.latent_frames), job.frame_size
    return {
        "test_data": network_parts.build_test_data(job, device),
        "audio_tensor_list": [torch.randn(32, WIDTH, device=device) for _ in frames],
        "uncond_audio_tensor_list": [torch.randn(32, WIDTH, device=device) for _ in frames],
        "motion_buckets": [torch.full((2, 1), 16.0, device=device) for _ in frames],
        "image_embeddings": torch.randn(1, WIDTH, device=device),
        "img_latent": torch.randn(1, 4, size.height // 8, size.width // 8, device=device),
    }


@pytest.fixture(scope="module")
def small(checkout):
    """The wrapper's objects with few channels and random weights: what the loader and SONIC_PreData hand over."""
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    cpu = torch.device("cpu")
    torch.manual_seed(0)
    unet = network_parts.build_unet(checkout, torch.float32, cpu, small_unet(checkout))
    scheduler = EulerDiscreteScheduler.from_config(
        network_parts.read_config(checkout, "scheduler/scheduler_config.json")
    )
    pipe = network_parts.build_pipeline(checkout, unet, scheduler)
    sonic = network_parts.build_sonic(checkout, pipe, checkout.rife.RIFEModel(device=cpu), cpu, interpolate=True)
    vae = Vae(small_vae(checkout), torch.float32, cpu, group=4)
    return sonic, predata(JOB, cpu) | {"vae": vae}


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(follow_module, "_said", set())


def sample(small):
    sonic, data = small
    return network_parts.run_sampler(sonic, JOB, data, data["vae"], STEPS)


def followed(small, watch, **kwargs):
    sonic, data = small
    with follow(sonic, data, watch, fps=JOB.fps, steps=STEPS, **kwargs):
        return sample(small)


def networks(small):
    sonic, data = small
    return sonic.pipe.unet, data["vae"].first_stage_model.decoder, sonic.rife.flownet


def hooks_on(small):
    roots = (small[0].pipe.unet, small[1]["vae"].first_stage_model, small[0].rife.flownet)
    modules = [module for root in roots for module in root.modules()]
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)


class Seen(list):
    """Every change a watch tells, as (stage, step, outcome)."""

    def __call__(self, watch):
        self.append((watch.stage, watch.step, watch.outcome))


def test_stages_and_steps_come_in_their_order(small):
    seen, bar = Seen(), []
    watch = RunWatch(on_change=seen)
    followed(small, watch, progress=lambda *step: bar.append(step))
    running = Outcome.RUNNING
    assert seen == [
        *(("denoise", step, running) for step in range(STEPS + 1)),
        ("decode", STEPS, running),
        ("interpolate", STEPS, running),
        ("interpolate", STEPS, Outcome.DONE),
    ]
    assert bar == [(step + 1, STEPS) for step in range(STEPS)]
    figures = watch.figures()
    assert list(figures) == ["denoise", "decode", "interpolate"]
    assert sum(stage.seconds for stage in figures.values()) == pytest.approx(watch.elapsed_s, abs=0.05)
    assert all(stage.allocated_bytes is None for stage in figures.values())


def test_the_frames_are_the_same_to_the_last_bit(small):
    assert torch.equal(followed(small, RunWatch(), check=lambda: None), sample(small))


def test_no_hook_stays(small):
    before = hooks_on(small)
    sonic, data = small
    with follow(sonic, data, RunWatch(), fps=JOB.fps, steps=STEPS):
        assert hooks_on(small) == before + 6
    assert hooks_on(small) == before


class Cancelled(BaseException):
    """As ComfyUI's InterruptProcessingException is."""


@pytest.mark.parametrize(
    ("call", "stage"),
    [
        (1, "denoise"),
        (STEPS * WINDOWS, "denoise"),
        (STEPS * WINDOWS + 1, "decode"),
        (STEPS * WINDOWS + DECODES, "decode"),
        (STEPS * WINDOWS + DECODES + 1, "interpolate"),
        (CALLS, "interpolate"),
    ],
)
def test_a_run_stops_before_the_next_network_call(small, call, stage):
    calls = []

    def check():
        calls.append(1)
        if len(calls) == call:
            raise Cancelled

    before, watch = hooks_on(small), RunWatch(interrupted=(Cancelled,))
    with pytest.raises(Cancelled):
        followed(small, watch, check=check)
    assert len(calls) == call
    assert (watch.outcome, watch.stage) == (Outcome.INTERRUPTED, stage)
    assert watch.step == min(max(call - 1, 0) // WINDOWS, STEPS)
    assert hooks_on(small) == before


def test_every_network_call_is_checked(small):
    calls = []
    followed(small, RunWatch(), check=lambda: calls.append(1))
    assert len(calls) == CALLS


def test_a_progress_bar_may_cancel_and_may_not_break_the_run(small, caplog):
    def cancel(*_):
        raise Cancelled

    def fail(*_):
        raise ValueError("no page to draw on")

    watch = RunWatch(interrupted=(Cancelled,))
    with pytest.raises(Cancelled):
        followed(small, watch, progress=cancel)
    assert (watch.outcome, watch.step) == (Outcome.INTERRUPTED, 1)
    watch = RunWatch()
    followed(small, watch, progress=fail)
    assert (watch.outcome, watch.step) == (Outcome.DONE, STEPS)
    assert caplog.text.count("no page to draw on") == 1


class Full:
    """A network that runs out of memory at one of its calls."""

    def __init__(self, module, call, error):
        self.left, self.error = call, error
        self.handle = module.register_forward_pre_hook(self)

    def __call__(self, *_):
        self.left -= 1
        if self.left == 0:
            raise self.error[0](self.error[1])


FULL_CARD = (torch.OutOfMemoryError, "Allocation on device ")
OOM, ERROR, INTERRUPTED = Outcome.OUT_OF_MEMORY, Outcome.ERROR, Outcome.INTERRUPTED


@pytest.mark.parametrize(
    ("network", "call", "step", "error", "outcome"),
    [
        (0, 1, 0, FULL_CARD, OOM),
        (0, 4, 1, FULL_CARD, OOM),
        (1, 1, 2, FULL_CARD, OOM),
        (1, 2, 2, FULL_CARD, OOM),
        (2, 1, 2, FULL_CARD, OOM),
        (2, 5, 2, FULL_CARD, OOM),
        (1, 1, 2, (RuntimeError, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), OOM),
        (0, 2, 0, (RuntimeError, "CUDA error: invalid configuration argument"), ERROR),
        (2, 3, 2, (KeyboardInterrupt, ""), INTERRUPTED),
    ],
)
def test_a_failure_in_a_network_is_that_stage_s(small, network, call, step, error, outcome):
    stage = STAGES[2 + network]
    inner = next(networks(small)[network].children())
    full, before, watch = Full(inner, call, error), hooks_on(small), RunWatch()
    try:
        with pytest.raises(error[0]):
            followed(small, watch)
    finally:
        full.handle.remove()
    assert (watch.outcome, watch.stage, watch.step) == (outcome, stage, step)
    assert list(watch.figures())[-1] == stage
    assert hooks_on(small) == before - 1


def test_without_interpolation_the_run_ends_with_decode(small):
    sonic, data = small
    sonic.use_interframe = False
    rife = sonic.rife
    del sonic.rife  # the wrapper makes none then
    try:
        watch = RunWatch()
        followed(small, watch)
    finally:
        sonic.use_interframe, sonic.rife = True, rife
    assert (watch.outcome, watch.stage) == (Outcome.DONE, "decode")
    assert list(watch.figures()) == ["denoise", "decode"]


def test_an_unknown_wrapper_runs_as_ever_and_is_reported_once(caplog):
    for _ in range(2):
        watch = RunWatch()
        with follow(SimpleNamespace(use_interframe=True), {}, watch, fps=25.0, steps=4):
            pass
        assert (watch.outcome, watch.stage, watch.step) == (Outcome.DONE, "denoise", 0)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(set(said)) == 4  # its windows, and three networks
    with follow(None, None, watch, fps=25.0, steps=4):
        pass


# The job


def test_the_job_is_read_from_the_live_objects(small):
    sonic, data = small
    assert job_of(sonic, data, fps=JOB.fps, steps=STEPS) == Job(
        64, 64, 6.25 / 12.5, min_resolution=64, fps=4.0, dtype=Dtype.FP32, steps=STEPS, vae_dtype=Dtype.FP32
    )


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
    optimized_job = partial(replace, optimizations=frozenset(optimizations))  # what a lean model makes of it
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
