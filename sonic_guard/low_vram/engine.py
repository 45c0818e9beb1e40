"""Sonic in less memory: an object with Sonic's `process`, around Sonic's own objects.

`LeanSonic.process` runs the wrapper's own `process` on a shallow copy of the wrapper's object, in which
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

from ..errors import SonicGuardError
from ..job import PIECE, Job, Lever
from ..devices.out_of_memory import give_back_memory, is_out_of_memory
from ..comfy.sonic_objects import job_of
from . import fp8_weights, layer_orders
from .host_tensors import Shelf
from .completed_steps import Steps, StepsInMemory, Walk
from .expanded_view import still
from .frame_stream import FrameStream, OnStage, Sink, Whole

log = logging.getLogger(__name__)

HOST = torch.device("cpu")

Choice = Callable[[Job], Collection[Lever]]
"""The levers for a job, chosen when it is about to run."""


class LeanSonic:
    """A Sonic model that needs less memory; whatever is not defined here is the wrapper's."""

    def __init__(
        self,
        sonic: Any,
        levers: Iterable[Lever] | Choice,
        *,
        spare: Sequence[Lever] = (),
        piece: int | Callable[[Job], int] = PIECE,
        on_stage: OnStage | None = None,
        make_room: Callable[[Job | None], object] | None = None,
        steps: Steps | None = None,
    ) -> None:
        """Run `sonic`, the wrapper's object, under `levers`.

        `spare` are levers in the order in which `process` pulls those not pulled yet when memory runs out. `piece`
        is the number of activations a layer takes at a time in block-wise order, which may be chosen by the job
        with its levers; `on_stage` is told how far a run has come. `make_room` is called with the job before it runs,
        so that what else is on the GPU can go, and with None where it is not known or memory has run out. `steps`
        are what an earlier attempt of the one run that is to come has behind it, and keep what that run adds. The
        function `lean_model` checks first that the wrapper can bear the levers.
        """
        self.sonic = sonic
        self._levers: frozenset[Lever] | Choice = levers if callable(levers) else frozenset(levers)
        self.spare = tuple(spare)
        self._piece = piece
        self.on_stage: OnStage = on_stage or _say_nothing
        self._make_room: Callable[[Job | None], object] = make_room or _say_nothing
        self.on_restart: Callable[[Lever], object] = _say_nothing
        """Told the lever with which a run is begun again."""
        self.on_passed: Callable[[int], object] = _say_nothing
        """Told how many denoising steps are not made again, where there are any."""
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        if name == "sonic":  # an instance that is only being made, by copy
            raise AttributeError(name)
        return getattr(self.sonic, name)

    def levers_for(self, job: Job) -> frozenset[Lever]:
        """The levers that a run of `job` would be begun with now."""
        return frozenset(self._levers(job)) if callable(self._levers) else job.levers | self._levers

    def lean_job(self, job: Job) -> Job:
        """`job` as it would be run now: with its levers, and its piece."""
        pulled = replace(job, levers=self.levers_for(job))
        return replace(pulled, piece=self._piece(pulled) if callable(self._piece) else self._piece)

    @torch.no_grad()
    def process(self, *args: Any, **kwargs: Any) -> Tensor:
        """What the wrapper's `process` returns for the same arguments: [1, 3, frames, H, W], fp32 in host memory.

        With `Lever.HOST` the tensors in the lists and in `test_data` are replaced by copies in host memory, the
        audio prompts in the number format that the network hears them in. Where memory runs out, the run is begun
        again with the next of the `spare` levers, behind the last whole denoising step; the error comes out when none
        is left.
        """
        levers, piece = self._begin(self._bind(args, kwargs))
        steps = self._steps or (StepsInMemory() if self.spare else None)
        while True:
            try:
                return self._process(levers, piece, self._bind(args, kwargs), steps)
            except Exception as error:
                left = [lever for lever in self.spare if lever not in levers]
                if Lever.BLOCK in levers and piece > self._least_piece:
                    left.insert(0, Lever.BLOCK)  # once more, in smaller pieces
                if not left or not is_out_of_memory(error):
                    raise
                said = str(error) or type(error).__name__  # not the error: it holds the tensors of its frames
            self._make_room(None)
            give_back_memory()
            levers, piece = levers | {left[0]}, self._least_piece
            log.warning("Sonic ran out of memory (%s); it begins again with %s.", said, left[0])
            self.on_restart(left[0])

    @property
    def _least_piece(self) -> int:
        return PIECE if callable(self._piece) else self._piece

    def _process(
        self, levers: frozenset[Lever], piece: int, call: inspect.BoundArguments, steps: Steps | None
    ) -> Tensor:
        if Lever.PAIRWISE not in levers:
            return self._run(levers, piece, call, steps)
        frames = len(call.arguments["audio_tensor_list"])
        whole = Whole(2 * frames - 1 if self.use_interframe else frames)
        self._stream(levers, piece, whole, call, steps)
        return whole.video()

    @torch.no_grad()
    def stream(self, sink: Sink, *args: Any, **kwargs: Any) -> None:
        """Run `process` and give its frames to `sink`, a few at a time and in order, instead of returning them."""
        call = self._bind(args, kwargs)
        self._stream(*self._begin(call), sink, call, self._steps)

    def _begin(self, call: inspect.BoundArguments) -> tuple[frozenset[Lever], int]:
        """Levers and piece to begin a run with; all levers where the wrapper's arguments are not understood."""
        if not callable(self._levers) and not callable(self._piece):
            return self._levers, self._piece
        given = call.arguments
        try:
            steps, scale = given["inference_steps"], given["dynamic_scale"]
            job = job_of(self.sonic, given, fps=given["fps"], steps=steps, dynamic_scale=scale)
        except (SonicGuardError, KeyError) as error:
            log.warning("Sonic Guard pulls every lever: it cannot tell what is about to run (%s).", error)
            self._make_room(None)
            return frozenset(self.spare), self._least_piece
        job = self.lean_job(job)
        self._make_room(job)
        log.info("Sonic runs with %s.", ", ".join(sorted(job.levers)) or "no lever")
        return job.levers, job.piece

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        call = inspect.signature(type(self.sonic).process).bind(copy.copy(self.sonic), *args, **kwargs)
        call.apply_defaults()
        return call

    def _stream(
        self, levers: frozenset[Lever], piece: int, sink: Sink, call: inspect.BoundArguments, steps: Steps | None
    ) -> None:
        given = call.arguments
        given["vae"] = frames = FrameStream(
            given["vae"],
            self.rife if self.use_interframe else None,
            self.device,
            len(given["audio_tensor_list"]),
            sink,
            self.on_stage,
        )
        given["self"].use_interframe = False
        frames.end(self._run(levers, piece, call, steps))

    def _run(self, levers: frozenset[Lever], piece: int, call: inspect.BoundArguments, steps: Steps | None) -> Tensor:
        given, host = call.arguments, Lever.HOST in levers
        with ExitStack() as undo:
            undo.callback(park, self)
            if host or Lever.FP8 in levers:
                park(self)
            if host:
                to_host(given["audio_tensor_list"], given["image_embeds"].dtype)
                to_host(given["uncond_audio_tensor_list"], given["image_embeds"].dtype)
                to_host(given["motion_buckets"])
                to_host(given["test_data"])
            if Lever.FP8 in levers:
                undo.callback(fp8_weights.store(self.pipe.unet))
            undo.callback(layer_orders.pull(self.pipe.unet, levers, piece=piece, device=self.device))
            given["self"].pipe = _Pipe(self, steps, host=host)
            return type(self.sonic).process(*call.args, **call.kwargs)


