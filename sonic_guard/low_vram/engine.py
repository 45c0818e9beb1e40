"""Sonic in less memory: an object with Sonic's `process`, around Sonic's own objects.

`LowVramSonic.process` runs the wrapper's own `process` on a shallow copy of the wrapper's object, in which
the pipeline and the VAE are stand-ins that pass everything on to the real ones and decide what is where
when. The UNet runs in another order (see `orders`) while it lasts. Whatever happens, the wrapper's object
is then as it was, its UNet in host memory, where a run of the wrapper leaves it too.
"""

import copy
import inspect
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..comfy.sonic_objects import job_of
from ..devices.out_of_memory import give_back_memory, is_out_of_memory
from ..errors import SonicGuardError
from ..job import MIN_CHUNK_SIZE, Job
from ..optimizations import Optimization, unused, without_redundant
from . import fp8_weights, layer_orders
from .completed_steps import SamplingLoop, Steps, StepsInMemory
from .expanded_view import repeat_as_view
from .frame_stream import FrameCallback, FrameStream, OnStage, Whole
from .host_tensors import HostTensorPool

log = logging.getLogger(__name__)

HOST = torch.device("cpu")

Choice = Callable[[Job], Collection[Optimization]]
"""The levers for a job, chosen when it is about to run."""


class LowVramSonic:
    """A Sonic model that needs less memory; whatever is not defined here is the wrapper's."""

    def __init__(
        self,
        sonic: Any,
        optimizations: Iterable[Optimization] | Choice,
        *,
        fallbacks: Sequence[Optimization] = (),
        chunk_size: int | Callable[[Job], int] = MIN_CHUNK_SIZE,
        on_stage: OnStage | None = None,
        free_memory: Callable[[Job | None], object] | None = None,
        steps: Steps | None = None,
    ) -> None:
        """Run `sonic`, the wrapper's object, under `optimizations`.

        `fallbacks` are levers in the order in which `process` pulls those not pulled yet when memory runs out. `chunk_size`
        is the number of activations a layer takes at a time in block-wise order, which may be chosen by the job
        with its levers; `on_stage` is told how far a run has come. `free_memory` is called with the job before it runs,
        so that what else is on the GPU can go, and with None where it is not known or memory has run out. `steps`
        are what an earlier attempt of the one run that is to come has behind it, and keep what that run adds. The
        function `low_vram_model` checks first that the wrapper can bear the levers.
        """
        self.sonic = sonic
        self._optimizations: frozenset[Optimization] | Choice = (
            optimizations if callable(optimizations) else frozenset(optimizations)
        )
        self.fallbacks = tuple(fallbacks)
        self._chunk_size = chunk_size
        self.on_stage: OnStage = on_stage or _ignore
        self._free_memory: Callable[[Job | None], object] = free_memory or _ignore
        self.on_restart: Callable[[Optimization], object] = _ignore
        """Told the lever with which a run is begun again."""
        self.on_skipped: Callable[[int], object] = _ignore
        """Told how many denoising steps are not made again, where there are any."""
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        if name == "sonic":  # an instance that is only being made, by copy
            raise AttributeError(name)
        return getattr(self.sonic, name)

    def optimizations_for(self, job: Job) -> frozenset[Optimization]:
        """The levers that a run of `job` would be begun with now."""
        return (
            frozenset(self._optimizations(job))
            if callable(self._optimizations)
            else job.optimizations | self._optimizations
        )

    def optimized_job(self, job: Job) -> Job:
        """`job` as it would be run now: with its levers, and its piece."""
        enabled = replace(job, optimizations=self.optimizations_for(job))
        return replace(
            enabled, chunk_size=self._chunk_size(enabled) if callable(self._chunk_size) else self._chunk_size
        )

    @torch.no_grad()
    def process(self, *args: Any, **kwargs: Any) -> Tensor:
        """What the wrapper's `process` returns for the same arguments: [1, 3, frames, H, W], fp32 in host memory.

        With `Optimization.TENSOR_OFFLOAD` the tensors in the lists and in `test_data` are replaced by copies in host memory, the
        audio prompts in the number format that the network hears them in. Where memory runs out, the run is begun
        again with the next of the `fallbacks` levers, behind the last whole denoising step; the error comes out when none
        is left.
        """
        optimizations, chunk_size = self._begin(self._bind(args, kwargs))
        steps = self._steps or (StepsInMemory() if self.fallbacks else None)
        while True:
            try:
                return self._process(optimizations, chunk_size, self._bind(args, kwargs), steps)
            except Exception as error:
                left = unused(self.fallbacks, optimizations)
                if Optimization.LAYER_CHUNKING in optimizations and chunk_size > self._min_chunk_size:
                    left.insert(0, Optimization.LAYER_CHUNKING)  # once more, in smaller pieces
                if not left or not is_out_of_memory(error):
                    raise
                said = str(error) or type(error).__name__  # not the error: it holds the tensors of its frames
            self._free_memory(None)
            give_back_memory()
            optimizations, chunk_size = without_redundant(optimizations | {left[0]}), self._min_chunk_size
            log.warning("Sonic ran out of memory (%s); it begins again with %s.", said, left[0])
            self.on_restart(left[0])

    @property
    def _min_chunk_size(self) -> int:
        return MIN_CHUNK_SIZE if callable(self._chunk_size) else self._chunk_size

    def _process(
        self, optimizations: frozenset[Optimization], chunk_size: int, call: inspect.BoundArguments, steps: Steps | None
    ) -> Tensor:
        if Optimization.STREAMING_DECODE not in optimizations:
            return self._run(optimizations, chunk_size, call, steps)
        frames = len(call.arguments["audio_tensor_list"])
        whole = Whole(2 * frames - 1 if self.use_interframe else frames)
        self._stream(optimizations, chunk_size, whole, call, steps)
        return whole.video()

    @torch.no_grad()
    def stream(self, on_frames: FrameCallback, *args: Any, **kwargs: Any) -> None:
        """Run `process` and give its frames to `on_frames`, a few at a time and in order, instead of returning them."""
        call = self._bind(args, kwargs)
        self._stream(*self._begin(call), on_frames, call, self._steps)

    def _begin(self, call: inspect.BoundArguments) -> tuple[frozenset[Optimization], int]:
        """Levers and piece to begin a run with; all levers where the wrapper's arguments are not understood."""
        if not callable(self._optimizations) and not callable(self._chunk_size):
            return self._optimizations, self._chunk_size
        given = call.arguments
        try:
            steps, scale = given["inference_steps"], given["dynamic_scale"]
            job = job_of(self.sonic, given, fps=given["fps"], steps=steps, dynamic_scale=scale)
        except (SonicGuardError, KeyError) as error:
            log.warning("Sonic Guard pulls every lever: it cannot tell what is about to run (%s).", error)
            self._free_memory(None)
            return frozenset(self.fallbacks), self._min_chunk_size
        job = self.optimized_job(job)
        self._free_memory(job)
        log.info("Sonic runs with %s.", ", ".join(sorted(job.optimizations)) or "no lever")
        return job.optimizations, job.chunk_size

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        call = inspect.signature(type(self.sonic).process).bind(copy.copy(self.sonic), *args, **kwargs)
        call.apply_defaults()
        return call

    def _stream(
        self,
        optimizations: frozenset[Optimization],
        chunk_size: int,
        on_frames: FrameCallback,
        call: inspect.BoundArguments,
        steps: Steps | None,
    ) -> None:
        given = call.arguments
        given["vae"] = frames = FrameStream(
            given["vae"],
            self.rife if self.use_interframe else None,
            self.device,
            len(given["audio_tensor_list"]),
            on_frames,
            self.on_stage,
        )
        given["self"].use_interframe = False
        frames.end(self._run(optimizations, chunk_size, call, steps))

    def _run(
        self, optimizations: frozenset[Optimization], chunk_size: int, call: inspect.BoundArguments, steps: Steps | None
    ) -> Tensor:
        given, host = call.arguments, Optimization.TENSOR_OFFLOAD in optimizations
        with ExitStack() as undo:
            undo.callback(offload_unet, self)
            if host or Optimization.FP8_WEIGHTS in optimizations:
                offload_unet(self)
            if host:
                to_host(given["audio_tensor_list"], given["image_embeds"].dtype)
                to_host(given["uncond_audio_tensor_list"], given["image_embeds"].dtype)
                to_host(given["motion_buckets"])
                to_host(given["test_data"])
            if Optimization.FP8_WEIGHTS in optimizations:
                undo.callback(fp8_weights.store(self.pipe.unet))
            undo.callback(layer_orders.enable(self.pipe.unet, optimizations, chunk_size=chunk_size, device=self.device))
            given["self"].pipe = _Pipe(self, steps, host=host)
            return type(self.sonic).process(*call.args, **call.kwargs)


