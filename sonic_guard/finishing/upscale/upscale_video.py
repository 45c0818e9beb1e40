"""Upscaling as a filter of frames: one frame at a time, in tiles that fit, at exactly the size that is asked for.

Imports torch and OpenCV: import this module lazily.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from ...devices.card_catalogue import GIB
from ...devices.out_of_memory import give_back_memory, is_too_much_at_once
from ...errors import FinishError
from ..frames import Frame
from ..output_size import OutputSize
from ..resize import resized
from .network import Network, placed
from .tile_memory import Demand, demand_of, tiling_for
from .tiles import LEAST_CORE, Canvas, Tile, Tiling, tiles_of
from .upscale_device import AUTO, best_dtype, device_of, resources_of

log = logging.getLogger(__name__)

SPEED_SHARE = 0.35
"""Share of a card's published speed that convolutions of such networks reach, about; for a first estimate of time."""


@dataclass(frozen=True)
class UpscalePlan:
    """How frames of a certain size will be upscaled."""

    device: str
    dtype: torch.dtype
    tiling: Tiling | None
    """None if no network runs, because nothing is to be enlarged."""
    tiles: int
    """In a frame."""
    predicted_bytes: int
    """On the device, with the weights."""
    frame_s: float | None
    """Predicted seconds for a frame; None where nothing is known of the device's speed."""


@dataclass
class UpscaleNotes:
    """What a run did."""

    plan: UpscalePlan | None = None
    """How it began; None if no network ran."""
    halvings: int = 0
    """How often tiles were halved, because memory did not suffice."""
    is_fp32: bool = False
    """Whether it went on in fp32, because the result in 16 bits was not finite."""
    peak_bytes: int | None = None
    """Most memory that torch used on a CUDA device."""