def park(model: Any) -> None:
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
    shelf = Shelf()
    latest: tuple[Tensor, Tensor] | None = None  # as it was, and its copy
    for number, place in enumerate(places, start=1):
        value = held[place]
        if not isinstance(value, Tensor):
            continue
        if latest is None or not _alike(value, latest[0]):
            latest = value, shelf.put(value, dtype, more=len(places) - number)
        held[place] = latest[1]


def _alike(one: Tensor, other: Tensor) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype) and torch.equal(one, other)


def _say_nothing(*_: object) -> None:
    pass


class _Pipe:
    """The wrapper's pipeline, with its network on the GPU only while it is at work."""

    def __init__(self, model: LeanSonic, steps: Steps | None, *, host: bool) -> None:
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
        walk = None if self._steps is None else Walk(pipe.scheduler, self._steps, windows)
        self._steps = None  # another call would be of another clip
        # Not by the pipeline's own callback, for which it keeps every tensor it has at hand until the next one.
        counter = self._pipe.unet.register_forward_hook(self._count(given, windows, walk.passed if walk else 0))
        try:
            if self._host:
                given["latents"] = self._noise(given)
                given.update({name: value.to(HOST) for name, value in given.items() if isinstance(value, Tensor)})
                given["img_latent"] = still(given["img_latent"])
            pipe.__dict__["unet"] = _Face(pipe.unet, HOST if self._host else self._model.device, walk)
            if walk:
                pipe.__dict__["scheduler"] = walk.scheduler
            self._pipe.to(self._model.device)
            made = type(pipe).__call__(*call.args, **call.kwargs)
            if walk:
                walk.end()
            return made
        finally:
            counter.remove()

    def _noise(self, given: dict[str, Any]) -> Tensor:
        """The noise the pipeline would draw on the GPU, where another generator draws other numbers."""
        scale = self._pipe.vae_scale_factor
        channels = self._pipe.unet.config.in_channels // 2
        shape = (1, given["num_frames"], channels, given["height"] // scale, given["width"] // scale)
        return torch.randn(shape, device=self._model.device, dtype=given["image_embeddings"].dtype)

    def _count(self, given: dict[str, Any], windows: int, passed: int) -> Any:
        """Tell that denoising begins; returns a hook for passes of the network that tells how many are done."""
        done, total = windows * passed, windows * given["num_inference_steps"]
        if passed:
            self._model.on_passed(passed)
        self._model.on_stage("denoise", done, total)

        def one_more(*_: Any) -> None:
            nonlocal done
            done += 1
            self._model.on_stage("denoise", done, total)

        return one_more


class _Face(nn.Module):
    """The UNet as the pipeline sees it, which may live elsewhere; whatever is not defined here is the UNet's."""

    def __init__(self, unet: nn.Module, device: torch.device, walk: Walk | None) -> None:
        super().__init__()
        self.device = device
        self.__dict__["unet"] = unet  # not as a submodule: it must not be moved with this one
        self._walk = walk

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["unet"], name)

    def forward(self, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The UNet's own call, hooks and all; for a step that is passed by, nothing."""
        if self._walk and self._walk.is_passing:
            return (torch.zeros_like(sample[:, :, : self.config.out_channels]),)
        return self.__dict__["unet"](sample, *args, **kwargs)
