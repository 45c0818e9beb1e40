"""Other orders of the UNet's arithmetic give the stock numbers: held against the wrapper's own network."""

import copy

import pytest

from sonic_guard.job import MIN_CHUNK_SIZE
from sonic_guard.optimizations import Optimization

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from sonic_guard.low_vram import layer_orders  # noqa: E402
from sonic_guard.low_vram.residual_blocks import residual  # noqa: E402
from tests.support import small_sonic  # noqa: E402
from tests.support.network_inputs import FRAMES, inputs, run  # noqa: E402

ORDERS = {Optimization.SEQUENTIAL_CFG, Optimization.FEED_FORWARD_CHUNKING, Optimization.LAYER_CHUNKING}
SMALL = 8192
"""Chunk size in activations, small enough for several chunks at a test's sizes, the last one shorter."""


@pytest.fixture(scope="module", autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def branch_by_branch(unet):
    """The stock network, its batch split."""
    whole = inputs(unet.dtype)
    clip, (prompts,) = whole.pop("encoder_hidden_states")
    sample, ids = whole.pop("sample"), whole.pop("added_time_ids")
    parts = []
    for branch in range(3):
        one, rows = slice(branch, branch + 1), slice(branch * FRAMES, (branch + 1) * FRAMES)
        context = (clip[rows], [prompts[rows]])
        parts += unet(sample[one], encoder_hidden_states=context, added_time_ids=ids[one], **whole)
    return torch.cat(parts)


def rms(numbers, reference):
    return float(
        (numbers.double() - reference.double()).square().mean().sqrt() / reference.double().square().mean().sqrt()
    )


@pytest.fixture(scope="module")
def unet():
    """Sonic's UNet with few channels and random weights, in fp64."""
    return small_sonic.build(torch.float64).pipe.unet


@pytest.fixture(scope="module")
def stock(unet):
    return run(unet)


@pytest.mark.parametrize(
    ("optimizations", "chunk_size"),
    [
        ({Optimization.SEQUENTIAL_CFG}, MIN_CHUNK_SIZE),
        ({Optimization.FEED_FORWARD_CHUNKING}, MIN_CHUNK_SIZE),
        ({Optimization.LAYER_CHUNKING}, MIN_CHUNK_SIZE),
        ({Optimization.LAYER_CHUNKING}, SMALL),
        ({Optimization.LAYER_CHUNKING}, 1),
        ({Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING}, SMALL),
        ({*ORDERS, Optimization.TENSOR_OFFLOAD}, SMALL),
    ],
)
def test_every_order_gives_the_stock_result(unet, stock, optimizations, chunk_size):
    undo = layer_orders.enable(unet, optimizations, chunk_size=chunk_size, device=torch.device("cpu"))
    other = run(unet)
    undo()
    assert other.shape == stock.shape
    assert other.dtype == stock.dtype
    assert (other - stock).abs().max() < 1e-12 * stock.abs().max()
    assert torch.equal(run(unet), stock), "the stock order was not restored"


def test_optimizations_that_do_not_concern_the_network_leave_it_alone(unet):
    layer_orders.enable(unet, {Optimization.STREAMING_DECODE, Optimization.UNET_OFFLOAD, Optimization.STREAM_WEIGHTS})()
    undo = layer_orders.enable(
        unet, {Optimization.STREAMING_DECODE, Optimization.UNET_OFFLOAD, Optimization.STREAM_WEIGHTS}
    )
    assert not [name for name, module in unet.named_modules() if "forward" in vars(module)]
    undo()


def test_an_order_that_does_not_fit_the_network_leaves_it_as_it_was(unet):
    unsupported = copy.copy(unet)
    unsupported._modules = {name: module for name, module in unet._modules.items() if name != "up_blocks"}
    with pytest.raises(AttributeError, match="up_blocks"):
        layer_orders.enable(unsupported, ORDERS)
    assert not [name for name, module in unet.named_modules() if "forward" in vars(module)]


def test_in_fp32_the_orders_are_as_exact_as_the_stock_one_and_as_near_as_a_split_batch(unet, stock):
    single = copy.deepcopy(unet).float()
    split = rms(branch_by_branch(single), run(single))
    itself = rms(run(single), stock)
    assert split > 0
    for optimizations in ({Optimization.FEED_FORWARD_CHUNKING}, {Optimization.LAYER_CHUNKING}, ORDERS):
        undo = layer_orders.enable(single, optimizations, chunk_size=SMALL)
        other = run(single)
        undo()
        assert rms(other, run(single)) < 1.5 * split
        assert rms(other, stock) < 1.1 * itself


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_one_branch_at_a_time_is_the_stock_network_with_its_batch_split(unet, dtype):
    half = copy.deepcopy(unet).to(dtype)
    split = branch_by_branch(half)
    undo = layer_orders.enable(
        half, {Optimization.SEQUENTIAL_CFG, Optimization.TENSOR_OFFLOAD}, device=torch.device("cpu")
    )
    assert torch.equal(run(half), split)
    undo()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_in_half_precision_every_layer_by_blocks_is_as_exact_as_the_stock_one(unet, dtype):
    """Layer by layer, on the stock network's own inputs: through a whole network of random weights the last
    binary digit of one number grows to the size of all rounding errors, in whatever order they are made."""
    half = copy.deepcopy(unet).to(dtype)
    layers = record(half, {"SpatioTemporalResBlock", "TransformerSpatioTemporalModel"})
    assert len(layers) > 20
    for layer, args, kwargs in layers:
        exact = first(copy.deepcopy(layer).double()(*doubled(args), **doubled(kwargs)))
        stock = first(layer(*doubled(args, dtype), **doubled(kwargs, dtype)))
        if type(layer).__name__ == "SpatioTemporalResBlock":
            other = residual(SMALL, layer, *doubled(args, dtype), **doubled(kwargs, dtype))
        else:
            other = layer_orders._transformer(SMALL, layer, *doubled(args, dtype), **doubled(kwargs, dtype))[0]
        assert other.dtype == dtype
        assert rms(other, exact) < 1.01 * rms(stock, exact)
        assert float((other != stock).double().mean()) < 0.05


def record(unet, kinds):
    """The layers of `kinds` in `unet` with their inputs in a run of it."""
    calls = []

    def keep(layer, args, kwargs):
        calls.append((layer, doubled(args, unet.dtype), doubled(kwargs, unet.dtype)))

    hooks = [
        module.register_forward_pre_hook(keep, with_kwargs=True)
        for module in unet.modules()
        if type(module).__name__ in kinds
    ]
    run(unet)
    for hook in hooks:
        hook.remove()
    return calls


def doubled(value, dtype=torch.float64):
    """A deep copy, with tensors in `dtype`."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype, copy=True)
    if isinstance(value, dict):
        return {key: doubled(each, dtype) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(doubled(each, dtype) for each in value)
    return value


def first(out):
    return out[0] if isinstance(out, tuple) else out