@dataclass(frozen=True)
class Upscale:
    """The filter. `network` is moved to `device` once for a run, and away from it at the end.

    A video that would become smaller is resized without the network, and one that keeps its size is left as it is,
    unless the network does not enlarge: then it runs, because it restores.
    """

    network: Network
    output: OutputSize
    device: str = AUTO
    tile: int | None = None
    """Side of a tile in pixels of the source; None: as large as fits."""
    dtype: torch.dtype | None = None
    """Number format; None: the network's best one that the device has."""
    make_room: Callable[[int, torch.device], None] = field(default=lambda _bytes, _device: None, compare=False)
    """Is called before with the bytes that a whole frame needs on the device: ComfyUI unloads other models."""
    check: Callable[[], None] = field(default=lambda: None, compare=False)
    """Is called before each tile; may raise to end the run."""
    notes: UpscaleNotes = field(default_factory=UpscaleNotes, compare=False)
    before: int = field(default=0, init=False)
    after: int = field(default=0, init=False)
    multiple: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        least, most = LEAST_CORE, 1 << 14
        if self.tile is not None and not least <= self.tile <= most:
            raise FinishError(f"tile: {self.tile} is outside {least} … {most} pixels.")

    @property
    def key(self) -> tuple[str | float | None, ...]:
        """What determines the pictures: not the tiles, which change only what cannot be seen."""
        return self._digest, self.output.height, self.output.factor, str(self._dtype)

    @cached_property
    def _digest(self) -> str:
        return self.network.digest()

    @cached_property
    def _device(self) -> torch.device:
        return device_of(self.device)

    @cached_property
    def _demand(self) -> Demand:
        return demand_of(self.network)

    @property
    def _dtype(self) -> torch.dtype:
        return self.dtype or best_dtype(self._device, self.network.formats)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """That of `output`."""
        return self.output.of(width, height)

    def without_weights(self) -> "Upscale":
        """This, for plans alone: what its network needs is known from then on, and its weights are gone."""
        _ = self._demand
        self.network.module.to("meta")
        return self

    def plan(self, width: int, height: int) -> UpscalePlan:
        """How frames of this size will be upscaled. Raises `FinishError` if not even small tiles fit."""
        if not self._is_enlarged(width, height):
            return UpscalePlan("", self._dtype, None, 0, 0, 0.0)
        item, resources = self._dtype.itemsize, resources_of(self._device)
        most = self._demand.most_pixels(resources.usable_bytes, item)
        tiling = tiling_for(self._demand, self.network, most, self.tile)
        if tiling is None:
            raise FinishError(
                f"device: {self.network.name} does not fit into the {resources.usable_bytes / GIB:.1f} GiB that are "
                f"free on {self._device}, even in small tiles. Use the device cpu, or a smaller model."
            )
        tiles = tiles_of(width, height, tiling)
        areas = [_area(tile) for tile in tiles]
        speed = resources.fp16_tflops if item == 2 else resources.fp32_tflops
        work = self._demand.pixel_operations
        frame_s = sum(areas) * work / (speed * 1e12 * SPEED_SHARE) if speed and work else None
        needed = self._demand.bytes_of(max(areas), item)
        return UpscalePlan(str(self._device), self._dtype, tiling, len(tiles), needed, frame_s)

    def run(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Each frame, uint8 [H, W, 3], enlarged. Raises `FinishError` if the network gives what is no picture."""
        with ExitStack() as stack:
            runner: _Runner | None = None
            for frame in frames:
                height, width = frame.shape[:2]
                size = self.output.of(width, height)
                if not self._is_enlarged(width, height):
                    yield frame if size == (width, height) else resized(frame, size)
                    continue
                if runner is None:
                    runner = stack.enter_context(self._runner(width, height))
                yield resized(runner.enlarged(frame), size)

    def _is_enlarged(self, width: int, height: int) -> bool:
        wide, high = self.output.of(width, height)
        larger = wide > width or high > height
        return larger if self.network.scale > 1 else larger or (wide, high) == (width, height)

    @contextmanager
    def _runner(self, width: int, height: int) -> Iterator["_Runner"]:
        device = self._device
        self.make_room(self._demand.bytes_of(width * height, self._dtype.itemsize), device)
        plan = self.notes.plan = self.plan(width, height)
        assert plan.tiling is not None  # noqa: S101
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        try:
            with ExitStack() as weights:
                yield _Runner(self.network, device, plan.dtype, plan.tiling, self.notes, weights, self.check)
        finally:
            if device.type == "cuda":
                self.notes.peak_bytes = torch.cuda.max_memory_allocated(device)
            give_back_memory()


class _Runner:
    """Enlarges frames; halves the tiles and widens the number format where that is needed."""

    def __init__(
        self, network: Network, device: torch.device, dtype: torch.dtype, tiling: Tiling, notes: UpscaleNotes,
        weights: ExitStack, check: Callable[[], None],
    ) -> None:  # fmt: skip
        self._network, self._device, self._dtype, self._tiling = network, device, dtype, tiling
        self._notes, self._weights, self._check = notes, weights, check
        weights.enter_context(placed(network.module, device, dtype))

    def enlarged(self, frame: Frame) -> Frame:
        """uint8 [H · scale, W · scale, 3]."""
        while True:
            try:
                return self._attempt(frame)
            except _NotFiniteError as error:
                if self._dtype == torch.float32:
                    raise FinishError(
                        f"{self._network.name}: the result is no picture but infinite or NaN, in fp32 as well. The "
                        "model file is damaged; download it again."
                    ) from error
                self._widen()
            except RuntimeError as error:
                if not self._is_too_much(error):
                    raise
                self._halve(frame, error)
            give_back_memory()  # after the error, which holds tensors, is gone

    def _attempt(self, frame: Frame) -> Frame:
        height, width = frame.shape[:2]
        canvas = Canvas(width, height, self._network.scale, self._tiling)
        for tile in tiles_of(width, height, self._tiling):
            self._check()
            canvas.add(tile, self._enlarged_tile(frame, tile))
        return canvas.result()

    def _enlarged_tile(self, frame: Frame, tile: Tile) -> np.ndarray:
        rows, columns = tile
        pixels = np.ascontiguousarray(frame[rows.start : rows.stop, columns.start : columns.stop])
        picture = torch.from_numpy(pixels).to(self._device).permute(2, 0, 1)[None].to(self._dtype) / 255
        made = self._network(picture)[0].permute(1, 2, 0).float()
        if not torch.isfinite(made).all():
            raise _NotFiniteError
        made = made.mul(255).clamp(0, 255)
        return (made.round().byte() if self._tiling.is_exact else made).cpu().numpy()

    def _widen(self) -> None:
        log.warning("%s overflows in %s; it goes on in fp32.", self._network.name, self._dtype)
        self._weights.close()
        self._dtype, self._notes.is_fp32 = torch.float32, True
        self._weights.enter_context(placed(self._network.module, self._device, self._dtype))
        self._tiling = self._tiling.halved() or self._tiling  # numbers are twice as large

    def _is_too_much(self, error: RuntimeError) -> bool:
        return is_too_much_at_once(error) or (self._device.type == "cpu" and "DefaultCPUAllocator" in str(error))

    def _halve(self, frame: Frame, error: RuntimeError) -> None:
        height, width = frame.shape[:2]
        # Tiles larger than the frame are the frame: a step that does not make them smaller would only repeat.
        tiling = self._tiling._replace(side=min(self._tiling.side, max(width, height)))
        halved = tiling.halved() if self._network.is_local else None
        if halved is None:
            raise FinishError(
                f"device: {self._network.name} ran out of memory on {self._device} in the smallest tiles. Use the "
                "device cpu, or a smaller model."
            ) from error
        log.warning("Out of memory in tiles of %s pixels; going on with %s.", tiling.side, halved.side)
        self._tiling = halved
        self._notes.halvings += 1


class _NotFiniteError(Exception):
    """A network's result has NaN or infinite numbers."""


def _area(tile: Tile) -> int:
    return (tile.rows.stop - tile.rows.start) * (tile.columns.stop - tile.columns.start)
