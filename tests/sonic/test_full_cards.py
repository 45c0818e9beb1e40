"""Measurements of a run against the model: on the fake GPU, where every byte is counted."""

from types import MethodType

import pytest

from sonic_guard.history.run_record import Outcome
from sonic_guard.job import Dtype, Job
from sonic_guard.runtime.run_watch import RunWatch
from tests.support import installed

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from sonic_guard.devtools import network_parts  # noqa: E402
from sonic_guard.devtools.allocation_tracker import DEVICE, fake_gpu  # noqa: E402
from tests.support.fake_gpu_runs import MeterPeaks, Vae, fake_sonic, run_on_fake_gpu  # noqa: E402
from tests.support.small_vae import predata, small_unet, small_vae  # noqa: E402


@pytest.fixture(scope="module")
def checkout():
    from sonic_guard.devtools.sonic_checkout import open_checkout

    return open_checkout(installed.sonic())


class Limit(TorchDispatchMode):
    """A fake GPU of `bytes`: beyond them it fails as CUDA does."""

    def __init__(self, tracker):
        super().__init__()
        self.tracker, self.bytes = tracker, None

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if self.bytes is not None and self.tracker.live_bytes > self.bytes:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return out


LITTLE = Job(64, 64, 0.5, min_resolution=64, fps=6.0, dtype=Dtype.FP32, steps=1, vae_dtype=Dtype.FP32)


class FullCards:
    """Runs of one small network on a fake GPU that has one byte less than each stage takes."""

    def __init__(self, checkout, tracker, limit):
        unet = network_parts.build_unet(checkout, torch.float32, DEVICE, small_unet(checkout))
        self.sonic = fake_sonic(checkout, unet, checkout.rife.RIFEModel(device=DEVICE))
        self.vae = Vae(small_vae(checkout), torch.float32, DEVICE, group=4)
        self.data = predata(LITTLE, DEVICE) | {"vae": self.vae}
        self.checkout, self.tracker, self.limit = checkout, tracker, limit

    def run(self, on_change=None):
        watch = RunWatch(MeterPeaks(self.tracker), on_change=on_change)
        network_parts.forget_grids(self.checkout)
        self.vae.first_stage_model.to("cpu")
        try:
            run_on_fake_gpu(self.sonic, LITTLE, self.data, watch)
        except torch.OutOfMemoryError:
            self.limit.bytes = None
        return watch

    def run_with_full(self, stage, stage_limit):
        def changed(watch):
            self.limit.bytes = stage_limit if watch.stage == stage else None

        return self.run(changed)

    def run_with_tampered_decode(self, tampered):
        self.vae.decode = MethodType(tampered, self.vae)
        try:
            return self.run()
        finally:
            del self.vae.decode


def test_a_full_card_ends_the_run_in_the_stage_that_filled_it(checkout):
    with fake_gpu(checkout.path) as tracker, torch.no_grad(), Limit(tracker) as limit:
        cards = FullCards(checkout, tracker, limit)
        roomy = cards.run()
        assert roomy.outcome is Outcome.DONE
        needed = {stage: figures.allocated_bytes for stage, figures in roomy.figures().items()}
        for stage in needed:
            watch = cards.run_with_full(stage, needed[stage] - 1)
            assert (watch.outcome, watch.stage) == (Outcome.OUT_OF_MEMORY, stage)
            figures = {stage: figures.allocated_bytes for stage, figures in watch.figures().items()}
            assert figures.pop(stage) >= needed[stage]
            assert figures == {before: needed[before] for before in figures}
            assert list(figures) == STAGES_OF_SAMPLER[: STAGES_OF_SAMPLER.index(stage)]


STAGES_OF_SAMPLER = ["denoise", "decode", "interpolate"]


def test_a_card_that_fills_up_between_two_networks_counts_for_the_next_stage(checkout):
    with fake_gpu(checkout.path) as tracker, torch.no_grad(), Limit(tracker) as limit:
        cards = FullCards(checkout, tracker, limit)

        def without_memory_for_the_vae(vae, latents):
            limit.bytes = tracker.live_bytes
            return Vae.decode(vae, latents)

        def without_memory_for_the_clip(vae, latents):
            pixels = Vae.decode(vae, latents)
            limit.bytes = tracker.live_bytes
            return pixels

        for tampered, stage in ((without_memory_for_the_vae, "decode"), (without_memory_for_the_clip, "interpolate")):
            watch = cards.run_with_tampered_decode(tampered)
            assert (watch.outcome, watch.stage) == (Outcome.OUT_OF_MEMORY, stage)
            assert list(watch.figures()) == STAGES_OF_SAMPLER[: STAGES_OF_SAMPLER.index(stage) + 1]
