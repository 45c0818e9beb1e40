"""One part of a long video, made by Sonic's own nodes with a model whose frames never pile up."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..job import MIN_CHUNK_SIZE
from ..low_vram.completed_steps import Steps
from ..low_vram.engine import LowVramSonic
from ..media.audio import Sound
from ..optimizations import Optimization, without_redundant
from .rendering import Emit, MakePart, Task, Tick
from .saved_steps import StepsOnDisk

DENOISE_SHARE = 0.9
"""Of a part's time, about; the rest is decode and interpolation."""

Predata = Callable[[Sound], dict[str, Any]]
"""Runs SONIC_PreData on a sound."""
Sample = Callable[[LowVramSonic, dict[str, Any]], object]
"""Runs SONICSampler with a model on what SONIC_PreData gave."""


class _ToCallback(LowVramSonic):
    """A lean model whose `process` gives its frames away and returns none."""

    to_file = True
    """As a job has it. Whoever follows the run need not show how far it is."""

    def __init__(
        self,
        sonic: Any,
        optimizations: Iterable[Optimization],
        chunk_size: int,
        on_frames: Emit,
        tick: Tick,
        steps: Steps,
    ) -> None:
        super().__init__(sonic, optimizations, chunk_size=chunk_size, on_stage=self._at, steps=steps)
        self._on_frames, self._tick = on_frames, tick
        self._begun = False

    def process(self, *args: Any, **kwargs: Any) -> Tensor:
        """[1, 3, 0, 1, 1]."""
        self.stream(self._on_frames, *args, **kwargs)
        return torch.empty(1, 3, 0, 1, 1)

    def _at(self, stage: str, done: int, total: int) -> None:
        share, kept, self._begun = done / max(1, total), not self._begun, True
        share = DENOISE_SHARE * share if stage == "denoise" else DENOISE_SHARE + (1 - DENOISE_SHARE) * share
        self._tick(share, kept=kept)


def make_part(
    sonic: Any,
    optimizations: Iterable[Optimization],
    predata: Predata,
    sample: Sample,
    look: Callable[[Tensor], object] = lambda frames: None,
    chunk_size: int = MIN_CHUNK_SIZE,
) -> MakePart:
    """What `run` makes the parts with: `sonic`, the wrapper's model, under `optimizations` and those that `run` adds.

    `chunk_size` is that of block-wise order until memory has run out. `look` is shown the finished frames [n, H, W, 3] on
    their way.
    """
    enabled = frozenset(optimizations)

    def make(task: Task, emit: Emit, tick: Tick) -> None:
        def take(frames: Tensor) -> None:
            emit(frames)
            look(frames)

        data = predata(task.sound)
        optimizations = without_redundant(enabled.union(map(Optimization, task.optimizations)))
        with StepsOnDisk(task.folder, task.step_names) as steps:
            sample(
                _ToCallback(
                    sonic, optimizations, MIN_CHUNK_SIZE if task.optimizations else chunk_size, take, tick, steps
                ),
                data,
            )

    return make


def tensors_of(**networks: Any) -> Iterator[tuple[str, Any]]:
    """Every tensor of several networks with its name, for `weights_key`; what has none counts as nothing."""
    for owner, network in networks.items():
        state = getattr(network, "state_dict", None)
        items: Mapping[str, Any] = state() if state else {}
        yield from ((f"{owner}.{name}", tensor) for name, tensor in items.items())


def as_computed(tensors: Iterable[tuple[str, Any]], dtype: torch.dtype | None) -> Iterator[tuple[str, Any]]:
    """`tensors` in the format a network computes in, however it holds them; as they are where that is not known.

    ComfyUI, where it reads weights as they are in the file, casts some for good when it first loads the network.
    """
    for name, tensor in tensors:
        yield name, tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor


def audio_scales(unet: Any) -> list[str]:
    """How strongly `unet` listens: the loader's ip_audio_scale, which is in none of its tensors."""
    scales = (getattr(processor, "scale", None) for processor in unet.attn_processors.values())
    return sorted({str(scale) for scale in scales if scale is not None})
