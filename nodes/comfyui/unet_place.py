"""Where the UNet is before the sampler: on the GPU, or in host memory where a node of the graph offloads it.

The wrapper's own loader builds it on the GPU, 3.2 GB that a 3 GiB card does not have. In host memory it is there
together with the file of its weights, so it is built there only if it has to be. The weights are the same to the bit.
The wrapper's files are not changed: only the device that its builder reads is another one while the loader runs.

SONIC_PreData does not need the UNet, so it is moved to host memory before. The sampler moves it back. Nothing has to be
linked for that, and a change of Sonic Low VRAM does not make ComfyUI run SONIC_PreData again.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import WeakSet

import torch

from ...sonic_guard.devices.budget import RESERVE
from ...sonic_guard.job import Dtype, Job
from ...sonic_guard.low_vram.engine import offload_unet
from ...sonic_guard.memory.stage_model import predict
from ...sonic_guard.optimizations import Optimization
from ...sonic_guard.relatives import ADAPTERS, Relative, relative_of
from . import host
from .sonic_model import capabilities

_BUILDER, _DEVICE = "convert_cf2diffuser", "device"
"""The wrapper's function that builds the UNet, and the name of its device in that function's module."""

_loaded: WeakSet[Any] = WeakSet()
"""The models that the loader has made, and that are still in use."""


def builds_in_host_memory(work: Callable[..., Any], relative: Relative) -> Callable[..., Any]:
    """`work`, the method of the loader of `relative`, that builds in host memory where the GPU is too small for it.

    Only where a node of the running graph offloads it; Sonic's own nodes alone are left as they are.
    """
    builder = getattr(inspect.unwrap(work), "__globals__", {}).get(_BUILDER)
    names = getattr(builder, "__globals__", {})

    @functools.wraps(work)
    def on_device(*args: Any, **kwargs: Any) -> Any:
        is_known = isinstance(names.get(_DEVICE), (str, torch.device)) and ADAPTERS[relative].constants is not None
        wanted = is_known and _is_offloaded() and not _has_room(kwargs, relative)
        with _host_memory(names) if wanted else nullcontext():
            made = work(*args, **kwargs)
        for model in made if isinstance(made, tuple) else ():
            if relative_of(model) is not None:
                _loaded.add(model)
        return made

    return on_device


def runs_without_unet(work: Callable[..., Any]) -> Callable[..., Any]:
    """`work`, the method of SONIC_PreData, that runs while the UNet is in host memory.

    Only where a node of the running graph offloads it.
    """

    @functools.wraps(work)
    def after_offload(*args: Any, **kwargs: Any) -> Any:
        if _is_offloaded():
            for model in list(_loaded):
                offload_unet(model)
        return work(*args, **kwargs)

    return after_offload


def _is_offloaded() -> bool:
    can = capabilities()
    return can.to_file or Optimization.UNET_OFFLOAD in can.switches.all


def _has_room(inputs: Mapping[str, Any], relative: Relative) -> bool:
    """Whether the UNet fits into what is free on the GPU now: the loader has ComfyUI unload nothing."""
    dtype = Dtype.FP32 if inputs.get("dtype") == Dtype.FP32 else Dtype.FP16
    job = Job(512, 512, 1.0, dtype=dtype, relative=relative)  # loading depends on nothing else
    return host.live_budget(RESERVE).free_bytes >= predict(job).most("load")


@contextmanager
def _host_memory(names: dict[str, Any]) -> Iterator[None]:
    before, names[_DEVICE] = names[_DEVICE], "cpu"
    try:
        yield
    finally:
        names[_DEVICE] = before
