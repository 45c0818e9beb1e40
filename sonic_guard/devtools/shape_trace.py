"""Shape tracing: runs Sonic, or a relative, on the fake GPU, with its own code, and records the peak of every stage.

The network, the pipeline's loop, `sonic_predata`, `Sonic.process`, RIFE and ComfyUI's VAE are the real ones. Only
what needs real numbers is replaced: the scheduler (same tensors, no sigmas), the time ids, and ComfyUI's two calls
around the VAE.
"""

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ..job import Job
from ..low_vram import chunking, layer_orders, weight_streaming
from ..low_vram.engine import LowVramSonic, offload_unet
from ..low_vram.prompt_offload import prompts_to_host
from ..memory.constants import CHANNELS
from ..memory.hard_limits import GUIDANCE_BRANCHES
from ..optimizations import Optimization
from ..relatives import ADAPTERS, Relative
from .allocation_tracker import DEVICE, AllocationTracker, fake_gpu
from .network_parts import (
    TORCH_DTYPES,
    VAE_SCALE,
    build_unet,
    forget_grids,
)
from .relative_parts import PARTS
from .sonic_checkout import Checkout


@dataclass
class StagePeaks:
    """Peak bytes in one stage."""

    peak_bytes: int = 0
    """On the GPU."""
    host_bytes: int = 0
    """In host memory: tensors of the run, without ComfyUI's own."""
    locations: dict[str, int] = field(default_factory=dict)
    """On the GPU, by code location: a module's path, or a line of the wrapper, and the operation."""


PREPARE = "prepare"
"""Name of the part of denoise before its loop, which is a stage of its own here.

With `Optimization.TENSOR_OFFLOAD` it ends when the network is moved to the GPU, so its bytes are without the network.
"""
ENTRY = "entry"
"""The location of the bytes that are live when the network is entered: weights, inputs, all but the window's."""


def trace_run(
    checkout: Checkout,
    job: Job,
    make_vae: Callable[[], Any] | None,
    *,
    network: bool = True,
    window: int | None = None,
) -> dict[str, StagePeaks]:
    """Peaks of the stages of `job`, by stage name.

    `make_vae` builds ComfyUI's VAE network (see `comfy_vae`); without it, the stages that need one (predata and decode)
    are left out of the result. With `network=False` the UNet returns at once, so that its windows are not counted.
    `window` is another one than the job's, for a relative that has only one.
    """
    forget_grids(checkout)
    with fake_gpu(checkout.path) as tracker, torch.no_grad(), _sample_groups():
        stages = _Stages(tracker)
        dtype = TORCH_DTYPES[job.dtype]
        stages.enter("load")
        unet = build_unet(checkout, dtype, DEVICE)
        rife = checkout.rife.RIFEModel(device=DEVICE) if job.interpolate else None
        sonic = _sonic(checkout, unet, rife, job, stages)
        stages.leave()
        vae = _Vae(make_vae, TORCH_DTYPES[job.vae_dtype], stages)
        if Optimization.UNET_OFFLOAD in job.optimizations:
            offload_unet(sonic)
        data = _predata(checkout, job, vae, stages)
        if network:
            tracker.name_modules(unet, "unet")
        else:
            unet.forward = partial(_no_network, tracker)
        _process(checkout.relative, sonic, job, data, vae, stages, window)
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
        del data  # kept until here, as in a run
    return stages.peaks["predata"]


