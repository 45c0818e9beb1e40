"""The low-VRAM engine: the wrapper's own `process`, whole, with real classes, small networks and random weights."""

from functools import partial

import pytest

from sonic_guard.errors import WrapperError
from sonic_guard.optimizations import EVERY, Optimization

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)

from sonic_guard.low_vram.engine import LowVramSonic, to_host  # noqa: E402
from sonic_guard.low_vram.expanded_view import repeat_as_view  # noqa: E402
from sonic_guard.low_vram.network_check import low_vram_model  # noqa: E402
from tests.support import small_sonic  # noqa: E402

SMALL = 8192
"""Chunk size in activations, small enough for several chunks at the sizes of a test."""
N, SHOWN = small_sonic.FRAMES, 2 * small_sonic.FRAMES - 1


@pytest.fixture(scope="module")
def exact():
    """Sonic and its VAE in fp64."""
    return small_sonic.build(torch.float64), small_sonic.Vae(torch.float64)


@pytest.fixture(scope="module")
def true_frames(exact):
    return small_sonic.run(*exact)


@pytest.fixture(scope="module")
def stock(sonic, vae):
    return small_sonic.run(sonic, vae)


def optimized(sonic, optimizations=EVERY, **settings):
    return LowVramSonic(sonic, optimizations, **{"chunk_size": SMALL, **settings})


def error(frames, reference):
    return float((frames.double() - reference.double()).square().mean().sqrt())


def furthest(frames, reference):
    return float((frames.double() - reference.double()).abs().max())


def traces(sonic):
    """What the engine must not leave on other objects."""
    unet = sonic.pipe.unet
    foreign = [name for name, module in unet.named_modules() if "forward" in vars(module)]
    return foreign, [name for name, _ in unet.named_buffers()], {parameter.dtype for parameter in unet.parameters()}


# The frames


@pytest.mark.parametrize(
    "optimizations",
    [
        (),
        {Optimization.FEED_FORWARD_CHUNKING},
        {Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING},
        {Optimization.TENSOR_OFFLOAD},
        {Optimization.STREAMING_DECODE},
        EVERY,
    ],
    ids=lambda optimizations: "+".join(sorted(optimizations)) or "none",
)
def test_the_frames_are_the_wrapper_s(exact, true_frames, optimizations):
    sonic, vae = exact
    vae.calls.clear()
    frames = small_sonic.run(optimized(sonic, optimizations), vae)
    assert frames.shape == true_frames.shape == (1, 3, SHOWN, small_sonic.SIDE, small_sonic.SIDE)
    assert frames.dtype == true_frames.dtype == torch.float32
    assert frames.device.type == "cpu"
    assert 0 <= frames.min() < frames.max() <= 1
    assert furthest(frames, true_frames) < 1e-9
    assert vae.calls == [14, 1], "the VAE is a video decoder: other groups would be other frames"


def test_without_interpolation_too(sonic, vae):
    sonic.use_interframe = False
    stock, frames = (
        small_sonic.run(model, vae, 1)
        for model in (sonic, optimized(sonic, {Optimization.TENSOR_OFFLOAD, Optimization.STREAMING_DECODE}))
    )
    sonic.use_interframe = True
    assert frames.shape == (1, 3, N, small_sonic.SIDE, small_sonic.SIDE)
    assert torch.equal(frames, stock)


def test_in_fp32_they_are_as_exact_as_the_wrapper_s(sonic, vae, stock, true_frames):
    """Against the fp64 frames of the same weights; and as near to the wrapper's as those with the batch split."""
    split, frames = (
        small_sonic.run(optimized(sonic, optimizations), vae)
        for optimizations in ({Optimization.SEQUENTIAL_CFG}, EVERY)
    )
    assert error(frames, true_frames) < 1.2 * error(stock, true_frames)
    assert 0 < error(frames, stock) < 1.5 * error(split, stock)


def test_in_half_precision_they_are_as_near_to_the_wrapper_s_as_its_own_in_another_memory_layout(vae):
    """On a CPU a split batch rounds alike in half precision; kernels for another layout do not."""
    half, other = small_sonic.build(torch.bfloat16), small_sonic.build(torch.bfloat16)
    for layer in other.pipe.unet.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.to(memory_format=torch.channels_last)
    stock, same, low_vram_frames, relaid = (
        small_sonic.run(model, vae)
        for model in (
            half,
            optimized(half, {Optimization.TENSOR_OFFLOAD, Optimization.STREAMING_DECODE}),
            optimized(half),
            other,
        )
    )
    assert torch.equal(same, stock)
    assert 0 < error(low_vram_frames, stock) < error(relaid, stock)


