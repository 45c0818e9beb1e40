"""How long a pass of the network takes: its arithmetic and its memory traffic, on a card of published speed.

A pass is one window of one denoising step, with its three guidance branches. Its operations and launches are counted
in the real network (`python -m bench.pass_work`). What part of its published speed a card reaches, and what a launch
takes, was measured on one card, an NVIDIA H200: see ``docs/time.md``.
"""

from dataclasses import replace
from typing import NamedTuple

from ..devices.card_catalogue import Speed
from ..job import MIN_CHUNK_SIZE, Dtype, Job
from ..memory.constants import constants
from ..memory.hard_limits import GUIDANCE_BRANCHES
from ..optimizations import REORDERING, Optimization


class Reached(NamedTuple):
    """Parts of a card's published figures that a pass reaches."""

    compute: float
    bandwidth: float


class Work(NamedTuple):
    """What a pass, or a layer in it, has to do."""

    tflop: float
    """10**12 operations of matrix products, convolutions and attention."""
    gbytes: float
    """10**9 bytes read and written by all operators, each by itself."""

    def seconds(self, tflops: float, gbps: float, reached: Reached) -> float:
        """For how long it keeps a card with these published figures busy."""
        return self.tflop / (tflops * reached.compute) + self.gbytes / (gbps * reached.bandwidth)


MEASURED_CARD = Speed(989, 67, 4800)
"""The H200."""
MEASURED = Reached(0.42, 0.63)
"""There: with the launches, within 9 % of every stock pass from 256² to 1024² and windows from 12 to 50 frames."""
BEST = Reached(0.80, 1.0)
"""Smaller cards reach more of their peak, because their arithmetic waits less; none moves more than it can."""
WORST = Reached(0.32, 0.48)
UNLIKE = 2.0
"""How much longer it may take on a card that is not `Speed.like_measured`: other kernels, some without matrix units."""
TF32_CONVOLUTIONS = 0.6
"""Least part of fp32's time: torch runs convolutions, two fifths of the arithmetic, in TF32 where a card has it."""

LAUNCH_S = 26e-6
"""Time of the machine's CPU for one operator, Python included, beside the measured card."""
FAST_CPU, SLOW_CPU = 0.8, 2.0
"""How long it takes on other machines, as a ratio to that."""
_BESIDE = 2.5
"""Exponent with which the times of the GPU and of the CPU that launches for it add up: they pass side by side, and
which of them waits for the other changes from layer to layer."""

BY_BRANCH = 1.06
"""How much longer a pass keeps the card busy whose branches are calls of their own, which fill it less."""

_STOCK_LAUNCHES = 2_400
"""Operators of a call of the network that are no views."""
_FEED_FORWARD_LAUNCHES = 1_730
"""Of feed-forward chunks in a call."""
_LAYERS_LAUNCHES = {False: (7_060, 5_000, 19_900), True: (9_110, 6_200, 25_800)}
"""With layer chunking, by whether each branch is a call of its own: the fewest; of any pass; and of the smallest chunks
at 512², 25 frames, of which there are more where there are more chunks. Within a seventh of what was counted."""
_LAYERS_PIXELS = 64 * 64 * 25
_BOTH_CHUNKED = 1.9
"""How many more these are with feed-forward chunking, which no plan combines with it."""

_FAST_BUS, _USUAL_BUS, _SLOW_BUS = 25.0, 12.0, 6.0
"""10**9 bytes a second from host memory to a GPU: PCIe 4.0 with 16 lanes, with 8 lanes (or 3.0 with 16), and PCIe 3.0
with 8 lanes or pageable memory."""


def work_of_pass(job: Job) -> Work:
    """The work of one pass of `job`. Attention over a frame's positions is quadratic in them.

    What does not follow the number of frames is the projection of a prompt at every position: see
    `low_vram.shared_prompts`.
    """
    pixels, frames, shared = _latent_pixels(job), job.window, not REORDERING.isdisjoint(job.optimizations)
    tflop = pixels * (8.38e-4 * frames + (0 if shared else 1.14e-3)) + 2.19e-8 * frames * pixels**2
    gbytes = 5.6 + pixels * (4.803e-3 * frames + (1.8e-3 if shared else 5.64e-3))
    return Work(tflop, gbytes * job.dtype.size / 2)


