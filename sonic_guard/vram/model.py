"""Bytes a Sonic run needs, stage by stage, as closed forms of its settings.

The forms are the rows of `constants.json`: the largest of a few linear forms in N, H·W, F and their
products. They are pure arithmetic, without torch, clock or disk (after the first call), and cheap enough
to be redone on every move of a slider.

Stages, in the order of a run: load, predata, denoise, decode, interpolate. The peak of a run is the
largest of them, not their sum.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ..job import Dtype, Job, Lever
from .constants import FEATURES, Constants, constants, features, variant
from .limits import Limit, find_limits

STAGES = ("load", "predata", "denoise", "decode", "interpolate")
_UNET_LEVERS = (Lever.BRANCH, Lever.FF, Lever.BLOCK)

CLIP_BYTES = 1_264_153_600
"""ViT-H/14 at fp16 (632,076,800 parameters), the image encoder in the SVD checkpoint."""
VAE_PARAMETERS = 97_740_000
"""ComfyUI's VAE for SVD."""
SVD_UNET_PARAMETERS = 1_524_623_082
"""SVD's UNet without Sonic's audio adapters."""
FRAME_BYTES = 12
"""A finished picture in host memory: three fp32 numbers a pixel."""


class Overhead(NamedTuple):
    """What a stage takes beyond its tensors: the context, and memory the allocator cannot reuse."""

    context_bytes: int
    fraction: float
    confirmed: bool
    """Whether it was measured on a card. Until then it is an assumption, and is said to be one."""
    source: str

    def of(self, stage_bytes: int) -> int:
        """Overhead in bytes of a stage whose tensors take `stage_bytes`."""
        return self.context_bytes + int(self.fraction * stage_bytes)


@dataclass(frozen=True)
class Estimate:
    """What a run needs."""

    job: Job
    stages: Mapping[str, int]
    """Peak bytes of tensors on the GPU by stage, overhead not included, in the order of a run."""
    floors: Mapping[str, int]
    """For stages that adapt to what is free: the least they get by with.

    ComfyUI decodes in smaller groups when memory is short, and in tiles below that, so decode holds as
    much as it can get and needs only this much.
    """
    overhead_bytes: int
    """Context and allocator at the peak."""
    peak_bytes: int
    """The most memory the run needs at once, overhead included; adaptive stages count with their floor."""
    peak_stage: str
    host_ram_bytes: int
    """The most host memory the run holds at once: models, and the frames as fp32 more than once."""
    limits: tuple[Limit, ...]
    """Hard limits that are not memory and that this job meets."""

    def required(self, stage: str) -> int:
        """Bytes `stage` cannot do without, overhead included."""
        size = self.floors.get(stage, self.stages[stage])
        return size + overhead().of(size)


def predict(job: Job, *, unet_bytes: int | None = None, device: str = "cuda") -> Estimate:
    """The memory `job` needs.

    `unet_bytes` are the weights of a real checkpoint (see `weights.read_header`) where they differ from
    the parameter count; `device` is cuda (ROCm too), mps or cpu and matters for the limits only.
    """
    row = _features(job)
    stages = _stage_bytes(job, row, unet_bytes)
    floors = {"decode": min(stages["decode"], _decode_floor(job, row))}
    needed = {**stages, **floors}
    peak_stage = max(needed, key=needed.__getitem__)
    extra = overhead().of(needed[peak_stage])
    return Estimate(
        job=job,
        stages=MappingProxyType(stages),
        floors=MappingProxyType(floors),
        overhead_bytes=extra,
        peak_bytes=needed[peak_stage] + extra,
        peak_stage=peak_stage,
        host_ram_bytes=host_ram_bytes(job),
        limits=find_limits(job, device),
    )


def stage_bytes(job: Job, unet_bytes: int | None = None) -> dict[str, int]:
    """Peak bytes of tensors on the GPU by stage, for a job under its levers."""
    return _stage_bytes(job, _features(job), unet_bytes)


def _features(job: Job) -> tuple[int, ...]:
    size = job.frame_size
    return features(job.latent_frames, size.width, size.height, job.window)


def _stage_bytes(job: Job, row: tuple[int, ...], unet_bytes: int | None) -> dict[str, int]:
    table = constants()
    keys = _keys(job.dtype, job.vae_dtype, job.levers)
    unet = table.unet_parameters * job.dtype.size if unet_bytes is None else unet_bytes
    rife = table.rife_bytes if job.interpolate else 0
    window = _largest(table, keys.entry, row) + _largest(table, keys.window, row)
    return {
        "load": unet + rife,
        "predata": unet + rife + _largest(table, keys.predata, row),
        "denoise": unet + rife + max(window, _largest(table, keys.prepare, row)),
        "decode": rife + _largest(table, keys.decode, row),
        "interpolate": rife + _largest(table, keys.interpolate, row) if job.interpolate else 0,
    }


def host_ram_bytes(job: Job) -> int:
    """The most host memory a run holds at once, from reading the wrapper's code; not measured.

    Loading builds the UNet in fp32 beside ComfyUI's copy of the SVD checkpoint. Later the UNet is moved
    back to host memory and the frames pile up: decode's list and its concatenation (2N), then the
    decoded frames beside the interpolated ones (N + 2N - 1).
    """
    svd = 2 * (SVD_UNET_PARAMETERS + VAE_PARAMETERS) + CLIP_BYTES
    sonic = constants().unet_parameters * job.dtype.size
    loading = svd + 4 * SVD_UNET_PARAMETERS
    copies = 3 * job.latent_frames - 1 if job.interpolate else 2 * job.latent_frames
    size = job.frame_size
    return max(loading, svd + sonic + copies * FRAME_BYTES * size.width * size.height)


@cache
def overhead() -> Overhead:
    """The overhead term as shipped."""
    return Overhead(**json.loads(Path(__file__).with_name("overhead.json").read_text(encoding="utf-8")))


_GROUP, _PIXELS = FEATURES.index("decode_group*pixels"), FEATURES.index("pixels")


def _decode_floor(job: Job, row: tuple[int, ...]) -> int:
    """Decode with one frame a call: the group's term shrinks to a single picture."""
    table = constants()
    single = (*row[:_GROUP], row[_PIXELS], *row[_GROUP + 1 :])
    rife = table.rife_bytes if job.interpolate else 0
    return rife + _largest(table, _keys(job.dtype, job.vae_dtype, job.levers).decode, single)


class _Keys(NamedTuple):
    entry: str
    window: str
    prepare: str
    predata: str
    decode: str
    interpolate: str


@cache
def _keys(dtype: Dtype, vae_dtype: Dtype, levers: frozenset[Lever]) -> _Keys:
    return _Keys(
        entry=variant("entry", dtype),
        window=variant("window", dtype, levers=levers.intersection(_UNET_LEVERS)),
        prepare=variant("prepare", dtype),
        predata=variant("predata", dtype, vae_dtype),
        decode=variant("decode", dtype, vae_dtype),
        interpolate=variant("interpolate", vae_dtype, levers=levers.intersection((Lever.PAIRWISE,))),
    )


def _largest(table: Constants, key: str, row: tuple[int, ...]) -> int:
    # Plain loops: this is most of a prediction's time.
    largest = 0.0
    for form in table.rows[key]:
        size = 0.0
        for index, coefficient in form:
            size += coefficient * row[index]
        largest = max(largest, size)
    return int(largest)
