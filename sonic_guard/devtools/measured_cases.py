"""The cases that `measure` measures, the most informative first."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from ..devices.budget import budget_for
from ..job import MIN_CHUNK_SIZE, Dtype, Job, duration_of
from ..memory.constants import constants
from ..memory.stage_model import PROMPT_NUMBERS, STAGES, predict, resident_bytes, stage_bytes
from ..optimizations import EVERY, Optimization
from ..planning.capacity import Capacity
from ..planning.planner import make_plan
from ..planning.selection import largest_chunk_size

STEPS = 2
"""Denoising steps of a case: the first warms up the kernels, the second is timed."""
RUN = "run"
"""Pseudo-stage: predata and the sampler's whole call, one after the other with one allocator."""
STAND_IN_STAGES = ("predata", "decode", RUN)
"""Stages that call a VAE. Without ComfyUI it is diffusers' VAE for SVD, whose layers take other amounts of memory."""

CARDS_GIB = (6, 8, 12, 16, 24)
"""Memory of the cards that runs are planned for."""
CARD_SIDES, CARD_FRAMES = (512, 768, 1024), 50
"""The requested settings on each of them: pixels per side, latent frames."""

STAND_IN_ENCODE_BYTES, STAND_IN_BYTES_PER_PIXEL = 1_461_000_000, 1566
"""Predata while diffusers' VAE encodes the picture, without Sonic's UNet, RIFE and the prompts: traced, in fp16 with a
VAE in bf16. ComfyUI's VAE takes less. The last convolution at full size sets the peak, with its workspace."""

_LATENT_PIXELS = 512 * 512
_FP32_SLOWNESS = 8