def launches(job: Job) -> float:
    """Operators of one pass of `job` that are no views: each is launched by the machine's CPU, whatever the card."""
    by_branch = Optimization.SEQUENTIAL_CFG in job.optimizations
    feed_forward = Optimization.FEED_FORWARD_CHUNKING in job.optimizations
    if Optimization.LAYER_CHUNKING not in job.optimizations:
        calls = GUIDANCE_BRANCHES if by_branch else 1
        return calls * (_STOCK_LAUNCHES + feed_forward * _FEED_FORWARD_LAUNCHES)
    fewest, always, of_chunks = _LAYERS_LAUNCHES[by_branch]
    chunks = _latent_pixels(job) * job.window / _LAYERS_PIXELS * MIN_CHUNK_SIZE / job.chunk_size
    return max(fewest, always + of_chunks * chunks * (_BOTH_CHUNKED if feed_forward else 1))


def pass_s(job: Job, pace: float = 1.0) -> float:
    """Seconds of a pass of `job` on a card that is busy `pace` times as long as the measured one."""
    return _beside(job, pace * _measured_s(job))


def pace_of(job: Job, pass_s: float) -> float:
    """For how long passes of `job` that take `pass_s` seconds keep their card busy, as a ratio to the measured card.

    A pass is never counted as launches alone: on a fast machine they take less time than assumed.
    """
    busy = pass_s**_BESIDE - min(launches(job) * LAUNCH_S, 0.95 * pass_s) ** _BESIDE
    return busy ** (1 / _BESIDE) / (_by_branch(job) * _measured_s(job))


def slowdown(job: Job, speed: Speed | None) -> float:
    """Most likely time of a pass of `job`, as a ratio to the stock order on a card of this speed.

    Without a speed, on the measured card: the faster a card, the more of the launches shows.
    """
    stock, card = replace(job, optimizations=frozenset()), speed or MEASURED_CARD
    busy, stock_busy = (_seconds(each, card, MEASURED) for each in (job, stock))
    return (_beside(job, busy) + exposed_s(_copies_s(job, _USUAL_BUS), busy)) / _beside(stock, stock_busy)


def span_s(job: Job, speed: Speed) -> tuple[float, float]:
    """Fewest and most seconds of a pass of `job` on a card of this speed that has not been measured."""
    low, high = _seconds(job, speed, BEST), _seconds(job, speed, WORST)
    if not speed.like_measured:
        high *= UNLIKE
    elif job.dtype is Dtype.FP32:
        low *= TF32_CONVOLUTIONS
    low_s = max(_beside(job, low, FAST_CPU), _copies_s(job, _FAST_BUS))
    return low_s, _beside(job, high, SLOW_CPU) + _copies_s(job, _SLOW_BUS)


def exposed_s(copies_s: float, busy_s: float) -> float:
    """Seconds of the copies that the network waits for, if each layer's are made while the layer before it computes.

    Fitted to a calculation with the work and the weights of each layer, for cards from a T4 to an H200 and buses from 6
    to 25 GB/s, within 5 % of a pass where the copies take less time than it. It has not been measured.
    """
    return 1.3 * copies_s**2 / (busy_s + 0.9 * copies_s)


def _beside(job: Job, busy_s: float, cpu: float = 1.0) -> float:
    """Seconds of a pass of `job` whose work keeps its card busy for `busy_s`, beside a CPU `cpu` times as slow."""
    launch_s = launches(job) * LAUNCH_S * cpu
    return ((_by_branch(job) * busy_s) ** _BESIDE + launch_s**_BESIDE) ** (1 / _BESIDE)


def _by_branch(job: Job) -> float:
    return BY_BRANCH if Optimization.SEQUENTIAL_CFG in job.optimizations else 1.0


def _measured_s(job: Job) -> float:
    """Seconds for which a pass of `job` keeps the measured card busy."""
    return _seconds(job, MEASURED_CARD, MEASURED)


def _copies_s(job: Job, gbps: float) -> float:
    """Seconds of a pass in which weights are copied to the GPU over such a bus; they may run beside the network."""
    if Optimization.STREAM_WEIGHTS not in job.optimizations:
        return 0.0
    crossings = GUIDANCE_BRANCHES if Optimization.SEQUENTIAL_CFG in job.optimizations else 1
    return crossings * constants(job.relative).streamed_bytes[job.dtype.size] / 1e9 / gbps


def _seconds(job: Job, speed: Speed, reached: Reached) -> float:
    tflops = speed.fp32_tflops if job.dtype is Dtype.FP32 else speed.fp16_tflops
    return work_of_pass(job).seconds(tflops, speed.gbps, reached)


def _latent_pixels(job: Job) -> int:
    return job.frame_size.width * job.frame_size.height // 64
