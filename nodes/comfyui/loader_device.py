"""Lets SONICTLoader build the UNet in host memory, from where the sampler brings it to the GPU.

The wrapper's own loader builds it on the GPU, where it waits until sampling: 3.2 GB that SONIC_PreData has to do
without, and more than a 3 GiB card has. The weights are the same to the bit. The wrapper's files are not changed: only
the device that its builder reads is another one while the loader runs.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from ...sonic_guard.optimizations import Optimization
from .sonic_model import capabilities

_BUILDER, _DEVICE = "convert_cf2diffuser", "device"
"""The wrapper's function that builds the UNet, and the name of its device in that function's module."""


def builds_in_host_memory(work: Callable[..., Any]) -> Callable[..., Any]:
    """`work`, the loader's method, that builds in host memory where a node of the running graph offloads the UNet."""
    builder = getattr(inspect.unwrap(work), "__globals__", {}).get(_BUILDER)
    names = getattr(builder, "__globals__", {})

    @functools.wraps(work)
    def on_device(*args: Any, **kwargs: Any) -> Any:
        wanted = isinstance(names.get(_DEVICE), (str, torch.device)) and _is_offloaded()
        with _host_memory(names) if wanted else nullcontext():
            return work(*args, **kwargs)

    return on_device


def _is_offloaded() -> bool:
    can = capabilities()
    return can.to_file or Optimization.UNET_OFFLOAD in can.switches.all


@contextmanager
def _host_memory(names: dict[str, Any]) -> Iterator[None]:
    before, names[_DEVICE] = names[_DEVICE], "cpu"
    try:
        yield
    finally:
        names[_DEVICE] = before
