"""Finds out which optimizations a Sonic wrapper supports, by checking its objects and testing its network.

The wrapper has forks and changes over time. The attributes and parameters that the engine relies on are checked by
name. Whether an optimization gives the wrapper's own numbers is tested on a tiny network of the same class, once per
class and configuration.
"""

import inspect
import logging
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import WrapperError
from ..job import MIN_CHUNK_SIZE
from ..optimizations import Optimization
from ..relatives import ADAPTERS, Adapter, assumed_relative
from . import layer_orders, weight_streaming
from .engine import LowVramSonic, offload_unet
from .frame_stream import OnStage

log = logging.getLogger(__name__)

_ATTRIBUTES = ("pipe", "device", "use_interframe", "process")
_PIPE = (
    *("img_latent", "latents", "num_frames", "height", "width", "num_inference_steps"),
    *("frames_per_batch", "overlap"),
)
_TESTED_TOGETHER = (
    (Optimization.FEED_FORWARD_CHUNKING,),
    (Optimization.SEQUENTIAL_CFG, Optimization.TENSOR_OFFLOAD),
    (Optimization.STREAM_WEIGHTS,),
    (Optimization.LAYER_CHUNKING,),
)
"""Optimizations that are tested in one run of the network; all of them are supported, or none."""
_FRAMES, _SIDE, _CHANNELS, _CHUNK_SIZE = 3, 64, 32, 2048
"""Of the tiny network; the chunk size gives several chunks in every layer."""
_TOLERANCE = 1e-9
"""Largest difference between equal fp64 results, relative to the largest number."""


def low_vram_model(
    model: Any,
    optimizations: Iterable[Optimization],
    *,
    chunk_size: int = MIN_CHUNK_SIZE,
    on_stage: OnStage | None = None,
) -> LowVramSonic:
    """`model`, the wrapper's object or a `LowVramSonic`, with `optimizations` enabled; see `LowVramSonic`.

    With `Optimization.UNET_OFFLOAD` its UNet is moved to host memory now. Raises `WrapperError` if the model is not
    that of a known wrapper, or does not support one of the optimizations.
    """
    sonic = wrapped(model)
    optimizations = frozenset(optimizations)
    if unsupported := optimizations - supported_optimizations(sonic):
        raise WrapperError(
            f"low VRAM: this Sonic wrapper does not support {', '.join(sorted(unsupported))} with its network or on "
            "this device. Switch it off, and report the wrapper's version."
        )
    if Optimization.UNET_OFFLOAD in optimizations:
        offload_unet(sonic)
    return LowVramSonic(sonic, optimizations, chunk_size=chunk_size, on_stage=on_stage)


def wrapped(model: Any) -> Any:
    """The wrapper's own object: `model`, or the one inside a `LowVramSonic`."""
    return model.sonic if isinstance(model, LowVramSonic) else model


def supported_optimizations(sonic: Any) -> frozenset[Optimization]:
    """The optimizations that `sonic`, a loaded model of the wrapper, supports.

    The first call for a wrapper runs a tiny network for a second or two. Raises `WrapperError` if `sonic` is not the
    model of a known Sonic wrapper.
    """
    try:
        return _supported(sonic)
    except WrapperError:
        raise
    except Exception as error:  # an unknown object may raise anything from its attributes
        raise _unknown(repr(error)) from error


def _supported(sonic: Any) -> frozenset[Optimization]:
    for name in _ATTRIBUTES:
        _need(hasattr(sonic, name), f"it has no {name}")
    torch.device(sonic.device)  # raises for what is no device of torch
    adapter = ADAPTERS[assumed_relative(sonic)]
    _need_parameters(type(sonic).process, adapter.process, "its process()")
    _need(isinstance(getattr(sonic.pipe, "unet", None), nn.Module), "its pipeline has no unet")
    _need(hasattr(sonic.pipe, "vae_scale_factor"), "its pipeline has no vae_scale_factor")
    _need_parameters(type(sonic.pipe).__call__, (adapter.embedding, *_PIPE), "its pipeline")
    rife = getattr(sonic, "rife", None)
    _need(not sonic.use_interframe or hasattr(rife, "inference"), "its RIFE has no inference()")
    if adapter.pose:
        network = getattr(sonic.pipe, adapter.pose.network, None)
        _need(isinstance(network, nn.Module), f"its pipeline has no {adapter.pose.network}")
        _need_parameters(type(sonic.pipe).__call__, (adapter.pose.pictures,), "its pipeline")
    optimizations = _equivalent(type(sonic.pipe.unet), _tiny_config(sonic.pipe.unet), adapter)
    return optimizations | {Optimization.STREAMING_DECODE, Optimization.UNET_OFFLOAD}


