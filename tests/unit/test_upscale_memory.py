"""What a network needs and sees, from its trace: compared with networks that run."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sonic_guard.finishing.upscale import tile_memory
from sonic_guard.finishing.upscale.network_trace import trace
from sonic_guard.finishing.upscale.tile_memory import demand_of, tiling_for
from sonic_guard.finishing.upscale.tiles import BLENDED_HALO
from tests.support.upscale_networks import network, plain


class Through(nn.Module):
    """Layers, or a function of the picture."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.Sequential(*layers)

    def forward(self, picture):
        return self.function(self, picture)


def layers(*given):
    return Through(lambda self, x: self.layers(x), *given)


def conv(inputs=3, outputs=3, size=3, **more):
    return nn.Conv2d(inputs, outputs, size, **{"padding": size // 2 * more.get("dilation", 1)} | more)


def attention(self, x):
    tokens = x.flatten(2).transpose(1, 2)
    return functional.scaled_dot_product_attention(tokens, tokens, tokens).transpose(1, 2).reshape(x.shape)


def written_through_a_view(self, x):
    out = x.clone()
    out[:, :1] = self.layers(x)
    return out


KNOWN = {
    "one convolution": (layers(conv()), 1),
    "five": (layers(*(conv() for _ in range(5))), 5),
    "large": (layers(conv(size=7), conv(size=1)), 3),
    "dilated": (layers(conv(dilation=3)), 3),
    "residual": (Through(lambda self, x: x + self.layers(x), conv(), nn.GELU(), conv()), 2),
    "after a pixel shuffle": (layers(conv(3, 12), nn.PixelShuffle(2), conv()), 2),
    "after nearest": (Through(lambda self, x: self.layers(functional.interpolate(x, scale_factor=2)), conv()), 1),
    "bilinear": (Through(lambda self, x: functional.interpolate(x, scale_factor=2, mode="bilinear")), 1),
    "two branches": (Through(lambda self, x: torch.cat((self.layers(x), x), 1)[:, :3], conv(size=5)), 2),
    "through a view": (Through(written_through_a_view, conv(3, 1, 5)), 2),
    "gated": (Through(lambda self, x: self.layers(x) * torch.sigmoid(x), conv()), 1),
}
UNKNOWN = {
    "attention": Through(attention),
    "mean of all": Through(lambda self, x: x * x.mean((2, 3), keepdim=True)),
    "instance norm": layers(nn.InstanceNorm2d(3)),
    "rolled": Through(lambda self, x: x.roll(3, 2)),
    "convolution with what it sees": Through(lambda self, x: functional.conv2d(x, x[:, :, :3, :3])),
}


def traced(module, side=32):
    return trace(module.eval(), 3, side, side, torch.float32)


def real_reach(module, side=48):
    """By how far a change of one pixel spreads, in pixels of the picture."""
    picture = torch.rand(1, 3, side, side)
    changed = picture.clone()
    middle = side // 2
    changed[..., middle, middle] = float("nan")
    with torch.no_grad():
        made = module.eval()(changed)[0].isnan().any(0).any(0).nonzero().flatten()
        scale = module(picture).shape[-1] / side
    return max(middle - int(made.min()) // scale, int(made.max()) // scale - middle)


@pytest.mark.parametrize(("module", "reach"), KNOWN.values(), ids=KNOWN)
def test_how_far_a_network_sees(module, reach):
    assert traced(module).reach == reach
    assert real_reach(module) <= reach


@pytest.mark.parametrize("module", UNKNOWN.values(), ids=UNKNOWN)
def test_what_sees_everything_has_no_reach(module):
    assert traced(module).reach is None


@pytest.mark.parametrize("depth", [2, 5, 18])
def test_plain_networks_are_tiled_exactly(depth):
    demand = demand_of(plain(depth))
    assert demand.reach == depth
    assert tiling_for(demand, plain(depth), 100_000) == (316, depth, True)


def test_others_are_blended():
    net = network(UNKNOWN["mean of all"])
    assert tiling_for(demand_of(net), net, 100_000) == (316, BLENDED_HALO, False)


def test_a_network_that_halves_the_resolution_is_cut_on_its_grid():
    net = network(layers(conv(3, 8, stride=2), conv(8, 12), nn.PixelShuffle(2)))
    demand = demand_of(net)
    assert (demand.reach, demand.coarsest) == (3, 2)
    assert tiling_for(demand, net, 10_000) == (100, 4, True)


def test_live_numbers_are_counted():
    """Of the body, the larger of: two tensors of 8 channels beside the picture, or 8 and 12, or 12 and the result."""
    found = traced(layers(conv(3, 8), conv(8, 8), conv(8, 12), nn.PixelShuffle(2)), 64)
    assert found.peak_elements / 64**2 == pytest.approx(3 + 12 + 12)
    assert found.largest_elements / 64**2 == pytest.approx(12)
    assert found.operations / 64**2 == 2 * 9 * (3 * 8 + 8 * 8 + 8 * 12)


def test_more_memory_means_larger_tiles_within_it():
    demand = demand_of(plain(6))
    for usable in (1 << 20, 1 << 24, 1 << 28):
        pixels = demand.most_pixels(usable, 4)
        assert demand.bytes_of(pixels, 4) <= usable < demand.bytes_of(pixels + 64, 4)
        assert demand.most_pixels(usable, 2) > 1.9 * pixels


def test_kernels_bound_a_tile_where_memory_does_not():
    assert demand_of(plain(3)).most_pixels(1 << 50, 2) == (2**31 - 1) // 12
    attending = demand_of(network(Through(lambda self, x: torch.bmm(x[0], x[0].mT)[None] + x)))
    assert attending.batch == pytest.approx(3 / tile_memory.TRACED_SIDES[1] ** 2)


def test_too_little_memory_has_no_tile():
    assert tiling_for(demand_of(plain(6)), plain(6), 27**2) is None


def test_a_network_that_looks_at_values_is_estimated():
    net = network(Through(lambda self, x: x * float(x.max())))
    demand = demand_of(net)
    assert (demand.reach, demand.pixel_elements) == (None, tile_memory.UNTRACED_ELEMENTS)


def test_tracing_changes_nothing():
    net = plain(3)
    before = net.digest()
    demand_of(net)
    assert net.digest() == before
    assert np.isfinite(net(torch.rand(1, 3, 8, 8)).numpy()).all()
