"""Keeps the UNet's weights in host memory, and on the GPU those of the layer that runs and of the next one.

A layer here is a residual layer, a transformer or a resampler of the UNet: 2 to 211 MB of SVD's weights in half
precision. Its weights are copied in one piece, on a stream of their own, while the layer before it computes. Outside of
these layers the UNet has 9 MB, which stay on the GPU.

The numbers are the stock ones to the bit: only where the weights are stored is different.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import zip_longest
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .chunking import Undo
from .host_tensors import HOST

log = logging.getLogger(__name__)

ALIGNMENT = 512
"""Bytes to which a weight is aligned within its layer's: what torch's allocator gives, and kernels may rely on."""
PAGE_BYTES = 1 << 14
"""At least a page of the system's memory; page-locking counts in pages."""


def enable(unet: Any, device: torch.device) -> Undo:
    """Stream the weights of `unet`, which is in host memory, to `device` while it runs; the rest is moved there now.

    The weights of a layer move into one piece of host memory and stay there, also after the returned function has
    ended the streaming. While it lasts that memory is page-locked if it can be; otherwise the copies take longer. The
    returned function leaves the streamed weights in host memory and the rest on `device`.
    """
    layers = [_gather(layer, device) for layer in streamed_layers(unet)]
    with ExitStack() as undo:
        for layer in layers:
            for piece in layer.pieces.values():
                undo.callback(_pin(piece, device))
        stream = _Stream(layers, device)
        undo.callback(stream.end)
        for number, layer in enumerate(layers):
            for module in {id(slot.module): slot.module for slot in layer.slots}.values():
                hook = module.register_forward_pre_hook(lambda *_, number=number: stream.use(number))
                undo.callback(hook.remove)
        undo.callback(unet.register_forward_hook(lambda *_: stream.close()).remove)
        _move_rest(unet, layers, device)
        return undo.pop_all().close


def streamed_layers(unet: Any) -> Iterator[nn.Module]:
    """The layers whose weights are streamed, in the order in which they run."""
    for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
        attentions = getattr(block, "attentions", None) or ()
        for pair in zip_longest(block.resnets, attentions):
            # The middle block has one residual layer more than transformers; either way they take turns.
            yield from (layer for layer in pair if layer is not None)
        for name in ("downsamplers", "upsamplers"):
            yield from getattr(block, name, None) or ()


def streamed_bytes(unet: Any) -> int:
    """Bytes of the weights that are streamed."""
    return sum(weight.nbytes for layer in streamed_layers(unet) for weight in layer.parameters())


class _Slot(NamedTuple):
    """A weight of a layer: the module and the name it has there, and its place in the layer's pieces."""

    module: nn.Module
    name: str
    weight: nn.Parameter
    start: int
    """First number within the piece of its number format."""

    def view(self, pieces: "_Pieces") -> Tensor:
        """This weight within a copy of the layer's `pieces`."""
        size = self.weight
        return pieces[size.dtype][self.start : self.start + size.numel()].view(size.shape)


_Pieces = dict[torch.dtype, Tensor]
"""All weights of a layer, one tensor for each number format: nearly always one."""


class _Layer(NamedTuple):
    slots: list[_Slot]
    pieces: _Pieces
    """In host memory."""


def _gather(layer: nn.Module, device: torch.device) -> _Layer:
    """Moves the weights of `layer` into one piece of host memory, unless they are there since an earlier run."""
    slots: list[_Slot] = []
    ends: dict[torch.dtype, int] = {}
    for module in layer.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                start = ends.get(weight.dtype, 0)
                slots.append(_Slot(module, name, weight, start))
                step = ALIGNMENT // weight.element_size()
                ends[weight.dtype] = start + math.ceil(weight.numel() / step) * step
    if (pieces := _gathered(slots, ends)) is not None:
        return _Layer(slots, pieces)
    with torch.inference_mode(False), torch.no_grad():  # the weights outlive the call of a node
        pieces = {dtype: _host_piece(count, dtype, device) for dtype, count in ends.items()}
        return _Layer([_moved(slot, pieces) for slot in slots], pieces)


def _moved(slot: _Slot, pieces: _Pieces) -> _Slot:
    """`slot` with its weight at its place in `pieces`: a new parameter, because an old one may be of inference mode."""
    weight = _like(slot.weight, slot.view(pieces).copy_(slot.weight))
    slot.module._parameters[slot.name] = weight
    return slot._replace(weight=weight)


