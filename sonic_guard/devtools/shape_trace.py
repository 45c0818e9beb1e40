"""Rehearse a whole Sonic run on the fake GPU, with the wrapper's own code, and note every stage's peak.

The network, the pipeline's loop, `sonic_predata`, `Sonic.process`, RIFE and ComfyUI's VAE are the real
ones. Stand-ins are used only where real numbers would be needed to go on: the scheduler (same tensors,
no sigmas), the time ids, and the two calls that ComfyUI makes around the VAE.
"""

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ..job import Job
from ..low_vram import chunking, layer_orders
from ..low_vram.engine import LowVramSonic, offload_unet
from ..low_vram.prompt_offload import prompts_to_host
from ..optimizations import Optimization
from .allocation_tracker import DEVICE, AllocationTracker, fake_gpu
from .network_parts import (
    TORCH_DTYPES,
    VAE_SCALE,
    build_pipeline,
    build_sonic,
    build_unet,
    forget_grids,
    run_predata,
    run_sampler,
)
from .sonic_checkout import Checkout


@dataclass
class StagePeaks:
    """Peak bytes in one stage."""

    peak_bytes: int = 0
    """On the GPU."""
    host_bytes: int = 0
    """In host memory: tensors of the run alone, without what ComfyUI keeps there."""
    places: dict[str, int] = field(default_factory=dict)
    """On the GPU, by place: a module's path, or a line of the wrapper, and the operation."""


PREPARE = "prepare"
"""Name of the part of denoise before its loop, a stage of its own here.

With `Optimization.TENSOR_OFFLOAD` it ends when the network comes to the GPU, so that its bytes are without the network's.
"""
ENTRY = "entry"
"""The place of the bytes that are live when the network is entered: weights, inputs, all but the window."""


def trace_run(
    checkout: Checkout, job: Job, make_vae: Callable[[], Any] | None, *, network: bool = True
) -> dict[str, StagePeaks]:
    """Peaks of the stages of `job`, by stage name.

    `make_vae` builds ComfyUI's VAE network (see `comfy_vae.py`); without it, the stages that need one
    (predata and decode) are left out of the result. With `network=False` the UNet returns at once, which
    leaves everything but its windows.
    """
    forget_grids(checkout)
    with fake_gpu(checkout.path) as tracker, torch.no_grad(), _sample_groups():
        stages = _Stages(tracker)
        dtype = TORCH_DTYPES[job.dtype]
        stages.enter("load")
        unet = build_unet(checkout, dtype, DEVICE)
        rife = checkout.rife.RIFEModel(device=DEVICE) if job.interpolate else None
        stages.leave()
        vae = _Vae(make_vae, TORCH_DTYPES[job.vae_dtype], stages)
        sonic = _sonic(checkout, unet, rife, job, stages)
        if Optimization.UNET_OFFLOAD in job.optimizations:
            offload_unet(sonic)
        data = _predata(checkout, job, vae, stages)
        if network:
            tracker.name_modules(unet, "unet")
        else:
            unet.forward = partial(_no_network, tracker)
        _process(sonic, job, data, vae, stages)
        if make_vae is None:
            stages.peaks.pop("decode", None)
            stages.peaks.pop("predata", None)
    return stages.peaks


def trace_predata(checkout: Checkout, job: Job, make_vae: Callable[[], Any]) -> StagePeaks:
    """Peaks of predata, with neither Sonic's UNet nor RIFE on the GPU."""
    with fake_gpu(checkout.path) as tracker, torch.no_grad():
        stages = _Stages(tracker)
        data = _predata(checkout, job, _Vae(make_vae, TORCH_DTYPES[job.vae_dtype], stages), stages)
        stages.leave()
        del data  # alive until here, as it is in a run
    return stages.peaks["predata"]


