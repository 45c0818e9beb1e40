"""How large a tile may be: from the bytes that a network needs for each pixel, and from limits of kernels.

Imports torch: import this module lazily.
"""

import logging
from dataclasses import dataclass
from math import isqrt

import torch

from ...memory.hard_limits import MAX_ATTENTION_BATCH, MAX_MPS_ELEMENTS
from .network import Network
from .network_trace import Trace, trace
from .tiles import BLENDED_HALO, GRID, LEAST_CORE, Tiling

log = logging.getLogger(__name__)

TRACED_SIDES = (64, 128)
"""Pictures that are traced. Two, because part of what a network needs does not grow with the picture."""
WIDEST_EXACT_HALO = 64
"""Of a network that sees farther, tiles would be mostly halo: they are blended."""
SCRATCH = 1.25
"""Kernels need memory besides the tensors: convolutions a quarter of theirs, as a rule."""
UNTRACED_ELEMENTS = 3000
"""Numbers for each pixel of the picture and unit of scale that a network is taken to need if it cannot be traced:
more than any that can. What is too much is halved in the run."""
UNTRACED_LARGEST = 64
"""Of them, in the largest tensor, for each pixel of the result: its channels."""
LARGEST_TENSOR = MAX_MPS_ELEMENTS
"""Numbers in a tensor that every kernel can index, on CUDA as well."""


@dataclass(frozen=True)
class Demand:
    """What a network needs and sees."""

    fixed_elements: float
    pixel_elements: float
    """Numbers in live tensors for each pixel of a tile."""
    largest_elements: float
    """Of them, numbers in the largest tensor."""
    batch: float
    """Of attention, for each pixel of a tile."""
    reach: int | None
    """See `Trace`."""
    coarsest: int
    pixel_operations: float | None
    """For each pixel of a tile; None if not known."""
    weight_elements: int

    def bytes_of(self, pixels: int, item_bytes: int) -> int:
        """Predicted bytes on the device for a tile of `pixels`, with the weights, in numbers of `item_bytes`."""
        live = self.fixed_elements + self.pixel_elements * pixels
        return round((live * SCRATCH + self.weight_elements) * item_bytes)

    def most_pixels(self, usable_bytes: int, item_bytes: int) -> int:
        """Pixels of the largest tile within `usable_bytes` and within what kernels can index."""
        live = (usable_bytes / item_bytes - self.weight_elements) / SCRATCH - self.fixed_elements
        limits = [live / self.pixel_elements, LARGEST_TENSOR / self.largest_elements]
        if self.batch:
            limits.append(MAX_ATTENTION_BATCH / self.batch)
        return max(0, int(min(limits)))


def demand_of(network: Network) -> Demand:
    """What `network` needs, by tracing it where it can be traced."""
    try:
        small, large = (_traced(network, side) for side in TRACED_SIDES)
    except Exception as error:  # whatever a network does that needs values
        log.info("%s cannot be traced (%s); its memory is estimated.", network.name, error)
        most = UNTRACED_ELEMENTS * network.scale
        return Demand(0, most, UNTRACED_LARGEST * network.scale**2, 0, None, 1, None, network.weight_elements)
    slope = max(1.0, (large.peak_elements - small.peak_elements) / (large.pixels - small.pixels))
    return Demand(
        max(0.0, large.peak_elements - slope * large.pixels), slope, large.largest_elements / large.pixels,
        large.largest_batch / large.pixels, large.reach, large.coarsest, large.operations / large.pixels,
        network.weight_elements,
    )  # fmt: skip


def tiling_for(demand: Demand, network: Network, most_pixels: int, side: int | None = None) -> Tiling | None:
    """The largest tiles of at most `most_pixels` with their halo, or those of `side`; None if not even small ones fit.

    A network that must see the whole picture gets one tile of any size.
    """
    exact = demand.reach is not None and demand.reach <= WIDEST_EXACT_HALO and demand.coarsest <= GRID
    halo = -(-(demand.reach or 0) // demand.coarsest) * demand.coarsest if exact else BLENDED_HALO
    if not network.is_local:
        return Tiling(isqrt(most_pixels), 0, is_exact=True)
    least = LEAST_CORE + 2 * halo
    if side is not None:
        return Tiling(max(side, least), halo, exact)
    side = isqrt(most_pixels) // network.multiple * network.multiple
    return Tiling(side, halo, exact) if side >= least else None


def _traced(network: Network, side: int) -> Trace:
    width, height = network.padded_side(side, side)
    dtype = next((each.dtype for each in network.module.parameters()), torch.float32)
    return trace(network, 3, width, height, dtype)