def test_it_works_again_and_so_does_the_wrapper_s_own_object(sonic, vae, stock):
    attributes = dict(vars(sonic))
    weights = {name: tensor.clone() for name, tensor in sonic.pipe.unet.state_dict().items()}
    model = optimized(sonic)
    assert torch.equal(small_sonic.run(model, vae), small_sonic.run(model, vae))
    assert vars(sonic) == attributes
    assert all(torch.equal(tensor, weights[name]) for name, tensor in sonic.pipe.unet.state_dict().items())
    assert torch.equal(small_sonic.run(sonic, vae), stock)


def test_it_works_in_inference_mode_as_comfyui_runs_nodes(vae):
    with torch.inference_mode():
        sonic = small_sonic.build()
        stock = small_sonic.run(sonic, vae, 1)
        frames = small_sonic.run(low_vram_model(sonic, EVERY, chunk_size=SMALL), vae, 1)
        assert 0 < error(frames, stock) < 1e-4
        assert torch.equal(small_sonic.run(sonic, vae, 1), stock)


def test_frames_come_in_order_a_few_at_a_time(sonic, vae, stock):
    got, model = [], optimized(sonic, {Optimization.TENSOR_OFFLOAD})  # streaming needs no optimization
    model.process = partial(model.stream, got.append)
    small_sonic.run(model, vae)
    assert {len(frames) for frames in got} == {1}
    assert all(frames.is_contiguous() and frames.dtype == torch.float32 for frames in got)
    assert torch.equal(torch.cat(got).movedim(-1, 0)[None], stock)


def test_streamed_weights_give_the_same_frames(sonic, vae, stock):
    before = traces(sonic)
    for _ in range(2):
        assert torch.equal(small_sonic.run(optimized(sonic, {Optimization.STREAM_WEIGHTS}), vae), stock)
    assert traces(sonic) == before
    assert torch.equal(small_sonic.run(sonic, vae), stock)


# The way there


def test_it_reports_how_far_it_is(sonic, vae):
    reported = []
    small_sonic.run(
        optimized(sonic, {Optimization.STREAMING_DECODE}, on_stage=lambda *what: reported.append(what)), vae
    )
    passes = 2 * small_sonic.PASSES
    assert reported == [
        *(("denoise", done, passes) for done in range(passes + 1)),
        ("decode", 0, N),
        ("interpolate", 0, N),
        ("decode", 14, N),
        ("interpolate", 14, N),
        ("interpolate", N, N),
    ]


class StopError(Exception):
    """Of the user, or of whatever."""


def fail(*_):
    raise StopError


class Failing:
    """A VAE that breaks down on its second call."""

    def __init__(self, vae):
        self.vae, self.device, self.calls = vae, vae.device, 0

    def decode(self, latents):
        self.calls += 1
        return self.vae.decode(latents) if self.calls == 1 else fail()


@pytest.mark.parametrize(
    ("optimizations", "where"),
    [
        (EVERY, ("denoise", 0)),
        (EVERY, ("denoise", 2)),
        (EVERY, ("decode", 0)),
        (EVERY, ("interpolate", 14)),
        (EVERY, "vae"),
        (EVERY, "network"),
        (EVERY, "rife"),
        (EVERY - {Optimization.STREAM_WEIGHTS}, ("denoise", 1)),
        (EVERY - {Optimization.STREAM_WEIGHTS}, "network"),
        ({Optimization.STREAM_WEIGHTS}, "vae"),
        ({Optimization.STREAM_WEIGHTS}, "network"),
    ],
    ids=lambda value: "+".join(sorted(value)) if isinstance(value, (set, frozenset)) else str(value),
)
def test_whatever_stops_it_leaves_no_trace(sonic, vae, where, optimizations):
    before, own = traces(sonic), dict(vars(sonic))
    broken = Failing(vae) if where == "vae" else vae
    failing = {"network": sonic.pipe.unet.up_blocks[-1].resnets[0].spatial_res_block.conv1, "rife": sonic.rife.flownet}
    hook = failing[where].register_forward_pre_hook(fail) if where in failing else None
    stop = lambda stage, done, _: fail() if (stage, done) == where else None  # noqa: E731
    with pytest.raises(StopError):
        small_sonic.run(optimized(sonic, optimizations, on_stage=stop), broken, 1)
    if hook:
        hook.remove()
    assert traces(sonic) == before
    assert vars(sonic) == own


