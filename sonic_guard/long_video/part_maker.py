"""Makes a part of a long video with Sonic's own nodes and a model that streams its frames."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..job import MIN_CHUNK_SIZE
from ..low_vram.completed_steps import Steps
from ..low_vram.engine import LowVramSonic
from ..media.audio import Sound
from ..optimizations import Optimization, without_redundant
from .rendering import Emit, MakePart, OnProgress, Task
from .saved_steps import StepsOnDisk

DENOISE_SHARE = 0.9
"""Approximate share of denoising in a part's time; the rest is decode and interpolation."""

Predata = Callable[[Sound], dict[str, Any]]
"""Runs SONIC_PreData on a sound."""
Sample = Callable[[LowVramSonic, dict[str, Any]], object]
"""Runs SONICSampler with a model on the output of SONIC_PreData."""


class _StreamingSonic(LowVramSonic):
    """A `LowVramSonic` whose `process` passes its frames to a callback and returns none."""

    to_file = True
    """As in `Job`. The recorder of runs shows no progress bar of its own for such a model."""

    def __init__(
        self,
        sonic: Any,
        optimizations: Iterable[Optimization],
        chunk_size: int,
        on_frames: Emit,
        tick: OnProgress,
        steps: Steps,
        decode_context: int,
    ) -> None:
        super().__init__(
            sonic,
            optimizations,
            chunk_size=chunk_size,
            on_stage=self._report,
            steps=steps,
            decode_context=decode_context,
        )
        self._on_frames, self._tick = on_frames, tick
        self._begun = False

    def process(self, *args: Any, **kwargs: Any) -> Tensor:
        """Stream the frames; returns an empty tensor [1, 3, 0, 1, 1]."""
        self.stream(self._on_frames, *args, **kwargs)
        return torch.empty(1, 3, 0, 1, 1)

    def _report(self, stage: str, done: int, total: int) -> None:
        share, kept, self._begun = done / max(1, total), not self._begun, True
        share = DENOISE_SHARE * share if stage == "denoise" else DENOISE_SHARE + (1 - DENOISE_SHARE) * share
        self._tick(share, kept=kept)


def make_part(
    sonic: Any,
    optimizations: Iterable[Optimization],
    predata: Predata,
    sample: Sample,
    on_frames: Callable[[Tensor], object] = lambda frames: None,
    chunk_size: int = MIN_CHUNK_SIZE,
    decode_context: int = 0,
) -> MakePart:
    """The `MakePart` for `rendering.run`: runs `sonic`, the wrapper's model, with `optimizations` and the task's own.

    `chunk_size` is used for layer chunking until memory has run out, the smallest one after that. `on_frames` receives
    the finished frames [n, H, W, 3] in addition to `run`. `decode_context`: see `LowVramSonic`.
    """
    enabled = frozenset(optimizations)

    def make(task: Task, emit: Emit, tick: OnProgress) -> None:
        def take(frames: Tensor) -> None:
            emit(frames)
            on_frames(frames)

        data = predata(task.sound)
        optimizations = without_redundant(enabled.union(map(Optimization, task.optimizations)))
        size = MIN_CHUNK_SIZE if task.optimizations else chunk_size
        with StepsOnDisk(task.folder, task.step_name) as steps:
            sample(_StreamingSonic(sonic, optimizations, size, take, tick, steps, decode_context), data)

    return make


def tensors_of(**networks: Any) -> Iterator[tuple[str, Any]]:
    """Name and tensor of all tensors of `networks`, for `weights_key`. Objects without a `state_dict` are skipped."""
    for owner, network in networks.items():
        state = getattr(network, "state_dict", None)
        items: Mapping[str, Any] = state() if state else {}
        yield from ((f"{owner}.{name}", tensor) for name, tensor in items.items())


def as_computed(tensors: Iterable[tuple[str, Any]], dtype: torch.dtype | None) -> Iterator[tuple[str, Any]]:
    """`tensors` converted to `dtype`, the format that the network computes in; unchanged if that is None.

    ComfyUI may keep weights in the file's format and cast some of them permanently when it first loads the network;
    the digest must be the same before and after.
    """
    for name, tensor in tensors:
        yield name, tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor


def audio_scales(unet: Any) -> list[str]:
    """The weights of the audio adapters in `unet`: the loader's ip_audio_scale, which is not in the state dict."""
    scales = (getattr(processor, "scale", None) for processor in unet.attn_processors.values())
    return sorted({str(scale) for scale in scales if scale is not None})