def _need(fulfilled: bool, reason: str) -> None:
    if not fulfilled:
        raise _unknown(reason)


def _unknown(reason: str) -> WrapperError:
    return WrapperError(
        f"low VRAM: the model on `model` is not that of a Sonic wrapper known here ({reason}). Connect the model of "
        "SONICTLoader; if it is connected, report the wrapper's version."
    )


def _need_parameters(function: Any, names: tuple[str, ...], what: str) -> None:
    missing = [name for name in names if name not in inspect.signature(function).parameters]
    _need(not missing, f"{what} takes no {', '.join(missing)}")


_Config = tuple[tuple[str, Any], ...]
"""A network's configuration, hashable."""


def _tiny_config(unet: Any) -> _Config:
    """The configuration of `unet`, with as few channels as its group norms allow."""
    config = {key: value for key, value in unet.config.items() if not key.startswith("_")}
    depth = len(config["block_out_channels"])
    config |= {
        "block_out_channels": (_CHANNELS,) * depth,
        "num_attention_heads": (2,) * depth,
        "cross_attention_dim": _CHANNELS,
    }
    return tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in config.items())


@cache
def _equivalent(kind: type[Any], config: _Config, adapter: Adapter) -> frozenset[Optimization]:
    """The optimizations with which a tiny network of class `kind` gives the same numbers as without."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.no_grad():
            unet, inputs = _tiny(kind, dict(config), adapter)
            stock = _run(unet, inputs)
    except Exception as error:  # an unknown constructor may raise anything
        raise WrapperError(
            f"low VRAM: a small network of this Sonic wrapper could not be tested ({error!r}). Take Sonic Low VRAM "
            "out of the graph, and report the wrapper's version."
        ) from error
    return frozenset(
        optimization
        for optimizations in _TESTED_TOGETHER
        if _is_equivalent(unet, inputs, stock, optimizations)
        for optimization in optimizations
    )


def _is_equivalent(unet: Any, inputs: dict[str, Any], stock: Tensor, optimizations: tuple[Optimization, ...]) -> bool:
    names = "+".join(optimizations)
    try:
        with ExitStack() as undo, torch.no_grad():
            undo.callback(layer_orders.enable(unet, optimizations, chunk_size=_CHUNK_SIZE, device=torch.device("cpu")))
            if Optimization.STREAM_WEIGHTS in optimizations:
                undo.callback(weight_streaming.enable(unet, torch.device("cpu")))
            difference = float((_run(unet, inputs) - stock).abs().max() / stock.abs().max())
    except Exception as error:  # layers of another structure may fail in any way
        log.warning("low VRAM: %s fails on this wrapper's network: %r", names, error)
        return False
    if not difference < _TOLERANCE:  # also for NaN
        log.warning("low VRAM: %s gives other numbers on this wrapper's network (%.1e apart)", names, difference)
    return difference < _TOLERANCE


def _tiny(kind: type[Any], config: dict[str, Any], adapter: Adapter) -> tuple[Any, dict[str, Any]]:
    torch.default_generator.manual_seed(0)  # the CPU's generator only: the caller has forked that one
    unet = kind.from_config(config)
    sys.modules[kind.__module__].add_ip_adapters(unet, [32] * adapter.prompt_sets, [1.0] * adapter.prompt_sets)
    unet = unet.double().eval()
    for parameter in unet.parameters():
        if parameter.dim() == 1:  # norms and blend factors start with equal numbers, which would hide mistakes
            nn.init.normal_(parameter, std=0.5)
    random = partial(torch.randn, dtype=torch.float64)
    prompts = [random(3 * _FRAMES, 32, _CHANNELS) for _ in range(adapter.prompt_sets)]
    inputs = {
        "sample": random(3, _FRAMES, config["in_channels"], _SIDE // 8, _SIDE // 8),
        "timestep": torch.tensor(0.7),
        "encoder_hidden_states": (random(3 * _FRAMES, 1, _CHANNELS), prompts),
        "added_time_ids": random(3, 3),
        "cross_attention_kwargs": {"ip_adapter_masks": [random(1, 1, _SIDE, _SIDE).sigmoid()] * adapter.prompt_sets},
        "return_dict": False,
    }
    if adapter.pose:
        inputs["spatial_condition"] = random(3, _FRAMES, _CHANNELS, _SIDE // 8, _SIDE // 8)
    return unet, inputs


def _run(unet: Any, inputs: dict[str, Any]) -> Tensor:
    clip, prompts = inputs["encoder_hidden_states"]  # copied below: the network modifies the list
    return unet(**{**inputs, "encoder_hidden_states": (clip, list(prompts))})[0]
