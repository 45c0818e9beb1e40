"""The wrapper's pipeline in less memory: it moves its networks and tensors between the GPU and host memory."""

import copy
import inspect
from contextlib import ExitStack
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..relatives import Adapter
from . import weight_streaming
from .completed_steps import SamplingLoop, Steps
from .expanded_view import repeat_as_view
from .frame_stream import OnStage
from .host_tensors import HOST
from .pose_network import PoseNetwork, without_repetitions


class Model(Protocol):
    """What a `LowVramSonic` is for its pipeline."""

    on_stage: OnStage
    on_skipped: Any

    def __getattr__(self, name: str) -> Any:
        """The wrapper's pipeline and device."""
        ...


class PipelineProxy:
    """A proxy of the wrapper's pipeline that keeps the network on the GPU only during a call, or only what it needs."""

    def __init__(self, model: Model, adapter: Adapter, steps: Steps | None, *, host: bool, stream: bool) -> None:
        """Of `model`; see `__call__` for `steps` and `host`. With `stream` the network's weights are streamed."""
        self._pipe, self._model, self._steps, self._host, self._stream = model.pipe, model, steps, host, stream
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_pipe"], name)

    def to(self, *args: Any, **kwargs: Any) -> "PipelineProxy":
        """Move to host memory at once; a move to the GPU is postponed until the pipeline is called."""
        if str(HOST) in map(str, (*args, *kwargs.values())):
            self._pipe.to(*args, **kwargs)
        elif dtype := next((each for each in (*args, *kwargs.values()) if isinstance(each, torch.dtype)), None):
            self._pipe.to(dtype)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the pipeline, resumed after the steps in `steps`; with `host` all but the network is in host memory."""
        pipe = copy.copy(self._pipe)
        call = inspect.signature(type(pipe).__call__).bind(pipe, *args, **kwargs)
        call.apply_defaults()
        given = call.arguments
        windows = len(range(0, self._frames(given), given["frames_per_batch"] - given["overlap"]))
        sampling_loop = None if self._steps is None else SamplingLoop(pipe.scheduler, self._steps, windows)
        self._steps = None  # another call would be another clip
        # A hook, because for its own callback the pipeline keeps all its current tensors until the next one.
        counter = self._pipe.unet.register_forward_hook(
            self._count(given, windows, sampling_loop.skipped if sampling_loop else 0)
        )
        with ExitStack() as undo:
            undo.callback(counter.remove)
            if self._host:
                given["latents"] = self._noise(given)
                given.update({name: value.to(HOST) for name, value in given.items() if isinstance(value, Tensor)})
                given["img_latent"] = repeat_as_view(given["img_latent"])
            device = torch.device(self._model.device)
            unet = _UnetProxy(pipe.unet, HOST if self._host else device, sampling_loop)
            pipe.__dict__["unet"] = unet
            if pose := self._adapter.pose:
                network = getattr(pipe, pose.network)
                undo.callback(network.to, next(network.parameters()).device)
                pipe.__dict__[pose.network] = PoseNetwork(network, device, host=self._host)
                if self._host:
                    given[pose.pictures], same = without_repetitions(given[pose.pictures])
                    unet.pose_device = device if same else None
            if sampling_loop:
                pipe.__dict__["scheduler"] = sampling_loop.scheduler
            if self._stream:
                undo.callback(weight_streaming.enable(self._pipe.unet, device))
            else:
                self._pipe.to(device)
            output = type(pipe).__call__(*call.args, **call.kwargs)
            if sampling_loop:
                sampling_loop.end()
            return output

    def _frames(self, given: dict[str, Any]) -> int:
        """Latent frames that a call makes."""
        return given["num_frames"] + (given["frames_per_batch"] if self._adapter.padded else 0)

    def _noise(self, given: dict[str, Any]) -> Tensor:
        """The noise that the pipeline would draw, drawn on the GPU: the CPU's generator gives other numbers."""
        scale = self._pipe.vae_scale_factor
        channels = self._pipe.unet.config.in_channels // 2
        shape = (1, self._frames(given), channels, given["height"] // scale, given["width"] // scale)
        return torch.randn(shape, device=self._model.device, dtype=given[self._adapter.embedding].dtype)

    def _count(self, given: dict[str, Any], windows: int, skipped: int) -> Any:
        """Report the beginning of denoising; returns a forward hook that reports each pass of the network."""
        done, total = windows * skipped, windows * given["num_inference_steps"]
        if skipped:
            self._model.on_skipped(skipped)
        self._model.on_stage("denoise", done, total)

        def one_more(*_: Any) -> None:
            nonlocal done
            done += 1
            self._model.on_stage("denoise", done, total)

        return one_more


class _UnetProxy(nn.Module):
    """The UNet for the pipeline: it reports `device`, where the pipeline's tensors are, whatever device the UNet is on.

    Attributes that are not defined here are those of the UNet.
    """

    def __init__(self, unet: nn.Module, device: torch.device, sampling_loop: SamplingLoop | None) -> None:
        super().__init__()
        self.device = device
        self.__dict__["unet"] = unet  # not as a submodule: it must not be moved with this module
        self._sampling_loop = sampling_loop
        self.pose_device: torch.device | None = None
        """Where the UNet runs, if every frame of the clip has the same pose."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["unet"], name)

    def forward(self, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The UNet's call, including its hooks; zeros without a call for a skipped step."""
        if self._sampling_loop and self._sampling_loop.is_skipping:
            return (torch.zeros_like(sample[:, :, : self.config.out_channels]),)
        if self.pose_device is not None:
            pose = kwargs["spatial_condition"]  # [B, F, C, h, w]
            kwargs["spatial_condition"] = pose[:1, :1].to(self.pose_device).expand_as(pose)
        return self.__dict__["unet"](sample, *args, **kwargs)
