"""Which levers a Sonic wrapper can bear: its objects are looked over, and its network is tried out.

The wrapper has forks, and changes. What the engine relies on is checked by name; whether another order of
the arithmetic gives the wrapper's own numbers is checked by running a tiny network of the same class in
both orders, once a class.
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
from . import layer_orders
from .engine import LowVramSonic, offload_unet
from .frame_stream import OnStage

log = logging.getLogger(__name__)

_ATTRIBUTES = ("pipe", "device", "use_interframe", "process")
_PROCESS = (
    "self",
    "audio_tensor_list",
    "uncond_audio_tensor_list",
    "motion_buckets",
    "test_data",
    "image_embeds",
    "vae",
)
_PIPE = (
    *("image_embeddings", "img_latent", "latents", "num_frames", "height", "width", "num_inference_steps"),
    *("frames_per_batch", "overlap"),
)
_TRIALS = (
    (Optimization.FEED_FORWARD_CHUNKING,),
    (Optimization.SEQUENTIAL_CFG, Optimization.TENSOR_OFFLOAD),
    (Optimization.LAYER_CHUNKING,),
)
"""Levers that stand or fall together."""
_FRAMES, _SIDE, _CHANNELS, _MIN_CHUNK_SIZE = 3, 64, 32, 2048
"""Of the tiny network; small enough for several pieces in every layer."""
_SAME = 1e-9
"""Largest distance, relative to the largest number, at which fp64 numbers are the same."""


def low_vram_model(
    model: Any,
    optimizations: Iterable[Optimization],
    *,
    chunk_size: int = MIN_CHUNK_SIZE,
    on_stage: OnStage | None = None,
) -> LowVramSonic:
    """`model`, the wrapper's own or a lean one, under `optimizations`; see `LowVramSonic`.

    With `Optimization.UNET_OFFLOAD` its network is moved to host memory now. Raises `WrapperError` if the wrapper is not
    one that is known here, or cannot bear one of the levers.
    """
    sonic = wrapped(model)
    optimizations = frozenset(optimizations)
    if unsupported := optimizations - recognise(sonic):
        raise WrapperError(
            f"lean: this Sonic wrapper cannot bear {', '.join(sorted(unsupported))}: its network, or its device, is not as "
            "that needs it. Switch it off, and tell us the wrapper's version."
        )
    if Optimization.UNET_OFFLOAD in optimizations:
        offload_unet(sonic)
    return LowVramSonic(sonic, optimizations, chunk_size=chunk_size, on_stage=on_stage)


def wrapped(model: Any) -> Any:
    """The wrapper's own object in `model`, which may be lean."""
    return model.sonic if isinstance(model, LowVramSonic) else model


def recognise(sonic: Any) -> frozenset[Optimization]:
    """The levers that can be pulled on `sonic`, a loaded model of the wrapper.

    Raises `WrapperError` if it is no model of a Sonic wrapper known here. The first call for a wrapper runs
    a tiny network for a second or two.
    """
    try:
        return _borne_by(sonic)
    except WrapperError:
        raise
    except Exception as error:  # of something strange anything may be strange
        raise _unknown(repr(error)) from error


def _borne_by(sonic: Any) -> frozenset[Optimization]:
    for name in _ATTRIBUTES:
        _need(hasattr(sonic, name), f"it has no {name}")
    _need_parameters(type(sonic).process, _PROCESS, "its process()")
    _need(isinstance(getattr(sonic.pipe, "unet", None), nn.Module), "its pipeline has no unet")
    _need(hasattr(sonic.pipe, "vae_scale_factor"), "its pipeline has no vae_scale_factor")
    _need_parameters(type(sonic.pipe).__call__, _PIPE, "its pipeline")
    rife = getattr(sonic, "rife", None)
    _need(not sonic.use_interframe or hasattr(rife, "inference"), "its RIFE has no inference()")
    optimizations = _borne(type(sonic.pipe.unet), _tiny_config(sonic.pipe.unet))
    if torch.device(sonic.device).type != "mps":
        optimizations |= {Optimization.FP8_WEIGHTS}
    return optimizations | {Optimization.STREAMING_DECODE, Optimization.UNET_OFFLOAD}


