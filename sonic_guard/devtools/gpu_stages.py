"""Runs single stages of Sonic on a real card, with the wrapper's own classes and random weights.

ComfyUI's VAE, which is not available without ComfyUI, is replaced by diffusers' VAE for the same checkpoint. In stages
that do not measure them, the VAE and the pipeline are replaced by objects that return tensors of the right shapes.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ..devices.card_catalogue import GIB
from ..errors import SonicGuardError
from ..job import Job
from ..low_vram.engine import LowVramSonic
from ..low_vram.frame_stream import FrameStream
from ..memory.constants import DECODE_GROUP
from ..optimizations import Optimization
from .ballast import Ballast
from .gpu_peaks import free_cache, limit_allocator, limit_memory, now, read_peaks
from .measured_cases import RUN, Case
from .measured_table import MeasuredPeaks, Row, Try
from .network_parts import (
    PROMPT_TOKENS,
    PROMPT_WIDTH,
    TORCH_DTYPES,
    VAE_SCALE,
    build_model,
    build_pipeline,
    build_test_data,
    build_unet,
    forget_grids,
    read_config,
    run_predata,
    run_sampler,
)
from .sonic_checkout import Checkout
from .stand_in_vae import BlankVae, DiffusersVae

Work = Callable[[], object]

_HOST = torch.device("cpu")
_OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED", "can't allocate memory")
"""Texts of the errors of torch, of cuBLAS and cuDNN, and of torch's host allocator."""


