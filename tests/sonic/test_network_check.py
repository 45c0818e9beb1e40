"""Which Sonic wrappers the low-VRAM engine supports, and what it reports about the others."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sonic_guard.errors import WrapperError
from sonic_guard.job import Job
from sonic_guard.optimizations import EVERY, Optimization

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from sonic_guard.low_vram import network_check as recognition  # noqa: E402
from sonic_guard.low_vram.engine import offload_unet  # noqa: E402
from sonic_guard.low_vram.network_check import low_vram_model, supported_optimizations  # noqa: E402

JOB = Job(64, 64, 2.0, min_resolution=64)


def test_the_wrapper_is_known_and_bears_every_optimization(sonic):
    assert supported_optimizations(sonic) == frozenset(Optimization)
    model = low_vram_model(sonic, {Optimization.FEED_FORWARD_CHUNKING})
    again = low_vram_model(model, {Optimization.LAYER_CHUNKING}, chunk_size=7)
    assert again.sonic is model.sonic is sonic
    assert again.optimized_job(JOB) == replace(
        JOB, optimizations=frozenset({Optimization.LAYER_CHUNKING}), chunk_size=7
    )


def test_the_network_check_draws_no_random_numbers(sonic, monkeypatch):
    recognition._equivalent.cache_clear()
    before = torch.random.get_rng_state()
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("the GPU's numbers begin anew"))
    supported_optimizations(sonic)
    assert torch.equal(torch.random.get_rng_state(), before)


class Almost:
    """An object with the wrapper's attributes."""

    def __init__(self, sonic, **others):
        vars(self).update(vars(sonic) | others)

    def process(self, audio_tensor_list, uncond_audio_tensor_list, motion_buckets, test_data, *, image_embeds, vae):
        """Like the wrapper's."""


class Pipe:
    """Not like the wrapper's."""

    unet, vae_scale_factor = torch.nn.Identity(), 8

    def __call__(self, image_embeddings):
        """Take too little."""


def without_config(pipe):
    """A pipeline with a network that lacks its configuration."""
    pipe = copy.copy(pipe)
    pipe.__dict__["unet"] = torch.nn.Identity()
    return pipe


def bare(sonic):
    """The wrapper's attributes, its method among them, on an object of no class."""
    return SimpleNamespace(**vars(sonic), process=sonic.process)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda sonic: object(), "it has no pipe"),
        (lambda sonic: Almost(sonic, pipe=object()), "its pipeline has no unet"),
        (lambda sonic: Almost(sonic, pipe=Pipe()), "its pipeline takes no img_latent, latents, num"),
        (lambda sonic: Almost(sonic, rife=object()), r"its RIFE has no inference\(\)"),
        (lambda sonic: Almost(sonic, rife=None), r"its RIFE has no inference\(\)"),
        (lambda sonic: Almost(sonic, device="directml"), "directml"),
        (lambda sonic: Almost(sonic, pipe=without_config(sonic.pipe)), "config"),
        (lambda sonic: bare(sonic), "no attribute 'process'"),
        (lambda sonic: type("Other", (Almost,), {"process": lambda model, vae: None})(sonic), "takes no self, audio"),
    ],
)
def test_unknown_objects_are_refused_with_a_reason(sonic, make, reason):
    with pytest.raises(WrapperError, match=f"low VRAM: the model on `model` is not .*{reason}"):
        low_vram_model(make(sonic), EVERY)


@pytest.fixture
def changed_class(sonic, monkeypatch):
    """Change a method of the wrapper's classes for a test."""

    def change(kind, how):
        own = kind.forward
        monkeypatch.setattr(kind, "forward", lambda *args, **kwargs: how(own(*args, **kwargs)))
        recognition._equivalent.cache_clear()

    yield change
    monkeypatch.undo()
    recognition._equivalent.cache_clear()


def module_class(sonic, name):
    return next(type(module) for module in sonic.pipe.unet.modules() if type(module).__name__ == name)


@pytest.mark.parametrize(
    ("name", "how", "unsupported"),
    [
        ("TransformerSpatioTemporalModel", lambda out: (out[0] * 1.01,), {Optimization.LAYER_CHUNKING}),
        (
            "UNetSpatioTemporalConditionModel",
            lambda out: (out[0] + out[0].mean(0),),
            {Optimization.SEQUENTIAL_CFG, Optimization.TENSOR_OFFLOAD},
        ),
        ("FeedForward", lambda out: out + out.mean(-2, keepdim=True), {Optimization.FEED_FORWARD_CHUNKING}),
    ],
)
def test_a_changed_network_is_distinguished_from_the_known_one(sonic, changed_class, name, how, unsupported):
    """An updated pack may compute something else under the same names."""
    changed_class(module_class(sonic, name), how)
    assert supported_optimizations(sonic) == frozenset(Optimization) - unsupported
    with pytest.raises(WrapperError, match=f"does not support {', '.join(sorted(unsupported))}"):
        low_vram_model(sonic, EVERY)
    assert low_vram_model(sonic, EVERY - unsupported)


def test_the_network_is_offloaded_in_host_memory(sonic):
    low_vram_model(sonic, {Optimization.UNET_OFFLOAD})
    offload_unet(sonic)
    assert {parameter.device.type for parameter in sonic.pipe.unet.parameters()} == {"cpu"}
