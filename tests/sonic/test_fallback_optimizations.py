"""A low-VRAM model restarts with its next fallback optimization; the optimizations are chosen by the job.

The wrapper's own `Sonic`, with networks that return at once (`quick_sonic`) but for the last test.
"""

import copy
import gc
import logging
import weakref

import pytest

from sonic_guard.job import MIN_CHUNK_SIZE, Dtype
from sonic_guard.optimizations import EVERY, Optimization

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from sonic_guard.low_vram import weight_streaming  # noqa: E402
from sonic_guard.low_vram.engine import LowVramSonic  # noqa: E402
from tests.support import quick_sonic, small_sonic  # noqa: E402

N = 20
FALLBACKS = (Optimization.STREAMING_DECODE, Optimization.TENSOR_OFFLOAD, Optimization.SEQUENTIAL_CFG)


class Breaking:
    """Sonic's networks, one of which runs out of memory at its call number `after`, `times` times."""

    def __init__(self, quick, at_stage, times, after=0, error=lambda: torch.OutOfMemoryError("CUDA out of memory")):
        sonic, self.vae = quick
        self.device = small_sonic.CPU
        self.sonic = copy.copy(sonic)
        self.rife, self.sonic.rife = sonic.rife, self
        self.at_stage, self.times, self.after, self.error, self.calls = at_stage, times, after, error, 0
        self.hook = sonic.pipe.unet.register_forward_pre_hook(lambda *_: self.at("denoise"))

    def at(self, at_stage):
        if at_stage == self.at_stage and self.times:
            self.calls += 1
            if self.calls > self.after:
                self.times -= 1
                raise self.error()

    def decode(self, latents):
        self.at("decode")
        return self.vae.decode(latents)

    def inference(self, left, right):
        self.at("interpolate")
        return self.rife.inference(left, right)

    def run(self, **settings):
        """Its frames by a low-VRAM model, and the fallback optimizations that were enabled."""
        model, enabled = LowVramSonic(self.sonic, (), **settings), []
        model.on_restart = lambda optimization, _: enabled.append(optimization)
        try:
            return small_sonic.run(model, self, 1, N), enabled
        finally:
            self.hook.remove()


@pytest.fixture(scope="module")
def quick():
    return quick_sonic.quick()


@pytest.fixture(scope="module")
def stock(quick):
    return small_sonic.run(*quick, 1, N)


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize(
    ("at_stage", "after"), [("denoise", 0), ("denoise", 2), ("decode", 0), ("decode", 1), ("interpolate", 7)], ids=str
)
def test_it_begins_again_with_the_next_optimization_and_gives_the_same_frames(
    quick, stock, at_stage, after, times, caplog
):
    before = dict(vars(quick[0])), dict(vars(quick[0].pipe.unet))
    with caplog.at_level(logging.WARNING):
        frames, enabled = Breaking(quick, at_stage, times, after).run(fallbacks=FALLBACKS)
    assert torch.equal(frames, stock)
    assert enabled == list(FALLBACKS[:times])
    assert caplog.text.count("it begins again with") == times
    assert (dict(vars(quick[0])), dict(vars(quick[0].pipe.unet))) == before


@pytest.mark.parametrize("text", ["Can't be indexed using 32-bit iterator", "Invalid buffer size: 71.78 GiB"])
@pytest.mark.parametrize(("at_stage", "after"), [("denoise", 2), ("decode", 0)])
def test_mps_has_errors_of_its_own_for_too_much_at_once(quick, stock, at_stage, after, text):
    broken = Breaking(quick, at_stage, 1, after, error=lambda: RuntimeError(text))
    frames, enabled = broken.run(fallbacks=FALLBACKS)
    assert torch.equal(frames, stock)
    assert enabled == list(FALLBACKS[:1])


def test_with_none_left_the_error_comes_out(quick):
    with pytest.raises(torch.OutOfMemoryError):
        Breaking(quick, "decode", 99).run(fallbacks=FALLBACKS)


def test_without_fallback_optimizations_the_error_is_raised_at_once(quick):
    broken = Breaking(quick, "denoise", 99)
    with pytest.raises(torch.OutOfMemoryError):
        broken.run()
    assert broken.times == 98


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), MemoryError(), KeyboardInterrupt()], ids=repr)
def test_another_error_is_raised_unchanged(quick, error):
    broken = Breaking(quick, "decode", 99, error=lambda: error)
    with pytest.raises(type(error)):
        broken.run(fallbacks=FALLBACKS)
    assert broken.times == 98


