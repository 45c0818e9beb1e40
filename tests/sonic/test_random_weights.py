"""The kit of random weights: its numbers, the narrow wrapper, and that it replaces nobody's files."""

import filecmp
import json
from pathlib import Path

import pytest

from tests.support import installed, small_sonic

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from sonic_guard.devtools.face_detector_file import save_face_detector  # noqa: E402
from sonic_guard.devtools.narrow_wrapper import FEW, copy_narrow  # noqa: E402
from sonic_guard.devtools.network_parts import build_unet  # noqa: E402
from sonic_guard.devtools.random_tensors import OUTPUT_SHARE, distribution, random_state  # noqa: E402
from sonic_guard.devtools.random_weights import UNET, Order, write_kit  # noqa: E402
from sonic_guard.devtools.sonic_checkout import open_checkout  # noqa: E402
from sonic_guard.errors import OutputError  # noqa: E402

META = torch.device("meta")


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        (nn.GroupNorm(4, 8), "weight", (1.0, 0.1)),
        (nn.LayerNorm(8), "bias", (0.0, 0.02)),
        (nn.PReLU(8), "weight", (0.25, 0.05)),
        (nn.Linear(100, 3), "weight", (0.0, 0.1)),
        (nn.Linear(100, 3), "bias", (0.0, 0.02)),
        (nn.Conv2d(25, 3, 2), "weight", (0.0, 0.1)),
        (nn.Conv3d(25, 3, (4, 1, 1)), "weight", (0.0, 0.1)),
        (nn.ConvTranspose2d(25, 3, 4, 2), "weight", (0.0, 0.1)),
    ],
)
def test_numbers_by_layer(module, name, expected):
    assert distribution(module, name, getattr(module, name).shape) == pytest.approx(expected)


def test_the_factor_that_blends_space_and_time_is_spread_widely():
    assert distribution(nn.Module(), "mix_factor", torch.Size([1])) == (0.0, 0.5)


def test_variance_is_kept_from_layer_to_layer():
    for layer, shape in ((nn.Linear(256, 256), (64, 256)), (nn.ConvTranspose2d(64, 64, 4, 2, 1), (1, 64, 32, 32))):
        layer.load_state_dict(random_state(layer, torch.float32, seed=0))
        assert layer(torch.randn(shape)).std().item() == pytest.approx(1.0, abs=0.1)


def test_the_numbers_of_a_tensor_follow_from_seed_and_name():
    def numbers(seed, *names):
        network = nn.ModuleDict({name: nn.Linear(4, 4, device="meta") for name in names})
        return random_state(network, torch.float16, seed)

    one, two = numbers(0, "a", "b"), numbers(0, "b")
    assert torch.equal(one["b.weight"], two["b.weight"])
    assert not torch.equal(one["a.weight"], one["b.weight"])
    assert not torch.equal(one["b.weight"], numbers(1, "b")["b.weight"])


def test_an_output_layer_has_smaller_weights():
    network = nn.ModuleDict({"conv_out": nn.Linear(1000, 100, device="meta")})
    plain = random_state(network, torch.float32, 0)["conv_out.weight"]
    output = random_state(network, torch.float32, 0, lambda layer: layer == "conv_out")["conv_out.weight"]
    assert output.std().item() == pytest.approx(OUTPUT_SHARE * plain.std().item())


def test_sonics_unet_has_as_many_tensors_as_the_published_file():
    assert len(build_unet(small_sonic.checkout(), torch.float16, META).state_dict()) == 1492


def test_the_narrow_wrapper_differs_in_one_file(tmp_path):
    wrapper, copy = installed.sonic(), tmp_path / "narrow"
    copy_narrow(wrapper, copy)
    files = [file.relative_to(copy).as_posix() for file in copy.rglob("*") if file.is_file()]
    _, differing, missing = filecmp.cmpfiles(wrapper, copy, files, shallow=False)
    assert (differing, missing) == (["svd_repo/unet/config.json"], [])
    assert json.loads((copy / differing[0]).read_text()).items() >= FEW.items()
    unet = build_unet(open_checkout(copy), torch.float16, META)
    assert sum(tensor.numel() for tensor in unet.state_dict().values()) < 20e6
    with pytest.raises(OutputError, match="exists already"):
        copy_narrow(wrapper, copy)


def test_weights_that_are_there_are_never_replaced(tmp_path):
    file = tmp_path / UNET
    file.parent.mkdir()
    file.write_bytes(b"real weights")
    with pytest.raises(OutputError, match=UNET):
        write_kit(Order(tmp_path, installed.sonic(), Path("no ComfyUI"), narrow=False, seed=0))
    assert file.read_bytes() == b"real weights"
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [file]


@pytest.mark.parametrize("size", [(416, 416), (416, 640)])
def test_the_face_detector_finds_one_face_in_the_middle(tmp_path, size):
    save_face_detector(tmp_path / "face.pt")
    found = torch.jit.load(tmp_path / "face.pt")(torch.zeros(1, 3, *size), [torch.zeros(1)])
    assert found.shape == (1, 3, 16)
    (height, width), (face, *others) = size, found[0].tolist()
    assert face[:4] == [width / 2, height / 2, width / 2, height / 2]
    assert [row[4] > 0.5 for row in (face, *others)] == [True, False, False]
