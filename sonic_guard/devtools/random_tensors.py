"""Random numbers for a network's weights, with which its activations neither vanish nor overflow in fp16.

An untrained network's own initial values will not do: many are zero or one, so that whole branches add nothing, and an
error in them would not be seen in its output.
"""

import zlib
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

OUTPUT_SHARE = 0.35
"""Factor on the weights of a network's output layers, which keeps pictures and flows in a reasonable range."""

_NORMS = (nn.GroupNorm, nn.LayerNorm, nn.BatchNorm2d)


class Distribution(NamedTuple):
    """A normal distribution."""

    mean: float
    deviation: float


def distribution(module: nn.Module, name: str, shape: torch.Size) -> Distribution:
    """That of the numbers of `module`'s own tensor `name`.

    Norms: 1 ± 0.1. Biases: ± 0.02. Factors that blend space and time: ± 0.5. PReLU: 0.25 ± 0.05. Other weights: zero
    ± 1/√(inputs of one output), which keeps the variance from layer to layer.
    """
    if name == "mix_factor":
        return Distribution(0.0, 0.5)
    if name == "weight" and isinstance(module, _NORMS):
        return Distribution(1.0, 0.1)
    if name == "weight" and isinstance(module, nn.PReLU):
        return Distribution(0.25, 0.05)
    if len(shape) < 2:
        return Distribution(0.0, 0.02)
    inputs = shape[1:].numel()
    if isinstance(module, nn.ConvTranspose2d):  # [in, out, h, w], of which each output sees one in `stride` squared
        inputs = shape[0] * shape[2:].numel() // (module.stride[0] * module.stride[1])
    return Distribution(0.0, inputs**-0.5)


def random_state(
    network: nn.Module,
    dtype: torch.dtype,
    seed: int,
    is_output: Callable[[str], bool] = lambda name: False,
) -> dict[str, Tensor]:
    """The state dict of `network`, which may be on the meta device, with random numbers in `dtype`.

    The numbers of a tensor depend on `seed`, on its name and on its shape, and on nothing else. Layers whose name
    `is_output` accepts have smaller weights.
    """
    modules = dict(network.named_modules())
    state: dict[str, Tensor] = {}
    for full_name, tensor in network.state_dict().items():
        owner, _, name = full_name.rpartition(".")
        mean, deviation = distribution(modules[owner], name, tensor.shape)
        if is_output(owner):
            deviation *= OUTPUT_SHARE
        numbers = torch.Generator().manual_seed(zlib.crc32(full_name.encode(), seed))
        state[full_name] = torch.randn(tensor.shape, generator=numbers).mul_(deviation).add_(mean).to(dtype)
    return state