def offload_unet(model: Any) -> None:
    """Move the network of `model`, lean or the wrapper's own, to host memory if it is not there.

    Whoever runs the model brings it back.
    """
    if any(tensor.device.type != HOST.type for tensor in model.pipe.unet.parameters()):
        model.pipe.to(HOST)


def to_host(tensors: list[Any] | dict[str, Any], dtype: torch.dtype | None = None) -> None:
    """Put copies in host memory in the place of the tensors in a list or dict, converted to `dtype` if given.

    Neighbours that are alike, as the prompts of silence are, become one.
    """
    held: Any = tensors
    places: Any = list(tensors) if isinstance(tensors, dict) else range(len(tensors))
    pool = HostTensorPool()
    latest: tuple[Tensor, Tensor] | None = None  # as it was, and its copy
    for number, place in enumerate(places, start=1):
        value = held[place]
        if not isinstance(value, Tensor):
            continue
        if latest is None or not _alike(value, latest[0]):
            latest = value, pool.put(value, dtype, more=len(places) - number)
        held[place] = latest[1]


def _alike(one: Tensor, other: Tensor) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype) and torch.equal(one, other)


def _ignore(*_: object) -> None:
    pass


class _Pipe:
    """The wrapper's pipeline, with its network on the GPU only while it is at work."""

    def __init__(self, model: LowVramSonic, steps: Steps | None, *, host: bool) -> None:
        self._pipe, self._model, self._steps, self._host = model.pipe, model, steps, host

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_pipe"], name)

    def to(self, *args: Any, **kwargs: Any) -> "_Pipe":
        """Move to host memory if told so, but to the GPU only when called."""
        if str(HOST) in map(str, (*args, *kwargs.values())):
            self._pipe.to(*args, **kwargs)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the pipeline: with `host` in host memory, except for its network; behind what `steps` have."""
        pipe = copy.copy(self._pipe)
        call = inspect.signature(type(pipe).__call__).bind(pipe, *args, **kwargs)
        call.apply_defaults()
        given = call.arguments
        windows = len(range(0, given["num_frames"], given["frames_per_batch"] - given["overlap"]))
        sampling_loop = None if self._steps is None else SamplingLoop(pipe.scheduler, self._steps, windows)
        self._steps = None  # another call would be of another clip
        # Not by the pipeline's own callback, for which it keeps every tensor it has at hand until the next one.
        counter = self._pipe.unet.register_forward_hook(
            self._count(given, windows, sampling_loop.skipped if sampling_loop else 0)
        )
        try:
            if self._host:
                given["latents"] = self._noise(given)
                given.update({name: value.to(HOST) for name, value in given.items() if isinstance(value, Tensor)})
                given["img_latent"] = repeat_as_view(given["img_latent"])
            pipe.__dict__["unet"] = _Face(pipe.unet, HOST if self._host else self._model.device, sampling_loop)
            if sampling_loop:
                pipe.__dict__["scheduler"] = sampling_loop.scheduler
            self._pipe.to(self._model.device)
            made = type(pipe).__call__(*call.args, **call.kwargs)
            if sampling_loop:
                sampling_loop.end()
            return made
        finally:
            counter.remove()

    def _noise(self, given: dict[str, Any]) -> Tensor:
        """The noise the pipeline would draw on the GPU, where another generator draws other numbers."""
        scale = self._pipe.vae_scale_factor
        channels = self._pipe.unet.config.in_channels // 2
        shape = (1, given["num_frames"], channels, given["height"] // scale, given["width"] // scale)
        return torch.randn(shape, device=self._model.device, dtype=given["image_embeddings"].dtype)

    def _count(self, given: dict[str, Any], windows: int, skipped: int) -> Any:
        """Tell that denoising begins; returns a hook for passes of the network that tells how many are done."""
        done, total = windows * skipped, windows * given["num_inference_steps"]
        if skipped:
            self._model.on_skipped(skipped)
        self._model.on_stage("denoise", done, total)

        def one_more(*_: Any) -> None:
            nonlocal done
            done += 1
            self._model.on_stage("denoise", done, total)

        return one_more


class _Face(nn.Module):
    """The UNet as the pipeline sees it, which may live elsewhere; whatever is not defined here is the UNet's."""

    def __init__(self, unet: nn.Module, device: torch.device, sampling_loop: SamplingLoop | None) -> None:
        super().__init__()
        self.device = device
        self.__dict__["unet"] = unet  # not as a submodule: it must not be moved with this one
        self._sampling_loop = sampling_loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["unet"], name)

    def forward(self, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The UNet's own call, hooks and all; for a step that is passed by, nothing."""
        if self._sampling_loop and self._sampling_loop.is_skipping:
            return (torch.zeros_like(sample[:, :, : self.config.out_channels]),)
        return self.__dict__["unet"](sample, *args, **kwargs)
