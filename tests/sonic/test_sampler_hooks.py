"""Following the wrapper's own sampler on the CPU, with small networks and real numbers."""

import pytest

from sonic_guard.history.run_record import Outcome
from sonic_guard.job import Dtype, Job
from sonic_guard.memory.stage_model import STAGES
from sonic_guard.runtime import sampler_hooks as follow_module
from sonic_guard.runtime.run_watch import RunWatch
from sonic_guard.runtime.sampler_hooks import follow
from tests.support import installed

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from sonic_guard.comfy.sonic_objects import job_of  # noqa: E402
from sonic_guard.devtools import network_parts  # noqa: E402
from tests.support.fake_gpu_runs import Vae  # noqa: E402
from tests.support.small_vae import predata, small_unet, small_vae  # noqa: E402

STEPS = 2
JOB = Job(64, 64, 0.5, min_resolution=64, fps=4.0, dtype=Dtype.FP32, steps=STEPS, vae_dtype=Dtype.FP32)
"""Six latent frames in two windows."""
WINDOWS, DECODES, PAIRS = 2, 2, 5
CALLS = STEPS * WINDOWS + DECODES + PAIRS


@pytest.fixture(scope="module")
def checkout():
    from sonic_guard.devtools.sonic_checkout import open_checkout

    return open_checkout(installed.sonic())


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
    sonic = network_parts.build_model(checkout, pipe, checkout.rife.RIFEModel(device=cpu), cpu, interpolate=True)
    vae = Vae(small_vae(checkout), torch.float32, cpu, group=4)
    return sonic, predata(JOB, cpu) | {"vae": vae}


@pytest.fixture(autouse=True)
def nothing_logged(monkeypatch):
    monkeypatch.setattr(follow_module, "_warned", set())


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
    """Every change a watch reports, as (stage, step, outcome)."""

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


def test_a_progress_bar_may_cancel_but_its_errors_do_not_stop_the_run(small, caplog):
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


# The job


def test_the_job_is_read_from_the_live_objects(small):
    sonic, data = small
    assert job_of(sonic, data, fps=JOB.fps, steps=STEPS) == Job(
        64, 64, 6.25 / 12.5, min_resolution=64, fps=4.0, dtype=Dtype.FP32, steps=STEPS, vae_dtype=Dtype.FP32
    )
