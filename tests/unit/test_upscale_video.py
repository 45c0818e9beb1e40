"""Upscaling of frames: exact sizes, tiles that cannot be seen, memory that runs out, networks that fail."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from sonic_guard.errors import FinishError
from sonic_guard.finishing.frames import settings_of
from sonic_guard.finishing.output_size import OutputSize
from sonic_guard.finishing.upscale.upscale_video import Upscale
from tests.support.moving_scenes import SCENES
from tests.support.upscale_networks import network, plain


def frame(width=64, height=48, time=0.0):
    return cv2.resize(SCENES["pan"](time), (width, height), interpolation=cv2.INTER_AREA)


def upscale(net, size, **more):
    return Upscale(net, size, device="cpu", **more)


def one(step, picture):
    [made] = step.run(iter([picture]))
    return made


SIZES = {
    "full HD": ((512, 512), OutputSize(height=1080), (1080, 1080)),
    "portrait": ((576, 768), OutputSize(height=1080), (810, 1080)),
    "odd": ((853, 480), OutputSize(height=1080), (1920, 1080)),
    "even sides": ((101, 57), OutputSize(factor=2), (202, 114)),
    "half": ((99, 33), OutputSize(factor=1.5), (148, 50)),
    "4K": ((1024, 576), OutputSize(height=2160), (3840, 2160)),
    "one pixel": ((1, 1), OutputSize(factor=4), (4, 4)),
    "a line": ((300, 1), OutputSize(factor=3), (900, 4)),
    "less": ((1920, 1080), OutputSize(height=720), (1280, 720)),
}


@pytest.mark.parametrize(("source", "wanted", "size"), SIZES.values(), ids=SIZES)
def test_the_size_is_the_one_asked_for(source, wanted, size):
    assert wanted.of(*source) == size


@pytest.mark.parametrize("bad", [{}, {"height": 2, "factor": 2}, {"height": 0}, {"factor": -1}, {"factor": np.nan}])
def test_what_is_no_size(bad):
    with pytest.raises(FinishError, match="size"):
        OutputSize(**bad)


@pytest.mark.parametrize("source", [(16384, 9216), (100, 16384)])
def test_no_encoder_takes_more(source):
    with pytest.raises(FinishError, match="no encoder"):
        OutputSize(factor=2).of(*source)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (5, 3), (63, 47), (64, 48)])
@pytest.mark.parametrize("scale", [2, 4])
def test_any_frame_is_enlarged(size, scale):
    wanted = OutputSize(factor=3)
    made = one(upscale(plain(3, scale), wanted), frame(*size))
    assert made.shape == (*reversed(wanted.of(*size)), 3)
    assert made.dtype == np.uint8


@pytest.mark.parametrize("depth", [3, 12])
@pytest.mark.parametrize("tile", [40, 57, 64, 100])
def test_tiles_are_not_seen(depth, tile):
    picture, size = frame(161, 123), OutputSize(factor=2)
    whole, tiled = (one(upscale(plain(depth), size, tile=side), picture) for side in (None, tile))
    step = upscale(plain(depth), size, tile=tile)
    assert step.plan(161, 123).tiles > 1
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_blended_tiles_are_hardly_seen():
    net = network(GlobalMean(), 1)
    picture = frame(160, 120)
    made = one(upscale(net, OutputSize(factor=1), tile=96), picture)
    assert np.abs(made.astype(int) - one(upscale(net, OutputSize(factor=1)), picture)).mean() < 3


class GlobalMean(nn.Module):
    """Sees the whole picture."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.1))

    def forward(self, picture):
        return picture * (1 - self.weight) + self.weight * picture.mean((2, 3), keepdim=True)


def test_a_frame_that_becomes_smaller_is_only_resized():
    picture = frame(64, 48)
    made = one(upscale(network(Broken()), OutputSize(height=24)), picture)
    assert np.array_equal(made, cv2.resize(picture, (32, 24), interpolation=cv2.INTER_AREA))


def test_a_frame_that_keeps_its_size_is_left_as_it_is():
    picture = frame(64, 48)
    assert one(upscale(plain(3, 2), OutputSize(height=48)), picture) is picture


@pytest.mark.parametrize("factor", [1, 2])
def test_a_network_that_does_not_enlarge_restores(factor):
    picture = frame(64, 48)
    made = one(upscale(network(GlobalMean()), OutputSize(factor=factor)), picture)
    assert made.shape == (48 * factor, 64 * factor, 3)
    assert made.std() < picture.std()


class Broken(nn.Module):
    """Gives no numbers; in fp16 only, unless `always`."""

    def __init__(self, always=True):
        super().__init__()
        self.always, self.weight = always, nn.Parameter(torch.tensor(1.0))

    def forward(self, picture):
        broken = self.always or picture.dtype == torch.float16
        return picture * self.weight * (float("nan") if broken else 1.0)


