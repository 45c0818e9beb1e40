"""Networks that enlarge a picture: read by spandrel from a file, or given by ComfyUI's Load Upscale Model.

Imports torch: import this module lazily.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import FinishError
from ...plain_files import open_plain
from ...resume.manifest import weights_key

SUFFIXES = (".safetensors", ".pth", ".ckpt")
"""Of files from which tensors alone are read: .pt may be TorchScript, which is code."""


@dataclass(frozen=True)
class Network:
    """A network and what is known of it."""

    name: str
    call: Callable[[Tensor], Tensor]
    """[1, 3, H, W] in 0 … 1 → [1, 3, H · scale, W · scale], in the format and on the device of the weights."""
    module: torch.nn.Module
    """Its weights."""
    scale: int
    formats: tuple[torch.dtype, ...]
    """Number formats in which it works, the best one for a GPU first."""
    least_side: int = 1
    """Least width and height that it takes."""
    multiple: int = 1
    """Of which width and height have to be."""
    is_square: bool = False
    """Whether it takes squares only."""
    is_local: bool = True
    """Whether it may be run on parts of a picture."""

    @property
    def weight_elements(self) -> int:
        """Numbers in the weights."""
        return sum(tensor.numel() for tensor in _tensors(self.module))

    def digest(self) -> str:
        """Of the weights."""
        return weights_key(sorted(self.module.state_dict().items()))

    def padded_side(self, width: int, height: int) -> tuple[int, int]:
        """The next larger size that it takes."""
        step = self.multiple
        wide, high = (-(-max(side, self.least_side) // step) * step for side in (width, height))
        return (max(wide, high), max(wide, high)) if self.is_square else (wide, high)

    def __call__(self, picture: Tensor) -> Tensor:
        """`picture` enlarged, of any size: what the network needs beyond it is filled with its last row or column."""
        height, width = picture.shape[-2:]
        wide, high = self.padded_side(width, height)
        if (wide, high) != (width, height):
            picture = functional.pad(picture, (0, wide - width, 0, high - height), mode="replicate")
        with torch.inference_mode():
            return self.call(picture)[..., : height * self.scale, : width * self.scale]


def load_network(path: Path) -> Network:
    """The network in a file: safetensors, or a checkpoint of torch, from which tensors alone are read.

    Raises `FinishError` without spandrel, for a file that is missing, torn or of no known architecture, and for a
    network that is none for single RGB pictures.
    """
    spandrel = _spandrel()
    with open_plain(path, FinishError, "an upscale model"):
        pass
    if path.suffix.lower() not in SUFFIXES:
        raise FinishError(f"{path.name}: upscale models are read from files whose names end in {', '.join(SUFFIXES)}.")
    try:
        descriptor = spandrel.ModelLoader().load_from_file(path)
    except spandrel.UnsupportedModelError as error:
        raise FinishError(
            f"{path.name}: no architecture that spandrel knows has these weights. Use another upscale model, such as "
            "Real-ESRGAN.", path=path,
        ) from error  # fmt: skip
    except Exception as error:  # the readers of files and the networks raise many kinds
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise FinishError(
            f"{path.name}: cannot be read as an upscale model ({reason}). Download it again; names of models end in "
            ".safetensors or .pth.", path=path,
        ) from error  # fmt: skip
    return from_descriptor(descriptor, path.stem)


def from_descriptor(descriptor: Any, name: str = "") -> Network:
    """The network of a descriptor of spandrel, such as ComfyUI's UPSCALE_MODEL.

    Raises `FinishError` for anything else, and for a network that is none for single RGB pictures.
    """
    if not (hasattr(descriptor, "model") and hasattr(descriptor, "size_requirements")):
        raise FinishError(
            f"upscale_model: expected an UPSCALE_MODEL, got {type(descriptor).__name__}. Connect Load Upscale Model."
        )
    architecture = descriptor.architecture.name
    name = name or architecture
    if not isinstance(descriptor, _spandrel().ImageModelDescriptor):
        raise FinishError(
            f"{name}: {architecture} needs more than a picture. Use a model that enlarges single pictures."
        )
    if (descriptor.input_channels, descriptor.output_channels) != (3, 3):
        raise FinishError(
            f"{name}: it takes {descriptor.input_channels} channels and gives {descriptor.output_channels}. Use a "
            "model for RGB pictures."
        )
    # Of the two, fp16 has three more bits of precision: what it rounds is not seen in 8 bits.
    halves = ((descriptor.supports_half, torch.float16), (descriptor.supports_bfloat16, torch.bfloat16))
    needs = descriptor.size_requirements
    descriptor.model.eval()
    return Network(
        name, descriptor, descriptor.model, descriptor.scale,
        (*(dtype for works, dtype in halves if works), torch.float32),
        max(1, needs.minimum), needs.multiple_of, needs.square, descriptor.tiling.name == "SUPPORTED",
    )  # fmt: skip


@contextmanager
def placed(module: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Have the weights on `device` in `dtype` inside the block. Afterwards they are where and what they were.

    The originals stay: a network may be shared, and fp16 could not be turned back into what it was made from.
    """
    kept = [(tensor, tensor.data) for tensor in _tensors(module)]
    try:
        for tensor, data in kept:
            tensor.data = data.to(device, dtype if data.is_floating_point() else None)
        yield
    finally:
        for tensor, data in kept:
            tensor.data = data


def _tensors(module: torch.nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _spandrel() -> Any:
    try:
        import spandrel
    except ImportError as error:
        raise FinishError(
            f"the package spandrel, which reads upscale models, does not import here ({error}). ComfyUI brings it; "
            "elsewhere: pip install spandrel"
        ) from error
    return spandrel
