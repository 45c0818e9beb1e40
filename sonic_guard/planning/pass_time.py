"""How long a pass of the network takes: its arithmetic and its memory traffic, on a card of published speed.

A pass is one window of one denoising step, with its three guidance branches. Its operations are counted in the real
network (`python -m bench.pass_work`). What part of its published speed a card reaches was measured on one card, an
NVIDIA H200: see ``docs/time.md``.
"""

from collections.abc import Mapping
from typing import NamedTuple

from ..devices.card_catalogue import Speed
from ..job import MIN_CHUNK_SIZE, Dtype, Job
from ..memory.constants import constants
from ..memory.hard_limits import GUIDANCE_BRANCHES
from ..optimizations import Optimization


class Work(NamedTuple):
    """What a pass has to do in the stock order."""

    tflop: float
    """10**12 operations of matrix products, convolutions and attention."""
    gbytes: float
    """10**9 bytes read and written by all operators, each by itself."""


class Reached(NamedTuple):
    """Parts of a card's published figures that a pass reaches."""

    compute: float
    bandwidth: float


MEASURED_CARD = Speed(989, 67, 4800)
"""The H200."""
MEASURED = Reached(0.50, 0.88)
"""There: within 9 % of every stock pass from 256² to 1024² and windows from 12 to 50 frames."""
BEST = Reached(0.80, 1.0)
"""Smaller cards reach more of their peak, because their arithmetic waits less; none moves more than it can."""
WORST = Reached(0.35, 0.65)
UNLIKE = 2.0
"""How much longer it may take on a card that is not `Speed.like_measured`: other kernels, some without matrix units."""
TF32_CONVOLUTIONS = 0.6
"""Least part of fp32's time: torch runs convolutions, two fifths of the arithmetic, in TF32 where a card has it."""

_EXTRA_S: Mapping[Optimization, float] = {
    Optimization.SEQUENTIAL_CFG: 0.08,
    Optimization.FEED_FORWARD_CHUNKING: 0.03,
}
_LAYERS_EXTRA_S = 1.13
"""Of layer chunking at 1024², 25 frames, with the smallest chunks."""
_LAYERS_FRAMES, _LAYERS_CHUNK = 0.75, -1.7
"""Exponents with which that follows the latent pixels of a pass and the chunk size."""
_BOTH_CHUNKED = 2.3
"""How much more it is with feed-forward chunking, which no plan combines with it."""
_LAYERS_PIXELS = 128 * 128 * 25
_BUS_GBPS = (25.0, 6.0)
"""10**9 bytes a second from host memory to a GPU: PCIe 4.0 with 16 lanes, page-locked; and PCIe 3.0 with 8 lanes."""


def work_of_pass(job: Job) -> Work:
    """The work of one pass of `job` in the stock order. Attention over a frame's positions is quadratic in them."""
    pixels, frames = _latent_pixels(job), job.window
    tflop = pixels * (8.38e-4 * frames + 1.14e-3) + 2.19e-8 * frames * pixels**2
    gbytes = 15.8 + pixels * (8.60e-3 * frames + 8.67e-3)
    return Work(tflop, gbytes * job.dtype.size / 2)


def measured_s(job: Job) -> float:
    """Seconds of a stock pass on the measured card."""
    return _seconds(job, MEASURED_CARD, MEASURED)


def extra_s(job: Job) -> float:
    """Seconds that the optimizations of `job` add to a pass on the measured card.

    It is the time to launch more and smaller kernels, which the machine's CPU takes whatever the card. A slower card
    is still busy meanwhile, so that less of it shows.
    """
    extra = sum(seconds for each, seconds in _EXTRA_S.items() if each in job.optimizations)
    if Optimization.LAYER_CHUNKING in job.optimizations:
        amount = (_latent_pixels(job) * job.window / _LAYERS_PIXELS) ** _LAYERS_FRAMES
        both = _BOTH_CHUNKED if Optimization.FEED_FORWARD_CHUNKING in job.optimizations else 1.0
        extra += _LAYERS_EXTRA_S * both * amount * (job.chunk_size / MIN_CHUNK_SIZE) ** _LAYERS_CHUNK
    return extra


def span_s(job: Job, speed: Speed) -> tuple[float, float]:
    """Fewest and most seconds of a pass of `job` on a card of this speed that has not been measured."""
    low, high = _seconds(job, speed, BEST), _seconds(job, speed, WORST)
    fast, slow = _copies_s(job)
    if not speed.like_measured:
        high *= UNLIKE
    elif job.dtype is Dtype.FP32:
        low *= TF32_CONVOLUTIONS
    return max(low, extra_s(job), fast), high + extra_s(job) + slow


def _copies_s(job: Job) -> tuple[float, float]:
    """Fewest and most seconds of a pass in which weights are copied to the GPU; they may run beside the network."""
    if Optimization.STREAM_WEIGHTS not in job.optimizations:
        return 0.0, 0.0
    crossings = GUIDANCE_BRANCHES if Optimization.SEQUENTIAL_CFG in job.optimizations else 1
    gbytes = crossings * constants(job.relative).streamed_bytes[job.dtype.size] / 1e9
    fast, slow = (gbytes / gbps for gbps in _BUS_GBPS)
    return fast, slow


def _seconds(job: Job, speed: Speed, reached: Reached) -> float:
    work, tflops = work_of_pass(job), speed.fp32_tflops if job.dtype is Dtype.FP32 else speed.fp16_tflops
    return work.tflop / (tflops * reached.compute) + work.gbytes / (speed.gbps * reached.bandwidth)


def _latent_pixels(job: Job) -> int:
    return job.frame_size.width * job.frame_size.height // 64