def trace_windows(
    checkout: Checkout, dtype: str, optimizations: frozenset[Optimization], shapes: Iterable[tuple[int, int, int]]
) -> Iterator[tuple[int, StagePeaks]]:
    """What one pass of the network adds to the bytes live at its entry, for shapes (width, height, window).

    Yields the bytes at entry and the peaks by place, both in the order of `shapes`.
    """
    number = TORCH_DTYPES[dtype]
    with fake_gpu(checkout.path) as tracker, torch.no_grad(), _sample_groups():
        unet = build_unet(checkout, number, DEVICE)
        layer_orders.enable(unet, optimizations)
        tracker.name_modules(unet, "unet")
        for width, height, window in shapes:
            with DEVICE:
                sample = torch.empty(3, window, 8, height // 8, width // 8, dtype=number)
                context = (
                    torch.empty(3 * window, 1, 1024, dtype=number),
                    [torch.empty(3 * window, 32, 1024, dtype=number)],
                )
                mask = torch.empty(1, 1, height, width, dtype=number)
                time, time_ids = torch.empty(()), torch.empty(3, 3, dtype=number)
            gc.collect()
            entry = tracker.live_bytes
            tracker.begin()
            unet(
                sample, time, encoder_hidden_states=context, added_time_ids=time_ids,
                cross_attention_kwargs={"ip_adapter_masks": [mask]}, return_dict=False,
            )  # fmt: skip
            yield entry, StagePeaks(tracker.peak_bytes, places=dict(tracker.peaks))


class _Stages:
    """Splits a meter's peaks at the borders between stages; a stage may be entered more than once."""

    def __init__(self, tracker: AllocationTracker) -> None:
        self.tracker = tracker
        self.peaks: dict[str, StagePeaks] = {}
        self.open: str | None = None

    def enter(self, name: str) -> None:
        if name == self.open:
            return
        self.leave()
        gc.collect()
        self.open = name
        self.tracker.begin()

    def leave(self) -> None:
        if self.open is not None:
            self._keep(self.open)
        self.open = None

    def prepared(self) -> None:
        """Keep the peaks up to the beginning of the denoising loop."""
        self._keep(PREPARE)

    def _keep(self, name: str) -> None:
        so_far, peaks = self.tracker, self.peaks.setdefault(name, StagePeaks())
        peaks.peak_bytes = max(peaks.peak_bytes, so_far.peak_bytes)
        peaks.host_bytes = max(peaks.host_bytes, so_far.host_peak_bytes)
        for place, size in so_far.peaks.items():
            peaks.places[place] = max(peaks.places.get(place, 0), size)


def _no_network(tracker: AllocationTracker, sample: Tensor, *_: Any, **__: Any) -> tuple[Tensor]:
    """A UNet that returns at once, having noted what is live when it is entered."""
    tracker.note(ENTRY)
    return (sample.new_empty(*sample.shape[:2], 4, *sample.shape[3:]),)


def _sonic(checkout: Checkout, unet: nn.Module, rife: Any, job: Job, stages: _Stages) -> Any:
    """A `Sonic` object that tells when it is prepared for its loop, and when its network is put away after it.

    It is prepared when the loop begins or, if the network waits in host memory until then, when that is fetched.
    """
    pipe = build_pipeline(checkout, unet, _Schedule())
    pipe._get_add_time_ids = lambda *_, **__: torch.empty(3, 3)
    to, bar, host = pipe.to, pipe.progress_bar, Optimization.TENSOR_OFFLOAD in job.optimizations

    def move(*args: Any, **kwargs: Any) -> Any:
        if host and stages.open == "denoise" and DEVICE in args:
            stages.prepared()
        moved = to(*args, **kwargs)
        if stages.open == "denoise" and torch.device("cpu") in (*args, *kwargs.values()):
            stages.enter("decode")
        return moved

    def begin(*args: Any, **kwargs: Any) -> Any:
        if not host:
            stages.prepared()
        return bar(*args, **kwargs)

    pipe.to, pipe.progress_bar = move, begin
    if rife is not None:
        stages.tracker.name_modules(rife.flownet, "rife")
    return build_sonic(checkout, pipe, rife, DEVICE, interpolate=job.interpolate)


def _predata(checkout: Checkout, job: Job, vae: "_Vae", stages: _Stages) -> dict[str, Any]:
    stages.enter("predata")
    encode = vae.encode if vae.is_real else _no_latents
    with prompts_to_host() if job.to_file else nullcontext():
        return run_predata(checkout, job, DEVICE, encode, stages.tracker.name_modules)


def _process(sonic: Any, job: Job, data: dict[str, Any], vae: "_Vae", stages: _Stages) -> None:
    """Run the sampler on the wrapper's object, or on a lean one where the job has levers."""
    size = job.frame_size
    vae.pixels = (size.height, size.width)
    if Optimization.STREAMING_DECODE not in job.optimizations and job.interpolate:
        vae.frames_to_come = job.latent_frames
    if job.optimizations:
        sonic = LowVramSonic(
            sonic, job.optimizations, chunk_size=job.chunk_size, on_stage=lambda stage, *_: stages.enter(stage)
        )
    else:
        stages.enter("denoise")
    run_sampler(sonic, job, data, vae)
    stages.leave()


def _no_latents(pixels: Tensor) -> Tensor:
    """Latents of a picture [1, 3, H, W] without a VAE."""
    return pixels.new_empty(1, 4, pixels.shape[2] // VAE_SCALE, pixels.shape[3] // VAE_SCALE)


class _Schedule:
    """An Euler scheduler's tensors without its numbers, which a fake tensor cannot give."""

    order = 1
    init_noise_sigma = 1.0

    def set_timesteps(self, steps: int, device: Any) -> None:
        self.timesteps = torch.empty(steps, device=device)

    def add_noise(self, original: Tensor, noise: Tensor, _timestep: Tensor) -> Tensor:
        return original + noise * self.init_noise_sigma

    def scale_model_input(self, sample: Tensor, _timestep: Tensor) -> Tensor:
        return sample / 2.0

    def step(self, output: Tensor, _timestep: Tensor, sample: Tensor) -> SimpleNamespace:
        sample = sample.float()
        original = output * -0.5 + sample / 2.0
        derivative = (sample - original) / 2.0
        return SimpleNamespace(prev_sample=(sample + derivative).to(output.dtype))


class _Vae:
    """ComfyUI's VAE object around its own network: weights come and go, frames end in host memory."""

    def __init__(self, make: Callable[[], Any] | None, dtype: torch.dtype, stages: _Stages) -> None:
        self._make, self._dtype, self._stages = make, dtype, stages
        self._network: Any = None
        self.device = torch.device("cpu")
        self.frames_to_come = 0
        self.pixels: tuple[int, int] = (0, 0)

    @property
    def is_real(self) -> bool:
        """Whether it can be built."""
        return self._make is not None

    def encode(self, pixels: Tensor) -> Tensor:
        assert self._make is not None, "an encode was asked of a VAE that cannot be built"  # noqa: S101
        network = self._make().to(DEVICE, self._dtype).eval()
        self._stages.tracker.name_modules(network, "vae")
        with self._stages.tracker.place("vae"):
            return network.encode(pixels.to(DEVICE, self._dtype)).float().cpu()

    def decode(self, latents: Tensor) -> Tensor:
        frames = latents.shape[0]
        if self._make is None:
            pixels = torch.empty(frames, *self.pixels, 3)
        else:
            if self._network is None:
                self._network = self._make().to(DEVICE, self._dtype).eval()
                self._stages.tracker.name_modules(self._network, "vae")
            out = self._network.decode(latents.to(DEVICE, self._dtype))
            pixels = out.float().cpu().movedim(1, -1)
        self.frames_to_come -= frames
        if self.frames_to_come == 0:
            del latents
            # ComfyUI may leave the VAE's weights on the card, but gives them up for nobody but itself.
            self._stages.enter("interpolate")
        return pixels


@contextmanager
def _sample_groups() -> Iterator[None]:
    """Of many groups run the first two: the others hold the same bytes, or fewer."""
    all_groups = chunking.groups
    chunking.groups = lambda total, size: all_groups(total, size)[:2]
    try:
        yield
    finally:
        chunking.groups = all_groups
