"""Sonic in less memory: an object with Sonic's `process`, around Sonic's own objects.

`LowVramSonic.process` runs the wrapper's own `process` on a shallow copy of the wrapper's object. In this copy the
pipeline and the VAE are proxies that delegate to the real ones and control when tensors are moved between the GPU and
host memory. During the call the layers of the UNet run in chunks (see `layer_orders`). Afterwards, also after an
exception, the wrapper's object is unchanged and its UNet is in host memory, as after a run of the wrapper.
"""

import copy
import inspect
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..comfy.sonic_objects import job_of
from ..devices.out_of_memory import give_back_memory, is_out_of_memory, is_too_much_at_once
from ..errors import SonicGuardError
from ..job import MIN_CHUNK_SIZE, Job
from ..optimizations import Optimization, unused, without_redundant
from ..relatives import ADAPTERS, assumed_relative
from . import layer_orders, vae_blocks
from .completed_steps import Steps, StepsInMemory
from .frame_stream import ClipBuffer, FrameCallback, FrameStream, OnStage
from .host_tensors import HOST, HostTensorPool
from .pipeline_proxy import PipelineProxy

log = logging.getLogger(__name__)

ChooseOptimizations = Callable[[Job], Collection[Optimization]]
"""Chooses the optimizations for a job immediately before it runs."""