class Bench:
    """The wrapper's objects for one device, reused for all cases.

    Between cases the UNet is in host memory, where the wrapper's sampler leaves it too; RIFE stays on the device, as in
    a run.
    """

    def __init__(self, checkout: Checkout, device: torch.device, unet_config: Mapping[str, Any] | None = None) -> None:
        """Build the networks; `unet_config` replaces the checkout's configuration of the UNet."""
        from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

        self._checkout = checkout
        self._device = device
        self._also_live: object = None
        """Objects that are on the device during a case without being its inputs."""
        self._unet = build_unet(checkout, torch.float16, _HOST, unet_config)
        self._clock = _PassClock(self._unet, device)
        self._rife = checkout.rife.RIFEModel(device=device)
        scheduler = EulerDiscreteScheduler.from_config(read_config(checkout, "scheduler/scheduler_config.json"))
        self._pipe = build_pipeline(checkout, self._unet, scheduler)
        self._stages: dict[str, Callable[[Case], Work]] = {
            "load": self._load,
            "predata": self._predata,
            "denoise": self._denoise,
            "decode": self._decode,
            "interpolate": self._interpolate,
            RUN: self._run,
        }

    def settle(self) -> None:
        """Free the memory of the last case.

        Raises `SonicGuardError` if the card no longer answers, as after some kernel failures.
        """
        self._also_live = None
        try:
            self._unet.to(_HOST)
            forget_grids(self._checkout)
            free_cache(self._device)
        except RuntimeError as error:
            raise SonicGuardError(
                f"measure: the card no longer answers ({_first_line(error)}). "
                "Start the measurement again: it goes on after the last case in the table."
            ) from error

    def run(self, case: Case) -> Row:
        """Measure one case. Out-of-memory errors and failing kernels are results, recorded in the row."""
        start = time.monotonic()
        limit_memory(self._device, case.card_gib and case.card_gib * GIB)
        peaks, failure = self._measure(case)
        limit_memory(self._device, None)
        return Row(
            case,
            predicted_bytes=case.predict_bytes(),
            peaks=peaks,
            pass_s=self._clock.seconds if peaks else None,
            wall_s=time.monotonic() - start,
            oom=case.stage if _is_out_of_memory(failure) else None,
            error=failure or None,
        )

    def run_within(self, case: Case, limit_bytes: int, ballast: Ballast | None = None) -> Try:
        """Run a case while torch's allocator may hold `limit_bytes` on the card, or while `ballast` fills the rest.

        Raises `SonicGuardError` if it fails for another reason than memory.
        """
        held = torch.cuda.memory_reserved(self._device)
        if ballast:
            ballast.leave(limit_bytes - held)
        else:
            limit_allocator(self._device, limit_bytes)
        peaks, failure = self._measure(case)
        if ballast:
            ballast.drop()
        else:
            limit_allocator(self._device, None)
        if failure and not _is_out_of_memory(failure):
            raise SonicGuardError(f"measure: {case.name} failed: {failure}")
        return Try(case, limit_bytes, peaks is not None, peaks, failure or None)

    def _measure(self, case: Case) -> tuple[MeasuredPeaks | None, str]:
        """The peaks of a case, or None and the first line of torch's error."""
        self._clock.seconds = None
        try:
            with torch.no_grad():
                return read_peaks(self._device, self._stages[case.stage](case)), ""
        except RuntimeError as error:
            return None, _first_line(error)

    def model(self, case: Case, fallbacks: Sequence[Optimization] = ()) -> Any:
        """The wrapper's object for `case`: a `LowVramSonic` where it has optimizations or `fallbacks`."""
        self._set_dtype(case)
        sonic = self._sonic(self._pipe, interpolate=case.interpolate)
        if not case.optimizations and not fallbacks:
            return sonic
        return LowVramSonic(sonic, case.optimizations, fallbacks=fallbacks, chunk_size=case.chunk_size)

    @contextmanager
    def channels_last(self) -> Iterator[None]:
        """Inside the block the UNet's convolutions over pictures have their weights with the channels last.

        Their results follow, and what comes after them.
        """
        convolutions = [module for module in self._unet.modules() if isinstance(module, nn.Conv2d)]
        for module in convolutions:
            module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - torch's stub lacks it
        try:
            yield
        finally:
            for module in convolutions:
                module.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]

    def vae(self, case: Case) -> DiffusersVae:
        """Diffusers' VAE in the number format of `case`, with random weights that are always the same."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return DiffusersVae(self._checkout, TORCH_DTYPES[case.vae_dtype], self._device, 1)

    # Each of the following creates what is live before the stage, and returns a function that runs the stage.

    def _load(self, case: Case) -> Work:
        self._set_dtype(case)
        return partial(self._pipe.to, self._device)

    def _predata(self, case: Case) -> Work:
        self._set_dtype(case)
        if Optimization.UNET_OFFLOAD not in case.optimizations:
            self._pipe.to(self._device)
        vae = DiffusersVae(self._checkout, TORCH_DTYPES[case.vae_dtype], self._device)
        return partial(run_predata, self._checkout, case.job, self._device, vae.encode)

    def _denoise(self, case: Case) -> Work:
        self._set_dtype(case)
        sonic = self._sonic(self._pipe, case, interpolate=False)
        return partial(run_sampler, sonic, case.job, self.random_data(case.job), BlankVae(case.job))

    def _decode(self, case: Case) -> Work:
        vae = DiffusersVae(self._checkout, TORCH_DTYPES[case.vae_dtype], self._device)
        latents = _random_latents(case.job, TORCH_DTYPES[case.dtype], self._device)
        self._also_live = self.random_data(case.job)
        decode = self._checkout.sonic.decode_latents_
        return partial(decode, latents, vae, self._device, decode_chunk_size=DECODE_GROUP)

    def _interpolate(self, case: Case) -> Work:
        job, data = case.job, self.random_data(case.job)
        # ComfyUI may keep the VAE's weights on the card.
        vae = DiffusersVae(self._checkout, TORCH_DTYPES[case.vae_dtype], self._device).load()
        self._also_live = (data, vae)
        blank = BlankVae(job)
        if Optimization.STREAMING_DECODE in case.optimizations:
            latents = _random_latents(job, TORCH_DTYPES[case.dtype], self._device)
            stream = FrameStream(blank, self._rife, self._device, job.latent_frames, _drop, _drop)
            return lambda: [stream.decode(group) for group in latents[0].split(DECODE_GROUP)]
        sonic = self._sonic(_IdlePipe(job, self._device), interpolate=True)
        return partial(run_sampler, sonic, job, data, blank)

    def _run(self, case: Case) -> Work:
        self._set_dtype(case)
        # With little memory ComfyUI decodes fewer frames at a time, down to one.
        group = 1 if case.card_gib else DECODE_GROUP
        vae = DiffusersVae(self._checkout, TORCH_DTYPES[case.vae_dtype], self._device, group)
        sonic = self._sonic(self._pipe, case, interpolate=case.interpolate)

        def work() -> None:
            if Optimization.UNET_OFFLOAD not in case.optimizations:
                self._pipe.to(self._device)
            data = run_predata(self._checkout, case.job, self._device, vae.encode)
            run_sampler(sonic, case.job, data, vae)

        return work

    def _set_dtype(self, case: Case) -> None:
        self._unet.to(TORCH_DTYPES[case.dtype])

    def _sonic(self, pipe: Any, case: Case | None = None, *, interpolate: bool) -> Any:
        sonic = build_model(self._checkout, pipe, self._rife, self._device, interpolate=interpolate)
        return (
            LowVramSonic(sonic, case.optimizations, chunk_size=case.chunk_size)
            if case and case.optimizations
            else sonic
        )

    def random_data(self, job: Job) -> dict[str, Any]:
        """The output of predata, with random numbers."""
        dtype, size, device = TORCH_DTYPES[job.dtype], job.frame_size, self._device
        frames = range(job.latent_frames)
        latent = torch.randn(1, 4, size.height // VAE_SCALE, size.width // VAE_SCALE, device=device, dtype=dtype)
        return {
            "test_data": build_test_data(job, device),
            "audio_tensor_list": [torch.randn(PROMPT_TOKENS, PROMPT_WIDTH, device=device) for _ in frames],
            "uncond_audio_tensor_list": [torch.randn(PROMPT_TOKENS, PROMPT_WIDTH, device=device) for _ in frames],
            "motion_buckets": [torch.full((2, 1), 16.0, device=device) for _ in frames],
            "image_embeddings": torch.randn(1, PROMPT_WIDTH, device=device, dtype=dtype),
            "img_latent": latent,
        }


class _PassClock:
    """Seconds of the UNet's latest pass, with the device synchronised before and after."""

    def __init__(self, unet: nn.Module, device: torch.device) -> None:
        self.seconds: float | None = None
        self._device = device
        self._start = 0.0
        unet.register_forward_pre_hook(self._enter)
        unet.register_forward_hook(self._leave)

    def _enter(self, *_: object) -> None:
        self._start = now(self._device)

    def _leave(self, *_: object) -> None:
        self.seconds = now(self._device) - self._start


class _IdlePipe:
    """A pipeline after denoising: it returns random latents and holds no network."""

    def __init__(self, job: Job, device: torch.device) -> None:
        self._latents = partial(_random_latents, job, TORCH_DTYPES[job.dtype], device)

    def to(self, *_: object, **__: object) -> "_IdlePipe":
        return self

    def __call__(self, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(frames=self._latents())


def _drop(*_: object) -> None:
    """Ignore frames and progress."""


def _random_latents(job: Job, dtype: torch.dtype, device: torch.device) -> Tensor:
    size = job.frame_size
    height, width = size.height // VAE_SCALE, size.width // VAE_SCALE
    return torch.randn(1, job.latent_frames, 4, height, width, device=device, dtype=dtype)


def _is_out_of_memory(failure: str) -> bool:
    return any(words in failure for words in _OUT_OF_MEMORY)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