def test_optimizations_that_are_enabled_are_not_enabled_again(quick, stock):
    broken, enabled = Breaking(quick, "decode", 1), []
    model = LowVramSonic(
        broken.sonic, {Optimization.STREAMING_DECODE, Optimization.TENSOR_OFFLOAD}, fallbacks=FALLBACKS
    )
    model.on_restart = lambda optimization, _: enabled.append(optimization)
    frames = small_sonic.run(model, broken, 1, N)
    broken.hook.remove()
    assert enabled == [Optimization.SEQUENTIAL_CFG]
    assert torch.equal(frames, stock)


def test_what_the_attempt_held_is_given_back_before_the_next(quick):
    held = []

    class Vae:
        device = small_sonic.CPU

        def decode(self, latents):
            gc.disable()
            if not held:
                held.append(weakref.ref(latents))
                raise torch.OutOfMemoryError("CUDA out of memory")
            assert held[0]() is None
            return quick[1].decode(latents)

    try:
        small_sonic.run(LowVramSonic(quick[0], (), fallbacks=FALLBACKS), Vae(), 1, N)
    finally:
        gc.enable()
    assert held


# Optimizations by job


def test_the_choice_receives_the_job_that_is_about_to_run(quick, stock):
    jobs = []

    def choose(job):
        jobs.append(job)
        return {Optimization.TENSOR_OFFLOAD, Optimization.STREAMING_DECODE}

    stages = []
    model = LowVramSonic(quick[0], choose, fallbacks=FALLBACKS, on_stage=lambda stage, *_: stages.append(stage))
    assert torch.equal(small_sonic.run(model, quick[1], 1, N), stock)
    (job,) = jobs
    size = job.frame_size
    assert (size.width, size.height, job.latent_frames, job.window) == (
        small_sonic.SIDE,
        small_sonic.SIDE,
        N,
        small_sonic.WINDOW,
    )
    assert (job.steps, job.dtype, job.interpolate, job.optimizations) == (1, Dtype.FP32, True, frozenset())
    assert "interpolate" in stages, "the chosen optimizations were not enabled"


def test_the_chunk_size_is_chosen_for_the_job_with_its_optimizations(quick, stock):
    jobs = []

    def chunk_size(job):
        jobs.append(job)
        return 2 * MIN_CHUNK_SIZE

    model = LowVramSonic(quick[0], lambda _: {Optimization.LAYER_CHUNKING}, fallbacks=FALLBACKS, chunk_size=chunk_size)
    assert torch.equal(small_sonic.run(model, quick[1], 1, N), stock)
    assert [(job.optimizations, job.latent_frames) for job in jobs] == [({Optimization.LAYER_CHUNKING}, N)]


def test_where_the_job_is_unknown_every_fallback_optimization_is_enabled(caplog, monkeypatch):
    sonic, vae = quick_sonic.quick(dtype=torch.float64)
    stock, stages, streamed = small_sonic.run(sonic, vae, 1), [], []
    enable = weight_streaming.enable
    monkeypatch.setattr(weight_streaming, "enable", lambda *where: streamed.append(1) or enable(*where))
    model = LowVramSonic(
        sonic,
        lambda job: pytest.fail(f"asked about {job}"),
        fallbacks=FALLBACKS,
        on_stage=lambda stage, *_: stages.append(stage),
    )
    with caplog.at_level(logging.WARNING):
        frames = small_sonic.run(model, vae, 1)
    assert "enables every optimization: what the run needs is unknown" in caplog.text
    assert "interpolate" in stages
    assert not streamed, "an optimization that is not available was enabled"
    assert float((frames - stock).abs().max()) < 1e-9


def test_with_the_real_network_too():
    sonic, vae = small_sonic.build(torch.float64), small_sonic.Vae(torch.float64)
    stock = small_sonic.run(sonic, vae, 1, 9)
    times = iter([1])

    def fail(*_):
        if next(times, None):
            raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")

    hook = sonic.pipe.unet.up_blocks[1].register_forward_pre_hook(fail)
    frames = small_sonic.run(
        LowVramSonic(
            sonic, EVERY - {Optimization.LAYER_CHUNKING}, fallbacks=[Optimization.LAYER_CHUNKING], chunk_size=8192
        ),
        vae,
        1,
        9,
    )
    hook.remove()
    assert next(times, None) is None
    assert float((frames - stock).abs().max()) < 1e-9


def test_memory_is_freed_for_the_job_and_completely_after_an_out_of_memory_error(quick, stock):
    asked = []
    frames, _ = Breaking(quick, "decode", 1).run(
        fallbacks=FALLBACKS, free_memory=asked.append, chunk_size=lambda job: MIN_CHUNK_SIZE
    )
    assert torch.equal(frames, stock)
    job, again = asked
    assert (job.latent_frames, job.frame_size.width, again) == (N, small_sonic.SIDE, None)