def trace_windows(
    checkout: Checkout, dtype: str, optimizations: frozenset[Optimization], shapes: Iterable[tuple[int, int, int]]
) -> Iterator[tuple[int, StagePeaks]]:
    """Trace one pass of the network for each of `shapes` (width, height, window).

    Yields the live bytes when the network is entered, and the peaks, in the order of `shapes`.
    """
    number, adapter = TORCH_DTYPES[dtype], ADAPTERS[checkout.relative]
    with fake_gpu(checkout.path) as tracker, torch.no_grad(), _sample_groups():
        unet = build_unet(checkout, number, DEVICE)
        if Optimization.SEQUENTIAL_CFG in optimizations:
            unet.forward = partial(_last_branch, unet.forward, count(1))
        layer_orders.enable(unet, optimizations)
        if Optimization.STREAM_WEIGHTS in optimizations:
            weight_streaming.enable(unet.to("cpu"), DEVICE)
        tracker.name_modules(unet, "unet")
        for width, height, window in shapes:
            with DEVICE:
                sample = torch.empty(3, window, 8, height // 8, width // 8, dtype=number)
                context = (
                    torch.empty(3 * window, 1, 1024, dtype=number),
                    [torch.empty(3 * window, 32, 1024, dtype=number) for _ in range(adapter.prompt_sets)],
                )
                masks = [torch.empty(1, 1, height, width, dtype=number)] * adapter.prompt_sets
                sides = height // 8, width // 8
                pose = torch.empty(3, window, CHANNELS[0], *sides, dtype=number) if adapter.pose else None
                time, time_ids = torch.empty(()), torch.empty(3, 3, dtype=number)
            gc.collect()
            entry = tracker.live_bytes
            tracker.begin()
            unet(
                sample, time, encoder_hidden_states=context, added_time_ids=time_ids,
                spatial_condition=pose, cross_attention_kwargs={"ip_adapter_masks": masks}, return_dict=False,
            )  # fmt: skip
            yield entry, StagePeaks(tracker.peak_bytes, locations=dict(tracker.peaks))


def _last_branch(forward: Callable[..., Any], calls: Iterator[int], sample: Tensor, *args: Any, **kwargs: Any) -> Any:
    """The UNet's call for one guidance branch; only the last one is run: the others take the same memory, or less."""
    if next(calls) % GUIDANCE_BRANCHES == 0:
        return forward(sample, *args, **kwargs)
    return (sample.new_empty(*sample.shape[:2], 4, *sample.shape[3:]),)


class _Stages:
    """Attributes a tracker's peaks to stages; a stage may be entered more than once."""

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
        """Record the peaks before the denoising loop."""
        self._keep(PREPARE)

    def _keep(self, name: str) -> None:
        tracker, peaks = self.tracker, self.peaks.setdefault(name, StagePeaks())
        peaks.peak_bytes = max(peaks.peak_bytes, tracker.peak_bytes)
        peaks.host_bytes = max(peaks.host_bytes, tracker.host_peak_bytes)
        for location, size in tracker.peaks.items():
            peaks.locations[location] = max(peaks.locations.get(location, 0), size)


def _no_network(tracker: AllocationTracker, sample: Tensor, *_: Any, **__: Any) -> tuple[Tensor]:
    """A UNet that records the live bytes and returns at once."""
    tracker.note(ENTRY)
    return (sample.new_empty(*sample.shape[:2], 4, *sample.shape[3:]),)


def _sonic(checkout: Checkout, unet: nn.Module, rife: Any, job: Job, stages: _Stages) -> Any:
    """A `Sonic` object that reports the beginning of the denoising loop and the network's offload after it to `stages`.

    The preparation ends when the loop begins or, with `TENSOR_OFFLOAD`, when the network is moved to the GPU.
    """
    parts = PARTS[checkout.relative]
    pipe = parts.build_pipeline(checkout, unet, _Schedule())
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
    if pose := ADAPTERS[checkout.relative].pose:
        stages.tracker.name_modules(getattr(pipe, pose.network), "pose")
    return parts.build_model(checkout, pipe, rife, DEVICE, interpolate=job.interpolate)


def _predata(checkout: Checkout, job: Job, vae: "_Vae", stages: _Stages) -> dict[str, Any]:
    stages.enter("predata")
    encode = vae.encode if vae.is_real else _no_latents
    with prompts_to_host() if job.to_file else nullcontext():
        return PARTS[checkout.relative].run_predata(checkout, job, DEVICE, encode, stages.tracker.name_modules)


def _process(
    relative: Relative, sonic: Any, job: Job, data: dict[str, Any], vae: "_Vae", stages: _Stages, window: int | None
) -> None:
    """Run the sampler on the wrapper's object, or on a `LowVramSonic` if the job has optimizations."""
    size, padding = job.frame_size, job.latent_frames - job.sound_frames
    vae.pixels = (size.height, size.width)
    if Optimization.STREAMING_DECODE not in job.optimizations and job.interpolate:
        vae.frames_to_come = job.sound_frames + (window if window and padding else padding)
    if job.optimizations:
        sonic = LowVramSonic(
            sonic, job.optimizations, chunk_size=job.chunk_size, on_stage=lambda stage, *_: stages.enter(stage)
        )
    else:
        stages.enter("denoise")
    PARTS[relative].run_sampler(sonic, job, data, vae, window=window)
    stages.leave()


def _no_latents(pixels: Tensor) -> Tensor:
    """Empty latents for a picture [1, 3, H, W]."""
    return pixels.new_empty(1, 4, pixels.shape[2] // VAE_SCALE, pixels.shape[3] // VAE_SCALE)


class _Schedule:
    """An Euler scheduler with the same tensors and without sigmas, which need real numbers."""

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
    """ComfyUI's VAE object with its real network: weights are loaded on use, frames go to host memory."""

    def __init__(self, make: Callable[[], Any] | None, dtype: torch.dtype, stages: _Stages) -> None:
        self._make, self._dtype, self._stages = make, dtype, stages
        self._network: Any = None
        self.device = torch.device("cpu")
        self.frames_to_come = 0
        self.pixels: tuple[int, int] = (0, 0)

    @property
    def is_real(self) -> bool:
        """Whether the network can be built."""
        return self._make is not None

    @property
    def first_stage_model(self) -> Any:
        """The network, by ComfyUI's name for it, in host memory until it decodes; None where there is none."""
        if self._network is None and self._make is not None:
            self._network = self._make().to("cpu", self._dtype).eval()
            self._stages.tracker.name_modules(self._network, "vae")
        return self._network

    def encode(self, pixels: Tensor) -> Tensor:
        assert self._make is not None, "this VAE has no network"  # noqa: S101
        network = self._make().to(DEVICE, self._dtype).eval()
        self._stages.tracker.name_modules(network, "vae")
        with self._stages.tracker.location("vae"):
            return network.encode(pixels.to(DEVICE, self._dtype)).float().cpu()

    def decode(self, latents: Tensor) -> Tensor:
        frames = latents.shape[0]
        if self._make is None:
            pixels = torch.empty(frames, *self.pixels, 3)
        else:
            out = self.first_stage_model.to(DEVICE).decode(latents.to(DEVICE, self._dtype))
            pixels = out.float().cpu().movedim(1, -1)
        self.frames_to_come -= frames
        if self.frames_to_come == 0:
            del latents
            # ComfyUI may keep the VAE's weights on the card, and unloads them only for its own models.
            self._stages.enter("interpolate")
        return pixels


@contextmanager
def _sample_groups() -> Iterator[None]:
    """Run only the first two of all groups: the others take the same memory, or less."""
    all_groups = chunking.groups
    chunking.groups = lambda total, size: all_groups(total, size)[:2]
    try:
        yield
    finally:
        chunking.groups = all_groups
