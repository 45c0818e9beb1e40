"""Weights that are brought to the device layer by layer: held against the wrapper's own network, to the bit."""

import weakref

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from sonic_guard.low_vram import layer_orders, weight_streaming  # noqa: E402
from sonic_guard.optimizations import Optimization  # noqa: E402
from tests.support import small_sonic  # noqa: E402
from tests.support.network_inputs import run  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def no_grad():
    with torch.no_grad():
        yield


@pytest.fixture
def unet():
    """Sonic's UNet with few channels and random weights, in fp32."""
    return small_sonic.build().pipe.unet


def numbers_of(unet):
    return {name: weight.clone() for name, weight in unet.named_parameters()}


def equal(ones, others):
    return ones.keys() == others.keys() and all(torch.equal(ones[name], others[name]) for name in ones)


def storages(unet):
    return {weight.untyped_storage().data_ptr() for weight in unet.parameters()}


def test_the_numbers_are_the_stock_ones_and_the_weights_stay(unet):
    stock, weights, names = run(unet), numbers_of(unet), dict(unet.named_parameters())
    undo = weight_streaming.enable(unet, CPU)
    streamed = [run(unet) for _ in range(2)]
    undo()
    assert all(torch.equal(frames, stock) for frames in streamed)
    assert equal(numbers_of(unet), weights)
    assert dict(unet.named_parameters()).keys() == names.keys()
    assert all(weight is names[name] for name, weight in unet.named_parameters()), "the network's own parameters"
    assert torch.equal(run(unet), stock)


@pytest.mark.parametrize(
    "orders",
    [
        {Optimization.SEQUENTIAL_CFG},
        {Optimization.LAYER_CHUNKING},
        {Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING, Optimization.TENSOR_OFFLOAD},
        {Optimization.FEED_FORWARD_CHUNKING},
    ],
    ids=lambda orders: "+".join(sorted(orders)),
)
def test_other_orders_of_computation_stream_as_well(unet, orders):
    undo_orders = layer_orders.enable(unet, orders, chunk_size=8192, device=CPU)
    resident = run(unet)
    undo = weight_streaming.enable(unet, CPU)
    assert torch.equal(run(unet), resident)
    undo()
    undo_orders()


class Watch:
    """The copies of layers on the device that are alive at each copy, and the order of the copies."""

    def __init__(self, monkeypatch):
        self.most, self.fetched, self._alive = 0, [], []
        fetch = weight_streaming._Stream._fetch

        def watched(stream, number):
            there = fetch(stream, number)
            self.fetched.append(number)
            self._alive = [each for each in self._alive if each() is not None] + [
                weakref.ref(piece) for piece in there.pieces.values()
            ]
            self.most = max(self.most, len(self._alive))
            return there

        monkeypatch.setattr(weight_streaming._Stream, "_fetch", watched)

    @property
    def left(self):
        return sum(each() is not None for each in self._alive)


@pytest.mark.parametrize(
    ("orders", "passes"), [((), 1), ({Optimization.LAYER_CHUNKING}, 1), ({Optimization.SEQUENTIAL_CFG}, 3)]
)
def test_two_layers_at_most_are_on_the_device_and_each_crosses_once_a_pass(unet, monkeypatch, orders, passes):
    watch, layers = Watch(monkeypatch), len(list(weight_streaming.streamed_layers(unet)))
    layer_orders.enable(unet, orders, chunk_size=8192)
    undo = weight_streaming.enable(unet, CPU)
    run(unet)
    assert watch.most == 2
    assert watch.fetched == [*range(layers)] * passes
    assert watch.left == 0, "nothing stays there between two passes"
    undo()


def test_nearly_all_of_the_network_is_streamed():
    wide = small_sonic.build().pipe.unet
    total = sum(weight.nbytes for weight in wide.parameters())
    rest = total - weight_streaming.streamed_bytes(wide)
    named = [name for name, _ in wide.named_parameters()]
    outside = [name for name in named if name.split(".")[0] not in ("down_blocks", "mid_block", "up_blocks")]
    assert rest == sum(dict(wide.named_parameters())[name].nbytes for name in outside)


def test_a_second_run_moves_no_weights_in_host_memory(unet):
    weight_streaming.enable(unet, CPU)()
    before = storages(unet)
    weight_streaming.enable(unet, CPU)()
    assert storages(unet) == before


def test_weights_that_were_on_another_device_between_two_runs_are_gathered_again(unet):
    stock = run(unet)
    weight_streaming.enable(unet, CPU)()
    unet.double().float()  # as a move there and back does: every weight has a storage of its own again
    undo = weight_streaming.enable(unet, CPU)
    assert torch.equal(run(unet), stock)
    undo()


def test_weights_of_two_number_formats_in_a_layer_are_streamed_too(unet):
    for layer in weight_streaming.streamed_layers(unet):
        for mixer in (module for module in layer.modules() if type(module).__name__ == "AlphaBlender"):
            mixer.double()
    stock = run(unet)
    for _ in range(2):
        undo = weight_streaming.enable(unet, CPU)
        assert torch.equal(run(unet), stock)
        undo()


@pytest.mark.parametrize("layer", [0, 7, -1])
def test_an_error_in_a_layer_leaves_the_network_as_it_was(unet, layer):
    stock, weights = run(unet), numbers_of(unet)
    broken = list(weight_streaming.streamed_layers(unet))[layer]

    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    undo = weight_streaming.enable(unet, CPU)
    hook = broken.register_forward_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        run(unet)
    undo()
    hook.remove()
    assert equal(numbers_of(unet), weights)
    assert torch.equal(run(unet), stock)


def test_inside_of_inference_mode_the_weights_stay_ordinary_tensors(unet):
    stock = run(unet)
    with torch.inference_mode():
        undo = weight_streaming.enable(unet, CPU)
        assert torch.equal(run(unet), stock)
        undo()
    assert not any(weight.is_inference() for weight in unet.parameters())
    assert torch.equal(run(unet.double().float()), stock)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_on_a_card_the_numbers_are_those_of_weights_that_stay_there(unet):
    card = torch.device("cuda")
    resident = run(unet.to(card))
    unet.to(CPU)
    undo = weight_streaming.enable(unet, card)
    assert all(torch.equal(run(unet), resident) for _ in range(3))
    undo()
