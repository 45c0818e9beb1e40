"""What `measure` measures: one case a line, the most telling first."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from ..job import Dtype, Job, Lever, duration_of
from ..lean import EXACT
from ..vram.model import STAGES, stage_bytes

STEPS = 2
"""Denoising steps of a case: the first warms the kernels up, the second is timed."""
RUN = "run"
"""Pseudo-stage: predata and the sampler's whole call, one after the other in one allocator."""
STAND_IN_STAGES = ("predata", "decode", RUN)
"""Stages that call a VAE. Without ComfyUI that is diffusers' own for SVD, whose layers hold other bytes."""

_LATENT_PIXELS = 512 * 512
_FP32_SLOWNESS = 8


@dataclass(frozen=True)
class Case:
    """One measurement: a stage of a run of these settings, alone on the card."""

    stage: str
    """A stage of the model, or `RUN`."""
    width: int
    """Pixels; a multiple of 64, like `height`."""
    height: int
    frames: int
    """Latent frames N."""
    window: int = 25
    """Latent frames F in one pass of the network."""
    dtype: Dtype = Dtype.FP16
    levers: frozenset[Lever] = frozenset()
    vae_dtype: Dtype = Dtype.BF16

    @property
    def name(self) -> str:
        """Names the case among all others; the same in every version of the grid."""
        levers = "+".join(sorted(self.levers)) or "stock"
        size = f"{self.width}x{self.height}"
        return f"{self.stage} {size} N{self.frames} F{self.window} {self.dtype}/{self.vae_dtype} {levers}"

    @cached_property
    def job(self) -> Job:
        """The job this stage belongs to."""
        return Job(
            self.width,
            self.height,
            duration_of(self.frames),
            min_resolution=min(self.width, self.height),
            fps=self.window,
            dtype=self.dtype,
            steps=STEPS,
            levers=self.levers,
            vae_dtype=self.vae_dtype,
        )

    @property
    def stock(self) -> "Case":
        """The same case in the wrapper's own order."""
        return replace(self, levers=frozenset())

    @property
    def stand_in(self) -> bool:
        """Whether diffusers' VAE runs in ComfyUI's place."""
        return self.stage in STAND_IN_STAGES

    def predict_bytes(self) -> int:
        """The model's peak of tensors for this stage, overhead not included."""
        stages = stage_bytes(self.job)
        return max(stages.values()) if self.stage == RUN else stages[self.stage]

    @property
    def work(self) -> float:
        """How long the case takes, in no particular unit; comparable within a stage only."""
        pixels = self.width * self.height
        if self.stage not in ("denoise", RUN):
            return float(self.frames * pixels)
        slowness = _FP32_SLOWNESS if self.dtype is Dtype.FP32 else 1
        # The second term stands for spatial attention, which grows with the square.
        return float(self.job.windows * self.window * pixels * slowness) * (1 + pixels / _LATENT_PIXELS)

    def to_json(self) -> dict[str, Any]:
        """The settings as plain values."""
        return {**asdict(self), "levers": sorted(self.levers)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Case":
        """The inverse of `to_json`; keys that are none of its own are passed over."""
        whole = {name: data[name] for name in ("stage", "width", "height", "frames", "window")}
        return cls(
            **whole,
            dtype=Dtype(data["dtype"]),
            levers=frozenset(map(Lever, data["levers"])),
            vae_dtype=Dtype(data["vae_dtype"]),
        )


def grid() -> tuple[Case, ...]:
    """All cases, in the order they are measured."""
    cases = tuple(itertools.chain(_denoise(), _levers(), _interpolate(), _others()))
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


def _levers() -> Iterator[Case]:
    branch, ff, block = Lever.BRANCH, Lever.FF, Lever.BLOCK
    lean = frozenset({branch, block, Lever.HOST})
    for side in (512, 1024, 768):
        for levers in (lean, {branch, ff, block}, {branch}, {branch, ff}, {ff}, {block}, lean | {Lever.FP8}):
            yield Case("denoise", side, side, 25, levers=frozenset(levers))
    yield Case("denoise", 512, 512, 25, dtype=Dtype.FP32, levers=frozenset({branch, ff, block}))
    yield Case("denoise", 512, 512, 50, window=50, levers=frozenset({branch, ff, block}))


def _interpolate() -> Iterator[Case]:
    pairwise = frozenset({Lever.PAIRWISE})
    for side, frames in ((512, 125), (512, 25), (1024, 60), (512, 500)):
        yield Case("interpolate", side, side, frames)
        yield Case("interpolate", side, side, frames, levers=pairwise)
    yield Case("interpolate", 512, 512, 60, vae_dtype=Dtype.FP32)


def _others() -> Iterator[Case]:
    for side, frames in ((512, 125), (1024, 25), (512, 1000)):
        yield Case("predata", side, side, frames)
    yield Case("predata", 512, 512, 125, dtype=Dtype.FP32)
    yield Case(RUN, 512, 512, 50)
    yield Case(RUN, 512, 512, 50, levers=EXACT)
    for side, frames in ((512, 28), (768, 14), (1024, 14)):
        yield Case("decode", side, side, frames)
    yield Case("decode", 512, 512, 28, vae_dtype=Dtype.FP32)
    yield Case("load", 512, 512, 25, dtype=Dtype.FP32)
    # 3 · 23,040 positions: attention batches over 65,535, which some kernels refuse.
    yield Case("denoise", 1280, 1152, 25)
    yield Case("denoise", 1280, 1152, 25, levers=frozenset({Lever.BRANCH}))