@dataclass(frozen=True)
class Case:
    """One measurement: a stage of a run with these settings, without other programs on the card."""

    stage: str
    """A stage of the model, or `RUN`."""
    width: int
    """Pixels; a multiple of 64, like `height`."""
    height: int
    frames: int
    """Latent frames N."""
    window: int = 25
    """Latent frames F in one window."""
    dtype: Dtype = Dtype.FP16
    optimizations: frozenset[Optimization] = frozenset()
    vae_dtype: Dtype = Dtype.BF16
    card_gib: int | None = None
    """Limit of the memory; None is the whole card."""
    interpolate: bool = True
    chunk_size: int = MIN_CHUNK_SIZE
    """Activations that a layer takes at a time with layer chunking."""

    @property
    def name(self) -> str:
        """Unique name of the case, stable across versions of the grid."""
        optimizations = "+".join(sorted(self.optimizations)) or "stock"
        size = f"{self.width}x{self.height}"
        chunks = f" x{self.chunk_size // MIN_CHUNK_SIZE}" if self.chunk_size > MIN_CHUNK_SIZE else ""
        rate = "" if self.interpolate else ", no interpolation"
        card = f", {self.card_gib} GiB card" if self.card_gib else ""
        formats = f"{self.dtype}/{self.vae_dtype}"
        return f"{self.stage} {size} N{self.frames} F{self.window} {formats} {optimizations}{chunks}{rate}{card}"

    @cached_property
    def job(self) -> Job:
        """The job to which the stage belongs."""
        return Job(
            self.width,
            self.height,
            duration_of(self.frames),
            min_resolution=min(self.width, self.height),
            fps=self.window,
            dtype=self.dtype,
            steps=STEPS,
            interpolate=self.interpolate,
            optimizations=self.optimizations,
            chunk_size=self.chunk_size,
            vae_dtype=self.vae_dtype,
        )

    @property
    def stock(self) -> "Case":
        """The same case without optimizations and memory limit."""
        return replace(self, optimizations=frozenset(), chunk_size=MIN_CHUNK_SIZE, card_gib=None)

    @property
    def stand_in(self) -> bool:
        """Whether diffusers' VAE replaces ComfyUI's."""
        return self.stage in STAND_IN_STAGES

    def predict_bytes(self) -> int:
        """The predicted peak bytes of tensors for this stage, overhead not included."""
        stages = stage_bytes(self.job)
        if self.vae_dtype.size == 2:
            stages["predata"] = max(stages["predata"], _stand_in_predata(self.job))
        if self.card_gib:  # decode takes fewer frames at a time then
            stages.update(predict(self.job).floors)
        return max(stages.values()) if self.stage == RUN else stages[self.stage]

    @property
    def work(self) -> float:
        """Estimated time of the case in arbitrary units; comparable within a stage only."""
        pixels = self.width * self.height
        if self.stage not in ("denoise", RUN):
            return float(self.frames * pixels)
        slowness = _FP32_SLOWNESS if self.dtype is Dtype.FP32 else 1
        # The second factor is for spatial attention, which grows with the square of the pixels.
        return float(self.job.windows * self.window * pixels * slowness) * (1 + pixels / _LATENT_PIXELS)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {**asdict(self), "optimizations": sorted(self.optimizations)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Case":
        """The inverse of `to_json`; other keys are ignored."""
        whole = {name: data[name] for name in ("stage", "width", "height", "frames", "window")}
        return cls(
            **whole,
            dtype=Dtype(data["dtype"]),
            optimizations=frozenset(map(Optimization, data["optimizations"])),
            vae_dtype=Dtype(data["vae_dtype"]),
            **{name: data[name] for name in ("card_gib", "interpolate", "chunk_size") if name in data},
        )


def _stand_in_predata(job: Job) -> int:
    """Peak bytes of predata with diffusers' VAE in place of ComfyUI's."""
    size, kept = job.frame_size, resident_bytes(job).predata + (constants().rife_bytes if job.interpolate else 0)
    prompts = 2 * PROMPT_NUMBERS * 4 * job.latent_frames
    return kept + prompts + STAND_IN_ENCODE_BYTES + STAND_IN_BYTES_PER_PIXEL * size.width * size.height


def grid() -> tuple[Case, ...]:
    """All cases, in the order they are measured."""
    cases = tuple(dict.fromkeys(itertools.chain(_denoise(), _optimizations(), _interpolate(), _others(), _cards())))
    assert {case.stage for case in cases} == {*STAGES, RUN}, "a stage of the model has no case"  # noqa: S101
    return cases


def _denoise() -> Iterator[Case]:
    """The stock wrapper: sizes, formats, windows, and clips shorter and longer than a window."""
    for width, height in ((512, 512), (256, 256), (768, 768), (384, 384), (1024, 1024), (768, 512), (576, 1024)):
        yield Case("denoise", width, height, 25)
    yield Case("load", 512, 512, 25)
    yield Case("denoise", 512, 512, 12, window=12)
    yield Case("denoise", 512, 512, 50, window=50)
    yield Case("denoise", 512, 512, 6)
    yield Case("denoise", 256, 256, 500)
    yield Case("denoise", 512, 512, 25, dtype=Dtype.BF16)
    yield Case("denoise", 512, 512, 25, dtype=Dtype.FP32)
    yield Case("denoise", 768, 768, 25, dtype=Dtype.FP32)


def _optimizations() -> Iterator[Case]:
    branch, ff, block = Optimization.SEQUENTIAL_CFG, Optimization.FEED_FORWARD_CHUNKING, Optimization.LAYER_CHUNKING
    optimized = frozenset({branch, block, Optimization.TENSOR_OFFLOAD})
    for side in (512, 1024, 768):
        for optimizations in (
            optimized,
            {branch, ff, block},
            {branch},
            {branch, ff},
            {ff},
            {block},
            optimized | {Optimization.STREAM_WEIGHTS},
        ):
            yield Case("denoise", side, side, 25, optimizations=frozenset(optimizations))
    yield Case("denoise", 512, 512, 25, dtype=Dtype.FP32, optimizations=frozenset({branch, ff, block}))
    yield Case("denoise", 512, 512, 50, window=50, optimizations=frozenset({branch, ff, block}))


def _interpolate() -> Iterator[Case]:
    streaming = frozenset({Optimization.STREAMING_DECODE})
    for side, frames in ((512, 125), (512, 25), (1024, 60), (512, 500)):
        yield Case("interpolate", side, side, frames)
        yield Case("interpolate", side, side, frames, optimizations=streaming)
    yield Case("interpolate", 512, 512, 60, vae_dtype=Dtype.FP32)


def _others() -> Iterator[Case]:
    for side, frames in ((512, 125), (1024, 25), (512, 1000)):
        yield Case("predata", side, side, frames)
    yield Case("predata", 512, 512, 125, dtype=Dtype.FP32)
    yield Case(RUN, 512, 512, 50)
    yield Case(RUN, 512, 512, 50, optimizations=EVERY)
    for side, frames in ((512, 28), (768, 14), (1024, 14)):
        yield Case("decode", side, side, frames)
    yield Case("decode", 512, 512, 28, vae_dtype=Dtype.FP32)
    yield Case("load", 512, 512, 25, dtype=Dtype.FP32)
    # 3 · 23,040 positions: attention batches above 65,535, which some kernels do not support.
    yield Case("denoise", 1280, 1152, 25)
    yield Case("denoise", 1280, 1152, 25, optimizations=frozenset({Optimization.SEQUENTIAL_CFG}))


def _cards() -> Iterator[Case]:
    """Whole runs as planned for cards of several sizes, with optimizations and without.

    The stock runs of the same sizes come first, for comparison of the times.
    """
    planned: dict[Case, None] = {}
    for gib, side, optimizations in itertools.product(CARDS_GIB, CARD_SIDES, (EVERY, frozenset[Optimization]())):
        if case := planned_case(gib, side, optimizations):
            planned[case] = None
    yield from dict.fromkeys(case.stock for case in planned)
    yield from planned


def planned_case(
    gib: int, side: int, optimizations: frozenset[Optimization] = EVERY, frames: int = CARD_FRAMES
) -> Case | None:
    """A whole run as planned for a card with `gib`, with the chunk size that Sonic Low VRAM would choose.

    Asked for are `side` × `side` pixels and `frames` latent frames; the plan may change both. None where none fits.
    """
    capacity = Capacity(budget_for(gib))
    requested = Job(side, side, duration_of(frames), min_resolution=side, steps=STEPS)
    plan = make_plan(requested, capacity, available=optimizations)
    if not plan.fits:
        return None
    job, size = plan.job, plan.job.frame_size
    return Case(
        RUN,
        size.width,
        size.height,
        job.latent_frames,
        job.window,
        job.dtype,
        job.optimizations,
        job.vae_dtype,
        gib,
        job.interpolate,
        largest_chunk_size(job, capacity.fits),
    )