class LowVramSonic:
    """A Sonic model that needs less memory. Attributes that are not defined here are those of the wrapper's object."""

    def __init__(
        self,
        sonic: Any,
        optimizations: Iterable[Optimization] | ChooseOptimizations,
        *,
        fallbacks: Sequence[Optimization] = (),
        chunk_size: int | Callable[[Job], int] = MIN_CHUNK_SIZE,
        on_stage: OnStage | None = None,
        free_memory: Callable[[Job | None], object] | None = None,
        steps: Steps | None = None,
        decode_context: int = 0,
    ) -> None:
        """Wrap `sonic`, the wrapper's object. Use `low_vram_model` to check first that it supports the optimizations.

        Args:
            sonic: the wrapper's object.
            optimizations: those to enable, or a function that chooses them for the job.
            fallbacks: optimizations that `process` enables in this order, one at a time, when memory runs out.
            chunk_size: activations that a layer takes at a time with layer chunking, or a function that chooses it
                for the job with its optimizations.
            on_stage: receives the progress of a run.
            free_memory: called with the job before it runs, to free other memory of the GPU; called with None if
                the job is not known or memory has run out.
            steps: completed steps of an earlier attempt of the next run; stores the steps of that run.
            decode_context: latent frames that are decoded again on either side of a seam between two decode groups, so
                that the decoder's pulse of brightness does not arise there. Above 0 the frames are no longer the
                wrapper's own, and the decode stage takes `overlapped_decode.cost` times as long; memory is the same.
        """
        self.sonic = sonic
        self._adapter = ADAPTERS[assumed_relative(sonic)]
        self._optimizations: frozenset[Optimization] | ChooseOptimizations = (
            optimizations if callable(optimizations) else frozenset(optimizations)
        )
        self.fallbacks = tuple(fallbacks)
        self._chunk_size = chunk_size
        self.on_stage: OnStage = on_stage or _ignore
        self._free_memory: Callable[[Job | None], object] = free_memory or _ignore
        self.on_restart: Callable[[Optimization, bool], object] = _ignore
        """Receives the optimization with which a run is restarted, and whether memory ran out.

        Otherwise a tensor had too many numbers for MPS.
        """
        self.on_skipped: Callable[[int], object] = _ignore
        """Receives the number of denoising steps that are skipped, if any."""
        self._steps = steps
        self.decode_context = decode_context

    def __getattr__(self, name: str) -> Any:
        if name == "sonic":  # not set yet in an instance that `copy` is creating
            raise AttributeError(name)
        return getattr(self.sonic, name)

    def optimizations_for(self, job: Job) -> frozenset[Optimization]:
        """The optimizations with which a run of `job` would start now."""
        return (
            frozenset(self._optimizations(job))
            if callable(self._optimizations)
            else job.optimizations | self._optimizations
        )

    def optimized_job(self, job: Job) -> Job:
        """`job` as it would be run now: with its optimizations and chunk size."""
        enabled = replace(job, optimizations=self.optimizations_for(job))
        return replace(
            enabled, chunk_size=self._chunk_size(enabled) if callable(self._chunk_size) else self._chunk_size
        )

    def fallbacks_left(self, optimizations: frozenset[Optimization], chunk_size: int) -> list[Optimization]:
        """What can still be enabled when a run with these `optimizations` and this `chunk_size` is out of memory."""
        left = unused(self.fallbacks, optimizations)
        if Optimization.LAYER_CHUNKING in optimizations and chunk_size > self._min_chunk_size:
            left.insert(0, Optimization.LAYER_CHUNKING)  # the same again, with the smallest chunks
        return left

    @torch.no_grad()
    def process(self, *args: Any, **kwargs: Any) -> Tensor:
        """The result of the wrapper's `process` for the same arguments: [1, 3, frames, H, W], fp32 in host memory.

        With `Optimization.TENSOR_OFFLOAD` the tensors in the argument's lists and in `test_data` are replaced by copies
        in host memory, the audio prompts in the network's number format. If memory runs out, the run is resumed after
        the last completed denoising step with the next of `fallbacks`; if none is left, the error propagates.
        """
        optimizations, chunk_size = self._begin(self._bind(args, kwargs))
        steps = self._steps or (StepsInMemory() if self.fallbacks else None)
        while True:
            try:
                return self._process(optimizations, chunk_size, self._bind(args, kwargs), steps)
            except Exception as error:
                left = self.fallbacks_left(optimizations, chunk_size)
                if not left or not is_too_much_at_once(error):
                    raise
                out_of_memory = is_out_of_memory(error)
                # Not the error itself: its traceback keeps the tensors of the failed calls alive.
                reason = str(error) or type(error).__name__
            self._free_memory(None)
            give_back_memory()
            optimizations, chunk_size = without_redundant(optimizations | {left[0]}), self._min_chunk_size
            log.warning("The GPU could not run Sonic (%s); it begins again with %s.", reason, left[0])
            self.on_restart(left[0], out_of_memory)

    @property
    def _min_chunk_size(self) -> int:
        return MIN_CHUNK_SIZE if callable(self._chunk_size) else self._chunk_size

    def _process(
        self, optimizations: frozenset[Optimization], chunk_size: int, call: inspect.BoundArguments, steps: Steps | None
    ) -> Tensor:
        if Optimization.STREAMING_DECODE not in optimizations and not self.decode_context:
            return self._run(optimizations, chunk_size, call, steps)
        frames = self._frames(call)
        clip = ClipBuffer(2 * frames - 1 if self.use_interframe else frames)
        self._stream(optimizations, chunk_size, clip, call, steps)
        return clip.video()

    @torch.no_grad()
    def stream(self, on_frames: FrameCallback, *args: Any, **kwargs: Any) -> None:
        """Run `process` and pass its frames to `on_frames`, a few at a time and in order, instead of returning them.

        A run that runs out of memory is not restarted: its error propagates.
        """
        call = self._bind(args, kwargs)
        self._stream(*self._begin(call), on_frames, call, self._steps)

    def _begin(self, call: inspect.BoundArguments) -> tuple[frozenset[Optimization], int]:
        """Optimizations and chunk size to start a run with; all fallbacks if the job cannot be determined."""
        if not callable(self._optimizations) and not callable(self._chunk_size):
            return self._optimizations, self._chunk_size
        given = call.arguments
        try:
            steps, scale = given["inference_steps"], given[self._adapter.scale]
            data = self._adapter.tensors_of(given)
            job = self.optimized_job(job_of(self.sonic, data, fps=given["fps"], steps=steps, dynamic_scale=scale))
            self._free_memory(job)
        except (SonicGuardError, KeyError) as error:
            log.warning("Sonic Guard enables every optimization: what the run needs is unknown (%s).", error)
            self._free_memory(None)
            return without_redundant(frozenset(self.fallbacks)), self._min_chunk_size
        log.info("Sonic runs with %s.", ", ".join(sorted(job.optimizations)) or "no optimization")
        return job.optimizations, job.chunk_size

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        call = inspect.signature(type(self.sonic).process).bind(copy.copy(self.sonic), *args, **kwargs)
        call.apply_defaults()
        if name := self._adapter.data_argument:  # the node's output, which ComfyUI may keep for another run
            call.arguments[name] = dict(call.arguments[name])
        return call

    def _frames(self, call: inspect.BoundArguments) -> int:
        """Latent frames that a call decodes."""
        return len(self._adapter.tensors_of(call.arguments)[self._adapter.prompts[0]]) + self._adapter.padding

    def _stream(
        self,
        optimizations: frozenset[Optimization],
        chunk_size: int,
        on_frames: FrameCallback,
        call: inspect.BoundArguments,
        steps: Steps | None,
    ) -> None:
        given = self._adapter.tensors_of(call.arguments)
        vae = given["vae"]
        given["vae"] = frames = FrameStream(
            vae,
            self.rife if self.use_interframe else None,
            self.device,
            self._frames(call),
            on_frames,
            self.on_stage,
            self.decode_context,
        )
        call.arguments["self"].use_interframe = False
        undo = vae_blocks.enable(vae)
        try:
            frames.end(self._run(optimizations, chunk_size, call, steps))
        finally:
            undo()

    def _run(
        self, optimizations: frozenset[Optimization], chunk_size: int, call: inspect.BoundArguments, steps: Steps | None
    ) -> Tensor:
        given, host = self._adapter.tensors_of(call.arguments), Optimization.TENSOR_OFFLOAD in optimizations
        stream = Optimization.STREAM_WEIGHTS in optimizations
        with ExitStack() as undo:
            undo.callback(offload_unet, self)
            if host or stream:
                offload_unet(self)
            if host:
                for name in self._adapter.prompts:
                    to_host(given[name], given["image_embeds"].dtype)
                for name in (*self._adapter.per_frame, "test_data"):
                    to_host(given[name])
            undo.callback(layer_orders.enable(self.pipe.unet, optimizations, chunk_size=chunk_size, device=self.device))
            call.arguments["self"].pipe = PipelineProxy(self, self._adapter, steps, host=host, stream=stream)
            return type(self.sonic).process(*call.args, **call.kwargs)


def offload_unet(model: Any) -> None:
    """Move the UNet of `model`, a `LowVramSonic` or the wrapper's object, to host memory. `process` moves it back."""
    if any(tensor.device.type != HOST.type for tensor in model.pipe.unet.parameters()):
        model.pipe.to(HOST)


def to_host(tensors: list[Any] | dict[str, Any], dtype: torch.dtype | None = None) -> None:
    """Replace the tensors in a list or dict by copies in host memory, converted to `dtype` if given.

    Equal neighbours, such as the prompts of silence, share one copy.
    """
    container: Any = tensors
    keys: Any = list(tensors) if isinstance(tensors, dict) else range(len(tensors))
    pool = HostTensorPool()
    latest: tuple[Tensor, Tensor] | None = None  # the original and its copy
    for number, key in enumerate(keys, start=1):
        value = container[key]
        if not isinstance(value, Tensor):
            continue
        if latest is None or not _alike(value, latest[0]):
            latest = value, pool.put(value, dtype, more=len(keys) - number)
        container[key] = latest[1]


def _alike(one: Tensor, other: Tensor) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype) and torch.equal(one, other)


def _ignore(*_: object) -> None:
    pass