def test_hooks_of_others_are_called_as_ever_and_survive(sonic, vae):
    calls = []
    watched = {"unet": sonic.pipe.unet, "vae": vae.first_stage_model.decoder, "rife": sonic.rife.flownet}
    watched["leaf"] = sonic.pipe.unet.conv_in
    hooks = [module.register_forward_hook(lambda *_, name=name: calls.append(name)) for name, module in watched.items()]
    counts = []
    for model in (sonic, optimized(sonic), sonic):
        calls.clear()
        small_sonic.run(model, vae, 1)
        counts.append({name: calls.count(name) for name in watched})
    for hook in hooks:
        hook.remove()
    stock, ours, again = counts
    assert stock == again == {"unet": small_sonic.PASSES, "vae": 2, "rife": N - 1, "leaf": small_sonic.PASSES}
    assert ours == stock | {"leaf": 3 * stock["leaf"]}, "the network is one call, its branches are three"


def test_what_it_does_not_define_is_the_wrapper_s(sonic, vae):
    model = optimized(sonic)
    assert model.pipe is sonic.pipe
    assert model.rife is sonic.rife
    assert model.device == sonic.device
    with pytest.raises(AttributeError, match="no_such_thing"):
        model.no_such_thing  # noqa: B018
    attribute = []
    vae.forward_to = attribute  # the wrapper writes to the VAE, too
    small_sonic.run(model, vae, 1)
    assert vae.device == sonic.device
    assert vae.forward_to is attribute


# What is where


def test_tensors_of_the_clip_are_replaced_by_copies_in_host_memory():
    one, other = torch.ones(2, 3), torch.zeros(2, 3)
    tensors = [one, one.clone(), other, one.clone(), "not a tensor"]
    to_host(tensors, torch.float16)
    assert [list(tensor.shape) for tensor in tensors[:4]] == [[2, 3]] * 4
    assert {tensor.dtype for tensor in tensors[:4]} == {torch.float16}
    assert tensors[0] is tensors[1], "neighbours that are alike become one"
    assert torch.equal(tensors[3], one.half())
    assert torch.equal(tensors[2], other.half())
    assert tensors[4] == "not a tensor"
    named = {"sound": one, "length": 7}
    to_host(named)
    assert named["sound"].dtype == one.dtype
    assert named["length"] == 7


@pytest.mark.parametrize("times", [(1, 500, 1, 1), (3, 1, 1, 1), (2, 1, 500, 1, 1), ((1, 4, 1, 1),)], ids=str)
def test_an_expanded_picture_is_repeated_without_memory(times):
    picture = torch.randn(1, 1, 8, 8)
    repeated = repeat_as_view(picture).repeat(*times)
    assert type(repeated) is torch.Tensor
    assert torch.equal(repeated, picture.repeat(*times))
    if len(times) == 4:
        assert repeated.untyped_storage().nbytes() == picture.nbytes


def test_an_expanded_picture_is_otherwise_an_ordinary_tensor():
    picture = torch.randn(1, 4, 8, 8)
    one = repeat_as_view(picture)
    three = torch.cat([torch.zeros_like(one), one, one]).unsqueeze(1)
    assert three.repeat(1, 500, 1, 1, 1).untyped_storage().nbytes() == 3 * picture.nbytes
    assert torch.equal(one.repeat(1, 2, 1, 1), picture.repeat(1, 2, 1, 1)), "channels differ: these are copied"
    for same in (one.clone(), one.to(torch.float64), one + 1, one[0], one.detach()):
        assert type(same) is torch.Tensor
    assert torch.equal(one + 1, picture + 1)


def test_a_wrapper_that_decodes_past_the_stream_still_gives_its_frames(sonic, vae, stock, monkeypatch):
    """Its own decoding, with the real VAE instead of the stand-in."""
    own = small_sonic.checkout().sonic.decode_latents_
    monkeypatch.setattr(
        small_sonic.checkout().sonic,
        "decode_latents_",
        lambda latents, vae, device, **_: own(latents, vae._vae, device),
    )
    assert torch.equal(small_sonic.run(optimized(sonic, {Optimization.STREAMING_DECODE}), vae), stock)


@pytest.mark.parametrize("frames", [4, N + 1])
def test_a_wrapper_that_loses_frames_is_reported(sonic, vae, monkeypatch, frames):
    def decode(latents, vae, device, **_):
        return torch.zeros(1, 3, frames, small_sonic.SIDE, small_sonic.SIDE)

    monkeypatch.setattr(small_sonic.checkout().sonic, "decode_latents_", decode)
    with pytest.raises(WrapperError, match=f"{frames} latent frames were decoded, not {N}"):
        small_sonic.run(optimized(sonic, {Optimization.STREAMING_DECODE}), vae, 1)
