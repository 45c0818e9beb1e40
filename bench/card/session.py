"""What the checks share: the networks on the device, their sizes, and the time that is left."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sonic_guard.devices.card_catalogue import GIB
from sonic_guard.devtools.gpu_peaks import free_cache, limit_memory
from sonic_guard.devtools.gpu_stages import Bench
from sonic_guard.devtools.measured_cases import Case
from sonic_guard.devtools.narrow_wrapper import FEW
from sonic_guard.devtools.network_parts import run_sampler
from sonic_guard.devtools.sonic_checkout import Checkout
from sonic_guard.job import Dtype
from sonic_guard.optimizations import Optimization

from .results import Row


@dataclass(frozen=True)
class Scale:
    """The sizes of the checks: those of a card, or those with which a CPU runs the same code."""

    sides: tuple[int, ...]
    """Pixels per side of denoising cases."""
    frames: int
    """Latent frames of a case, and of its window."""
    cards_gib: tuple[int, ...]
    """Cards that runs are planned for."""
    clips: tuple[int, int]
    """Latent frames of a short and a long clip: 10 s and 10 min."""
    clip_side: int
    readings: int
    """Readings of the live memory."""
    dtype: Dtype
    vae_dtype: Dtype
    config: dict[str, Any] | None
    """Replaces a part of the UNet's configuration."""


CARD = Scale((512, 1024), 25, (3, 4, 6, 8, 12, 16, 24), (125, 7500), 128, 2000, Dtype.FP16, Dtype.BF16, None)
TINY = Scale((64,), 3, (), (4, 8), 64, 50, Dtype.FP32, Dtype.FP32, FEW)


@dataclass(frozen=True)
class Session:
    """One call of the command."""

    checkout: Checkout
    device: torch.device
    scale: Scale
    out: Path
    begun: float
    """On `time.monotonic`'s clock."""
    limit_s: float
    """Seconds that this call may take."""
    comfyui: Path | None = None

    @property
    def on_card(self) -> bool:
        """Whether the device is a CUDA card."""
        return self.device.type == "cuda"

    @property
    def left_s(self) -> float:
        """Seconds left in this call."""
        return self.begun + self.limit_s - time.monotonic()

    def expect_s(self, seconds: float) -> float:
        """Seconds to expect of a row that was not timed yet: less in a short call, which would never begin."""
        return min(seconds, self.limit_s / 2)

    @cached_property
    def bench(self) -> Bench:
        """The networks, built when the first check wants them."""
        config = self.scale.config and {**self.checkout.unet_config, **self.scale.config}
        torch.manual_seed(0)
        return Bench(self.checkout, self.device, config)

    def case(self, side: int, optimizations: frozenset[Optimization] = frozenset(), **settings: Any) -> Case:
        """Denoise at this size and this scale's formats."""
        scale = self.scale
        settings = {"frames": scale.frames, "window": scale.frames, "dtype": scale.dtype} | settings
        return Case("denoise", side, side, optimizations=optimizations, vae_dtype=scale.vae_dtype, **settings)

    def measure(self, case: Case, **others: Any) -> Row:
        """A row of `case`: its settings, the prediction, and what was measured."""
        self.bench.settle()
        return {"key": case.name, **self.bench.run(case).to_json(), **others}

    def frames(self, case: Case, fallbacks: Sequence[Optimization] = ()) -> tuple[Tensor, list[str], float]:
        """The frames of a whole run of the sampler, the fallbacks that were enabled, and its seconds.

        The inputs are the same in each call with the same size and format. `case.card_gib` limits torch's allocator.
        Raises what torch raises if the memory is not enough.
        """
        self.bench.settle()
        with self.limited(case.card_gib):
            torch.manual_seed(1)
            vae, data = self.bench.vae(case), self.bench.random_data(case.job)
            model, enabled = self.bench.model(case, fallbacks), []
            model.on_restart = lambda optimization, _: enabled.append(str(optimization))
            start = time.perf_counter()
            with torch.no_grad():
                frames = run_sampler(model, case.job, data, vae)
            return frames, enabled, time.perf_counter() - start

    @contextmanager
    def limited(self, card_gib: int | None) -> Iterator[None]:
        """Hold torch's allocator to a card of this size inside the block."""
        limit_memory(self.device, card_gib and card_gib * GIB)
        try:
            yield
        finally:
            limit_memory(self.device, None)

    def peak_gib(self) -> float | None:
        """Peak of the live tensors since `reset_peak`; None without a card."""
        return torch.cuda.max_memory_allocated(self.device) / GIB if self.on_card else None

    def reset_peak(self) -> None:
        """Free the cache and begin a new peak."""
        free_cache(self.device)
        if self.on_card:
            torch.cuda.reset_peak_memory_stats(self.device)


class OutOfTimeError(Exception):
    """The time of the call is up in the middle of a row, which is made again in the next."""


def apart(frames: Tensor, others: Tensor) -> dict[str, Any]:
    """How far `frames` are from `others`: equal to the bit, and the difference's rms as a share of that of `others`."""
    difference = (frames.double() - others.double()).square().mean().sqrt()
    return {
        "equal": bool(torch.equal(frames, others)),
        "rms": float(difference / others.double().square().mean().sqrt().clamp_min(1e-12)),
        "finite": bool(torch.isfinite(frames).all()),
    }
