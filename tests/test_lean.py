"""Other orders of the arithmetic give the stock frames: held against the wrapper's own network and loop."""

import pytest

from sonic_guard.job import Lever
from tests import real

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

FRAMES, SIDE = 3, 64


@pytest.fixture(scope="module")
def checkout():
    from sonic_guard.trace.checkout import open_checkout

    return open_checkout(real.sonic())


@pytest.fixture(scope="module")
def unet(checkout):
    """Sonic's UNet with few channels and random weights, in fp64."""
    torch.manual_seed(0)
    config = {key: value for key, value in checkout.unet_config.items() if not key.startswith("_")}
    config.update(block_out_channels=[32, 64, 64, 64], num_attention_heads=[2, 4, 4, 4], cross_attention_dim=32)
    network = checkout.unet.UNetSpatioTemporalConditionModel.from_config(config)
    checkout.unet.add_ip_adapters(network, [32], [1.0])
    for name, parameter in network.named_parameters():
        if "mix_factor" in name:
            torch.nn.init.normal_(parameter)
    return network.double().eval()


@pytest.fixture(scope="module")
def run(unet):
    generator = torch.Generator().manual_seed(1)
    random = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    sample, clip, prompts = (
        random(3, FRAMES, 8, SIDE // 8, SIDE // 8),
        random(3 * FRAMES, 1, 32),
        random(3 * FRAMES, 32, 32),
    )
    mask, time_ids = random(1, 1, SIDE, SIDE).sigmoid(), random(3, 3)

    def forward():
        with torch.no_grad():
            return unet(
                sample,
                torch.tensor(0.7, dtype=torch.float64),
                encoder_hidden_states=(clip, [prompts]),
                cross_attention_kwargs={"ip_adapter_masks": [mask]},
                added_time_ids=time_ids,
                return_dict=False,
            )[0]

    return forward


@pytest.mark.parametrize(
    "levers",
    [{Lever.BRANCH}, {Lever.FF}, {Lever.BLOCK}, {Lever.BRANCH, Lever.BLOCK}, set(Lever)],
    ids=lambda levers: "+".join(sorted(levers)),
)
def test_every_order_gives_the_stock_result(unet, run, levers, monkeypatch):
    from sonic_guard.lean import orders

    stock = run()
    # Small enough for several groups at the sizes of a test, the last one shorter.
    monkeypatch.setattr(orders, "GROUP_POSITIONS", 24)
    undo = orders.pull(unet, levers)
    other = run()
    undo()
    assert other.shape == stock.shape
    assert other.dtype == stock.dtype
    assert (other - stock).abs().max() < 1e-12 * stock.abs().max()
    assert torch.equal(run(), stock), "the stock order was not restored"


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_pairwise_interpolation_gives_the_wrapper_s_frames(checkout, frames):
    from sonic_guard.lean.pairwise import interpolate_pairs

    torch.manual_seed(2)
    rife = checkout.rife.RIFEModel(device=torch.device("cpu"))
    video = torch.rand(1, 3, frames, 64, 96)
    sonic = object.__new__(checkout.sonic.Sonic)
    sonic.pipe, sonic.device, sonic.rife, sonic.use_interframe = torch.nn.Identity(), torch.device("cpu"), rife, True

    class Config:
        seed = 1

    before, checkout.sonic.test = checkout.sonic.test, lambda *_, **__: video
    try:
        stock = sonic.process(
            None, None, None, {"ref_img": video[:, :, 0]}, Config(), None, None, 25.0, None, inference_steps=1
        )
    finally:
        checkout.sonic.test = before
    with torch.no_grad():
        ours = interpolate_pairs(rife, video, torch.device("cpu"))
    assert torch.equal(ours, stock)