def _host_piece(count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Host memory for `count` numbers. For copies to a card it has its memory pages for itself, to be locked."""
    if device.type != "cuda":
        return torch.empty(count, dtype=dtype, device=HOST)
    page = PAGE_BYTES // dtype.itemsize
    whole = torch.empty((math.ceil(count / page) + 1) * page, dtype=dtype, device=HOST)
    first = -whole.data_ptr() % PAGE_BYTES // dtype.itemsize
    return whole[first : first + count]


def _gathered(slots: list[_Slot], ends: dict[torch.dtype, int]) -> _Pieces | None:
    """The pieces in which all weights are at their places already; None if they are not."""
    pieces: _Pieces = {}
    for slot in slots:
        weight = slot.weight
        if weight.dtype not in pieces:
            storage, base = weight.untyped_storage(), weight.storage_offset()
            whole = torch.empty(0, dtype=weight.dtype, device=weight.device).set_(storage)
            pieces[weight.dtype] = whole[base : base + ends[weight.dtype]]
        place = pieces[weight.dtype]
        if (
            len(place) < ends[weight.dtype]
            or weight.untyped_storage()._cdata != place.untyped_storage()._cdata
            or weight.storage_offset() != place.storage_offset() + slot.start
            or not weight.is_contiguous()
        ):
            return None
    return pieces


def _pin(piece: Tensor, device: torch.device) -> Undo:
    """Page-lock `piece` for copies to `device` that run beside its kernels; the returned function unlocks it."""
    if device.type != "cuda":
        return lambda: None
    runtime: Any = torch.cuda.cudart()
    if int(runtime.cudaHostRegister(piece.data_ptr(), piece.nbytes, 0)) == 0:
        return lambda: runtime.cudaHostUnregister(piece.data_ptr())
    log.info("Sonic Guard copies the weights of a layer from pageable memory: the system page-locks no more of it.")
    try:
        torch.zeros(1, device=device)
    except RuntimeError as error:  # the refusal, which CUDA reports again at the next call
        log.debug("CUDA has reported: %s", error)
    return lambda: None


def _move_rest(unet: nn.Module, layers: list[_Layer], device: torch.device) -> None:
    """Move the parameters and buffers of `unet` that are not streamed to `device`."""
    streamed = {id(slot.module) for layer in layers for slot in layer.slots}
    with torch.inference_mode(False), torch.no_grad():
        for module in unet.modules():
            if id(module) in streamed:
                continue
            for name, weight in module._parameters.items():
                if weight is not None and weight.device != device:
                    module._parameters[name] = _like(weight, weight.detach().to(device))
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = buffer.to(device)


def _like(weight: nn.Parameter, numbers: Tensor) -> nn.Parameter:
    # Also without gradients, torch multiplies by a weight that could have one in another order than by one that cannot.
    return nn.Parameter(numbers, requires_grad=weight.requires_grad)


class _OnDevice(NamedTuple):
    number: int
    pieces: _Pieces
    copied: torch.Event | None
    """When they are there; None if they are already."""


class _Stream:
    """Which layers' weights are on the GPU: those of the layer that runs, and of the next one."""

    def __init__(self, layers: list[_Layer], device: torch.device) -> None:
        self._layers, self._device = layers, device
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._current: int | None = None
        self._ahead: _OnDevice | None = None

    def use(self, number: int) -> None:
        """Called before a module of the layer `number` runs."""
        if number == self._current:
            return
        self._end_current()
        there = self._ahead if self._ahead is not None and self._ahead.number == number else None
        if there is None:
            self._drop_ahead()
            there = self._fetch(number)
        self._ahead = None
        self._wait(there)
        for slot in self._layers[number].slots:
            slot.module._parameters[slot.name] = _like(slot.weight, slot.view(there.pieces))
        self._current = number
        if number + 1 < len(self._layers):
            self._ahead = self._fetch(number + 1)

    def close(self) -> None:
        """Put every weight back to host memory."""
        self._end_current()
        self._drop_ahead()

    def end(self) -> None:
        """The same, and wait for the copies that are under way: their memory must stay locked until then."""
        self.close()
        if self._copies is not None:
            self._copies.synchronize()

    def _fetch(self, number: int) -> _OnDevice:
        host = self._layers[number].pieces
        there = {dtype: torch.empty_like(piece, device=self._device) for dtype, piece in host.items()}
        if self._copies is None:
            for dtype, piece in host.items():
                there[dtype].copy_(piece)
            return _OnDevice(number, there, None)
        # The memory may have been a tensor of kernels that are still queued.
        self._copies.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._copies):
            for dtype, piece in host.items():
                there[dtype].copy_(piece, non_blocking=True)
            return _OnDevice(number, there, self._copies.record_event())

    def _wait(self, there: _OnDevice) -> None:
        if there.copied is not None:
            torch.cuda.current_stream(self._device).wait_event(there.copied)

    def _end_current(self) -> None:
        if self._current is not None:
            for slot in self._layers[self._current].slots:
                slot.module._parameters[slot.name] = slot.weight
            self._current = None

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            self._wait(self._ahead)  # before its memory is used for anything else
            self._ahead = None
