"""Denoising steps that are not made twice: the frames to the bit, and the number of network calls."""

from collections import Counter
from types import SimpleNamespace

import pytest

from sonic_guard.optimizations import EVERY, Optimization

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from sonic_guard.low_vram.completed_steps import SamplingLoop, StepsInMemory  # noqa: E402
from sonic_guard.low_vram.engine import LowVramSonic  # noqa: E402
from tests.support import small_sonic  # noqa: E402

STEPS, SMALL = 3, 8192
PASSES = STEPS * small_sonic.PASSES


class FailError(RuntimeError):
    """The error of a GPU that is out of memory."""

    def __init__(self):
        super().__init__("CUDA out of memory. Tried to allocate 2.00 GiB")


class Counted:
    """Sonic's networks, counted; one runs out of memory at its call number `at`."""

    def __init__(self, sonic, vae, call_name, at):
        self.vae, self.device, self.calls, self.fail = vae, vae.device, Counter(), (call_name, at)
        networks = {"network": sonic.pipe.unet, "RIFE": sonic.rife.flownet}
        self.hooks = [
            network.register_forward_pre_hook(lambda *_, name=name: self.enter(name))
            for name, network in networks.items()
        ]

    def enter(self, call_name):
        self.calls[call_name] += 1
        if (call_name, self.calls[call_name]) == self.fail:
            raise FailError

    def decode(self, latents):
        self.enter("VAE")
        return self.vae.decode(latents)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()


@pytest.fixture(scope="module")
def stock(sonic, vae):
    """The wrapper's frames by their latent frames."""
    return {frames: small_sonic.run(sonic, vae, STEPS, frames) for frames in (6, small_sonic.FRAMES)}


@pytest.mark.parametrize(
    "optimizations",
    [(), {Optimization.TENSOR_OFFLOAD}, {Optimization.TENSOR_OFFLOAD, Optimization.STREAMING_DECODE}],
    ids=lambda optimizations: "+".join(sorted(optimizations)),
)
@pytest.mark.parametrize(
    ("call_name", "at", "again"),
    [
        ("network", 1, 1),
        ("network", 3, 3),
        ("network", 4, 1),
        ("network", PASSES, 3),
        ("VAE", 1, 0),
        ("VAE", 2, 0),
        ("RIFE", 9, 0),
    ],
)
def test_a_restarted_run_resumes_after_its_last_completed_step(sonic, vae, stock, optimizations, call_name, at, again):
    """`again` calls of the network are made twice: those of the step under way."""
    with Counted(sonic, vae, call_name, at) as counted:
        # An optimization without effect here, so that even the rounding is the same.
        frames = small_sonic.run(
            LowVramSonic(sonic, optimizations, fallbacks=[Optimization.UNET_OFFLOAD]), counted, STEPS
        )
    assert torch.equal(frames, stock[small_sonic.FRAMES])
    assert counted.calls["network"] == PASSES + again


def test_a_clip_that_its_windows_go_over_several_times_too(sonic, vae, stock):
    """Six frames in windows that shift and wrap: sums of equal numbers are not always the number back."""
    with Counted(sonic, vae, "network", STEPS) as counted:
        frames = small_sonic.run(LowVramSonic(sonic, (), fallbacks=[Optimization.UNET_OFFLOAD]), counted, STEPS, 6)
    assert torch.equal(frames, stock[6])
    assert counted.calls["network"] == STEPS + 1


def test_in_half_precision_and_with_every_optimization_too():
    half, vae = small_sonic.build(torch.bfloat16), small_sonic.Vae()
    model = LowVramSonic(
        half, EVERY - {Optimization.STREAM_WEIGHTS}, fallbacks=[Optimization.STREAM_WEIGHTS], chunk_size=SMALL
    )
    undisturbed = small_sonic.run(LowVramSonic(half, EVERY, chunk_size=SMALL), vae, STEPS)
    with Counted(half, vae, "VAE", 1) as counted:
        assert torch.equal(small_sonic.run(model, counted, STEPS), undisturbed)
    assert counted.calls["network"] == PASSES


def test_it_reports_how_many_steps_are_completed(sonic, vae):
    skipped, stages = [], []
    model = LowVramSonic(sonic, (), fallbacks=[Optimization.UNET_OFFLOAD], on_stage=lambda *what: stages.append(what))
    model.on_skipped = skipped.append
    with Counted(sonic, vae, "network", 5) as counted:
        small_sonic.run(model, counted, STEPS)
    assert skipped == [1]
    assert stages == [("denoise", done, PASSES) for done in (0, 1, 2, 3, 4, *range(3, PASSES + 1))]


def test_the_next_run_begins_at_the_beginning(sonic, vae, stock):
    model = LowVramSonic(sonic, (), fallbacks=[Optimization.UNET_OFFLOAD])
    with Counted(sonic, vae, "nowhere", 0) as counted:
        for _ in range(2):
            assert torch.equal(small_sonic.run(model, counted, STEPS), stock[small_sonic.FRAMES])
    assert counted.calls["network"] == 2 * PASSES


# Wrappers that go over the clip in another way


class Scheduler:
    """Records its calls."""

    def scale_model_input(self, sample, timestep):
        return sample

    def step(self, noise, timestep, sample):
        return SimpleNamespace(prev_sample=sample + noise)


def loop(steps, windows, reported=2, times=(3.0, 2.0, 1.0), scale=True):
    """Latents after a sampling loop over `windows` numbers in a step, of which `reported` were reported."""
    way = SamplingLoop(Scheduler(), steps, reported)
    latents, asked = torch.zeros(windows), 0
    for time in times:
        for window in range(windows):
            if scale:
                way.scheduler.scale_model_input(latents[window], torch.tensor(time))
            noise = 0.0
            if not way.is_skipping:
                noise, asked = time + window, asked + 1
            latents[window] = way.scheduler.step(noise, torch.tensor(time), latents[window]).prev_sample
    way.end()
    return latents, asked


def test_a_sampling_loop_skips_completed_steps():
    steps = StepsInMemory()
    whole, asked = loop(steps, 2)
    assert (asked, steps.done) == (6, 3)
    again, asked = loop(steps, 2)
    assert asked == 0
    assert torch.equal(again, whole)


@pytest.mark.parametrize("windows", [1, 3])
def test_a_step_of_another_number_of_windows_is_not_kept(windows):
    steps = StepsInMemory()
    whole, asked = loop(steps, windows)
    assert (asked, steps.done) == (3 * windows, 0)
    assert torch.equal(whole, loop(StepsInMemory(), windows, reported=windows)[0])


def test_steps_of_another_number_of_windows_are_not_used():
    steps = StepsInMemory()
    loop(steps, 2)
    whole, asked = loop(steps, 3, reported=3)
    assert asked == 9
    assert torch.equal(whole, loop(StepsInMemory(), 3, reported=3)[0])


def test_a_wrapper_that_does_not_scale_keeps_nothing():
    steps = StepsInMemory()
    whole, asked = loop(steps, 2, scale=False)
    assert (asked, steps.done) == (6, 0)
    assert torch.equal(whole, loop(StepsInMemory(), 2)[0])


def test_the_pipeline_s_own_scheduler_is_as_it_was(sonic, vae):
    scheduler = sonic.pipe.scheduler
    before = set(vars(scheduler))
    with Counted(sonic, vae, "VAE", 1) as counted:
        small_sonic.run(LowVramSonic(sonic, (), fallbacks=[Optimization.UNET_OFFLOAD]), counted, STEPS)
    assert sonic.pipe.scheduler is scheduler
    assert set(vars(scheduler)) == before
