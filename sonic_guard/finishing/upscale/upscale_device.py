"""Where upscaling runs, and how much memory it may use there.

Imports torch: import this module lazily.
"""

from typing import NamedTuple

import torch

from ...devices.budget import live_budget
from ...devices.card_catalogue import GIB
from ...errors import BudgetError, FinishError, brief

AUTO, CPU = "auto", "cpu"
CPU_BYTES = GIB // 2
"""Of tiles in host memory: larger ones are not faster there, and a video is finished in 2 GiB."""


class Resources(NamedTuple):
    """What a device has."""

    usable_bytes: int
    fp32_tflops: float | None = None
    fp16_tflops: float | None = None
    """Published figures of a card, if they are known."""


def device_of(name: str) -> torch.device:
    """The device called `name`: cpu, cuda, cuda:1, mps, or auto.

    auto: a GPU that is not the first one, on which Sonic runs, the one with the most free memory; else the first GPU;
    else the CPU. Raises `FinishError` for a device that is not there.
    """
    return _auto() if name == AUTO else _named(name)


def resources_of(device: torch.device) -> Resources:
    """What `device` has now. Raises `FinishError` if it does not answer."""
    if device.type == "cpu":
        return Resources(CPU_BYTES)
    try:
        budget = live_budget(device.index if device.type == "cuda" else None)
    except BudgetError as error:
        raise FinishError(
            f"device: {device} does not answer ({error.text}) Use another device, such as cpu."
        ) from error
    speed = budget.speed
    return Resources(budget.usable_bytes, *((speed.fp32_tflops, speed.fp16_tflops) if speed else ()))


def best_dtype(device: torch.device, formats: tuple[torch.dtype, ...]) -> torch.dtype:
    """The first of `formats` in which `device` is fast."""
    return next((each for each in formats if _is_fast(device, each)), torch.float32)


def _is_fast(device: torch.device, dtype: torch.dtype) -> bool:
    if dtype == torch.float32:
        return True
    if device.type == "cuda":
        major = torch.cuda.get_device_properties(device).major
        return major >= (8 if dtype == torch.bfloat16 else 7)  # before, CUDA has fp16 that is slower than fp32
    return device.type == "mps" and dtype == torch.float16


def _auto() -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count > 1:
        return torch.device("cuda", max(range(1, count), key=lambda index: torch.cuda.mem_get_info(index)[0]))
    if count:
        return torch.device("cuda", 0)
    return torch.device("mps" if torch.backends.mps.is_available() else CPU)


def _named(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError, ValueError) as error:
        raise FinishError(f"device: {brief(name)} is no device. Use auto, cpu, cuda or cuda:1.") from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = {"cpu": True, "cuda": (device.index or 0) < count, "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False):
        raise FinishError(f"device: there is no {brief(name)} here that torch can use. Use auto or cpu.")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device
