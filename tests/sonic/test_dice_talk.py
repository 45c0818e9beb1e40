"""DICE Talk through the low-VRAM engine: its own `process`, whole, with real classes and small networks."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from sonic_guard.comfy.sonic_objects import job_of
from sonic_guard.errors import WrapperError
from sonic_guard.job import Job
from sonic_guard.memory import constants as constants_file
from sonic_guard.memory.stage_model import predict
from sonic_guard.optimizations import ESCALATION_ORDER, EVERY, Optimization, without_redundant
from sonic_guard.relatives import ADAPTERS, Relative, relative_of
from sonic_guard.runtime.sampler_hooks import calls_per_step

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from sonic_guard.low_vram.engine import LowVramSonic  # noqa: E402
from sonic_guard.low_vram.network_check import low_vram_model, supported_optimizations  # noqa: E402
from tests.support import small_dice, small_sonic  # noqa: E402

SMALL = 8192
"""Chunk size in activations, small enough for several chunks at the sizes of a test."""


@pytest.fixture(scope="module")
def dice():
    return small_dice.build(torch.float64)


@pytest.fixture(scope="module")
def vae():
    return small_sonic.Vae(torch.float64)


@pytest.fixture(scope="module")
def true_frames(dice, vae):
    return small_dice.run(dice, vae)


def optimized(model, optimizations, **settings):
    return LowVramSonic(model, optimizations, **{"chunk_size": SMALL, **settings})


@pytest.mark.parametrize(
    "optimizations",
    [set(), *({each} for each in Optimization), EVERY, EVERY - {Optimization.TENSOR_OFFLOAD}],
    ids=lambda optimizations: "+".join(sorted(optimizations)) or "none",
)
def test_the_frames_are_dice_talk_s_own(dice, vae, true_frames, optimizations):
    frames = small_dice.run(optimized(dice, optimizations), vae)
    assert frames.shape == true_frames.shape == (1, 3, 2 * small_dice.MADE - 1, small_sonic.SIDE, small_sonic.SIDE)
    assert frames.dtype == torch.float32
    assert 0 <= frames.min() < frames.max() <= 1
    assert float((frames.double() - true_frames.double()).abs().max()) < 1e-9


def test_it_is_known_and_bears_every_optimization(dice):
    assert relative_of(dice) is relative_of(optimized(dice, ())) is Relative.DICE_TALK
    assert supported_optimizations(dice) == frozenset(Optimization)
    assert low_vram_model(dice, EVERY).sonic is dice


def test_its_job_is_the_one_it_runs(dice):
    data = {**small_dice.data(torch.float64), "vae": None}
    dice.pipe.unet.to(torch.float32)
    job = job_of(dice, data, fps=12.0, steps=2)
    dice.pipe.unet.to(torch.float64)
    assert (job.relative, job.window, job.latent_frames) == (Relative.DICE_TALK, 25, small_dice.MADE)
    assert (job.windows, job.output_frames) == (small_dice.PASSES, 2 * small_dice.MADE - 1)


def test_its_optimizations_are_chosen_by_its_own_figures():
    """As Sonic Low VRAM does it: memory is freed, and optimizations are chosen, for the job of its own kind."""
    dice, asked = small_dice.build(), []

    def choose(job):
        asked.append(job)
        return {Optimization.STREAMING_DECODE}

    model = optimized(dice, choose, free_memory=lambda job: asked.append(predict(job).job))
    call = model._bind((small_dice.data(torch.float32), 12.0, 1, 1.0), {})
    assert model._begin(call)[0] == {Optimization.STREAMING_DECODE}
    assert {job.relative for job in asked} == {Relative.DICE_TALK}
    assert asked[-1].latent_frames == small_dice.MADE


def test_a_model_without_constants_begins_with_every_optimization(monkeypatch):
    """As a relative that has none yet: a run that cannot be predicted begins with everything there is."""
    adapter = replace(ADAPTERS[Relative.DICE_TALK], constants=None)
    monkeypatch.setattr(constants_file, "ADAPTERS", {**ADAPTERS, Relative.DICE_TALK: adapter})
    constants_file.constants.cache_clear()
    dice = small_dice.build()
    fallbacks = [each for each in ESCALATION_ORDER if each is not Optimization.UNET_OFFLOAD]
    model = optimized(dice, lambda job: predict(job) and (), fallbacks=fallbacks, chunk_size=lambda job: SMALL)
    with pytest.raises(WrapperError, match="DICE Talk needs is not predicted"):
        predict(Job(512, 512, 4.0, relative=Relative.DICE_TALK))
    call = model._bind((small_dice.data(torch.float32), 12.0, 1, 1.0), {})
    assert model._begin(call)[0] == without_redundant(frozenset(fallbacks))
    constants_file.constants.cache_clear()


def test_its_windows_are_counted():
    data = {"audio_tensor_list": [None] * 26, "config": SimpleNamespace(overlap=0)}
    assert calls_per_step(data, 12.0, Relative.DICE_TALK) == 3


def test_it_reports_how_far_it_is(dice, vae):
    reported = []
    small_dice.run(optimized(dice, EVERY, on_stage=lambda *what: reported.append(what)), vae)
    passes = small_dice.PASSES
    denoise = [what for what in reported if what[0] == "denoise"]
    assert denoise[0] == ("denoise", 0, passes)
    assert denoise[-1] == ("denoise", passes, passes)
    assert reported[-1] == ("interpolate", small_dice.MADE, small_dice.MADE)


def test_it_works_again_with_the_same_data_and_so_does_its_own_object(dice, vae, true_frames):
    data, attributes = small_dice.data(torch.float64), dict(vars(dice))
    names, model = set(data), optimized(dice, EVERY)
    assert torch.equal(small_dice.run(model, vae, given=data), small_dice.run(model, vae, given=data))
    assert set(data) == names
    assert vars(dice) == attributes
    assert torch.equal(small_dice.run(dice, vae, given=data), true_frames)


def test_a_run_that_is_out_of_memory_goes_on(dice, vae):
    """It resumes after the last step that was completed, with the next optimization."""
    restarts, calls = [], []

    def fail(*_):
        calls.append(None)
        if len(calls) == small_dice.PASSES + 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    model = optimized(dice, (), fallbacks=(Optimization.TENSOR_OFFLOAD,))
    model.on_restart = lambda *restart: restarts.append(restart)
    hook = dice.pipe.unet.register_forward_pre_hook(fail)
    frames = small_dice.run(model, vae, 2)
    hook.remove()
    assert restarts == [(Optimization.TENSOR_OFFLOAD, True)]
    assert len(calls) == 2 * small_dice.PASSES + 1
    assert float((frames - small_dice.run(dice, vae, 2)).abs().max()) < 1e-9