def _need(fulfilled: bool, reason: str) -> None:
    if not fulfilled:
        raise _unknown(reason)


def _unknown(reason: str) -> WrapperError:
    return WrapperError(
        f"lean: the model on `model` is not that of a Sonic wrapper known here ({reason}). Connect the model of "
        "SONICTLoader; if it is, tell us the wrapper's version."
    )


def _need_parameters(function: Any, names: tuple[str, ...], what: str) -> None:
    missing = [name for name in names if name not in inspect.signature(function).parameters]
    _need(not missing, f"{what} takes no {', '.join(missing)}")


_Config = tuple[tuple[str, Any], ...]
"""A network's configuration, hashable."""


def _tiny_config(unet: Any) -> _Config:
    """The configuration of `unet` with as few channels as its norms allow."""
    config = {key: value for key, value in unet.config.items() if not key.startswith("_")}
    depth = len(config["block_out_channels"])
    config |= {
        "block_out_channels": (_CHANNELS,) * depth,
        "num_attention_heads": (2,) * depth,
        "cross_attention_dim": _CHANNELS,
    }
    return tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in config.items())


@cache
def _borne(kind: type[Any], config: _Config) -> frozenset[Optimization]:
    """The levers under which a tiny network of class `kind` gives the numbers of its own order."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.no_grad():
            unet, inputs = _tiny(kind, dict(config))
            stock = _run(unet, inputs)
    except Exception as error:  # whatever a strange constructor may raise
        raise WrapperError(
            f"lean: a small network of this Sonic wrapper could not be tried out ({error!r}). Take Sonic Low VRAM out "
            "of the graph, and tell us the wrapper's version."
        ) from error
    return frozenset(
        optimization
        for optimizations in _TRIALS
        if _bears(unet, inputs, stock, optimizations)
        for optimization in optimizations
    )


def _bears(unet: Any, inputs: dict[str, Any], stock: Tensor, optimizations: tuple[Optimization, ...]) -> bool:
    try:
        with ExitStack() as undo, torch.no_grad():
            undo.callback(
                layer_orders.enable(unet, optimizations, chunk_size=_MIN_CHUNK_SIZE, device=torch.device("cpu"))
            )
            apart = float((_run(unet, inputs) - stock).abs().max() / stock.abs().max())
    except Exception as error:  # the layers are not what the order takes them for, in whatever way
        log.warning("lean: %s fails on this wrapper's network: %r", "+".join(optimizations), error)
        return False
    if not apart < _SAME:
        log.warning(
            "lean: %s gives other numbers on this wrapper's network (%.1e apart)", "+".join(optimizations), apart
        )
    return apart < _SAME


def _tiny(kind: type[Any], config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    torch.default_generator.manual_seed(0)  # the CPU's alone: the GPU's are the user's
    unet = kind.from_config(config)
    sys.modules[kind.__module__].add_ip_adapters(unet, [32], [1.0])
    unet = unet.double().eval()
    for parameter in unet.parameters():
        if parameter.dim() == 1:  # norms and blends begin all alike, which would hide a mistake
            nn.init.normal_(parameter, std=0.5)
    random = partial(torch.randn, dtype=torch.float64)
    inputs = {
        "sample": random(3, _FRAMES, config["in_channels"], _SIDE // 8, _SIDE // 8),
        "timestep": torch.tensor(0.7),
        "encoder_hidden_states": (random(3 * _FRAMES, 1, _CHANNELS), [random(3 * _FRAMES, 32, _CHANNELS)]),
        "added_time_ids": random(3, 3),
        "cross_attention_kwargs": {"ip_adapter_masks": [random(1, 1, _SIDE, _SIDE).sigmoid()]},
        "return_dict": False,
    }
    return unet, inputs


def _run(unet: Any, inputs: dict[str, Any]) -> Tensor:
    clip, prompts = inputs["encoder_hidden_states"]  # a list the network writes to
    return unet(**{**inputs, "encoder_hidden_states": (clip, list(prompts))})[0]