def test_overflow_in_16_bits_goes_on_in_32(caplog):
    step = upscale(network(Broken(always=False)), OutputSize(factor=1), dtype=torch.float16)
    pictures = [frame(time=time) for time in (0.0, 1.0)]
    for made, picture in zip(step.run(iter(pictures)), pictures, strict=True):
        assert np.array_equal(made, picture)
    assert step.notes.is_fp32
    assert "fp32" in caplog.text


def test_a_network_that_gives_no_picture_is_refused():
    with pytest.raises(FinishError, match="infinite or NaN"):
        one(upscale(network(Broken()), OutputSize(factor=1)), frame())


class Limited(nn.Module):
    """Runs out of memory above a number of pixels, as a GPU does."""

    def __init__(self, most, error):
        super().__init__()
        self.most, self.error, self.weight = most, error, nn.Parameter(torch.tensor(1.0))

    def forward(self, picture):
        if not is_fake(picture) and picture.shape[-1] * picture.shape[-2] > self.most:
            raise self.error
        return picture * self.weight


def is_fake(picture):
    return type(picture).__name__ == "FakeTensor"


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    RuntimeError("Allocation on device 0 would exceed allowed memory. (out of memory)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: str(error)[:20])
def test_out_of_memory_halves_the_tiles(error):
    step = upscale(network(Limited(1500, error)), OutputSize(factor=1))
    picture = frame(120, 90)
    pictures = [picture, picture.copy()]
    assert all(np.array_equal(made, picture) for made in step.run(iter(pictures)))
    assert step.notes.halvings == 2  # 120 → 60 → 30, once for both frames


def test_not_even_the_smallest_tiles_fit():
    step = upscale(network(Limited(10, OUT_OF_MEMORY[0])), OutputSize(factor=1))
    with pytest.raises(FinishError, match="smallest tiles"):
        one(step, frame(120, 90))


def test_other_errors_are_not_hidden():
    with pytest.raises(RuntimeError, match="something else"):
        one(upscale(network(Limited(10, RuntimeError("something else"))), OutputSize(factor=1)), frame())


@pytest.mark.parametrize("net", [plain(3), network(Limited(10, RuntimeError("x")), 2)])
def test_weights_are_what_and_where_they_were(net):
    kept = {name: (tensor.data_ptr(), tensor.dtype) for name, tensor in net.module.state_dict().items()}
    step = upscale(net, OutputSize(factor=2), dtype=torch.bfloat16)
    try:
        one(step, frame())
    except RuntimeError as error:
        assert str(error) == "x"
    assert kept == {name: (tensor.data_ptr(), tensor.dtype) for name, tensor in net.module.state_dict().items()}


def test_a_run_that_is_given_up_gives_the_weights_back():
    net = plain(3)
    run = upscale(net, OutputSize(factor=2), dtype=torch.bfloat16).run(iter([frame(), frame()]))
    next(run)
    assert next(net.module.parameters()).dtype == torch.bfloat16
    run.close()
    assert next(net.module.parameters()).dtype == torch.float32


def test_half_precision_is_not_seen():
    picture = frame(96, 64)
    whole, half = (
        one(upscale(plain(4), OutputSize(factor=2), dtype=dtype), picture) for dtype in (None, torch.float16)
    )
    assert np.abs(whole.astype(int) - half).max() <= 1


@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_frames_as_there_were(count):
    pictures = [frame(time=float(time)) for time in range(count)]
    made = list(upscale(plain(3), OutputSize(factor=2)).run(iter(pictures)))
    assert len(made) == count
    assert all(np.array_equal(each, one(upscale(plain(3), OutputSize(factor=2)), picture))
               for each, picture in zip(made, pictures, strict=True))  # fmt: skip


def test_settings_name_what_makes_the_pictures():
    base = settings_of(upscale(plain(3), OutputSize(height=1080)))
    assert base == settings_of(upscale(plain(3), OutputSize(height=1080), tile=64))
    assert base != settings_of(upscale(plain(3, seed=1), OutputSize(height=1080)))
    assert base != settings_of(upscale(plain(3), OutputSize(height=1440)))


@pytest.mark.parametrize("name", ["cuda:99", "nonsense", "mps:7", ""])
def test_a_device_that_is_not_there(name):
    with pytest.raises(FinishError, match="device"):
        Upscale(plain(3), OutputSize(factor=2), device=name).plan(64, 48)


@pytest.mark.parametrize("tile", [0, 15, 1 << 20])
def test_impossible_tiles(tile):
    with pytest.raises(FinishError, match="tile"):
        upscale(plain(3), OutputSize(factor=2), tile=tile)


def test_a_network_needs_certain_sizes():
    class Halving(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.up = nn.Conv2d(3, 12, 2, stride=2), nn.PixelShuffle(2)

        def forward(self, picture):
            assert picture.shape[-1] % 4 == picture.shape[-2] % 4 == 0
            assert picture.shape[-1] >= 16
            return self.up(self.down(picture))

    net = network(Halving(), 1, least_side=16, multiple=4)
    for size in ((1, 1), (33, 21), (70, 90)):
        assert one(upscale(net, OutputSize(factor=2), tile=48), frame(*size)).shape[:2] == (2 * size[1], 2 * size[0])
