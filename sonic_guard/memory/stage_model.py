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

from ..job import Dtype, Job
from ..optimizations import Optimization
from .constants import DECODE_GROUP, FEATURES, LATENT_SIDE, Constants, constants, features, variant
from .hard_limits import GUIDANCE_BRANCHES, Limit, find_limits

STAGES = ("load", "predata", "denoise", "decode", "interpolate")
SAMPLER_STAGES = STAGES[2:]
"""Those of the sampler; the others are over when it begins."""
_UNET_OPTIMIZATIONS = (
    Optimization.SEQUENTIAL_CFG,
    Optimization.FEED_FORWARD_CHUNKING,
    Optimization.LAYER_CHUNKING,
    Optimization.FP8_WEIGHTS,
)
_ENTRY_OPTIMIZATIONS = frozenset((Optimization.SEQUENTIAL_CFG, Optimization.TENSOR_OFFLOAD))
_CLIP_OPTIMIZATIONS = (Optimization.TENSOR_OFFLOAD, Optimization.STREAMING_DECODE)

CLIP_BYTES = 1_264_153_600
"""ViT-H/14 at fp16 (632,076,800 parameters), the image encoder in the SVD checkpoint."""
VAE_PARAMETERS = 97_740_000
"""ComfyUI's VAE for SVD."""
SVD_UNET_PARAMETERS = 1_524_623_082
"""SVD's UNet without Sonic's audio adapters."""
FRAME_BYTES = 12
"""A finished picture in host memory: three fp32 numbers a pixel."""
PROMPT_NUMBERS, EMBEDDING_NUMBERS, LATENT_CHANNELS = 32 * 1024, 1024, 4
"""Of the audio prompt and of the picture's embedding in one latent frame; channels of its latents."""


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

    @property
    def after_load_bytes(self) -> int:
        """The most memory that the stages behind load need at once, overhead included."""
        return max(self.required(stage) for stage in STAGES[1:])

    @property
    def sampler_bytes(self) -> int:
        """The most memory the sampler's own stages need at once, overhead included."""
        return max(self.required(stage) for stage in SAMPLER_STAGES)

    def required(self, stage: str) -> int:
        """Bytes `stage` cannot do without, overhead included."""
        size = self.floors.get(stage, self.stages[stage])
        return size + overhead().of(size)


def predict(job: Job, *, unet_bytes: int | None = None, device: str = "cuda") -> Estimate:
    """The memory `job` needs.

    `unet_bytes` are the weights of a real checkpoint (see `weights.read_header`) where they differ from
    the parameter count; `device` is cuda (ROCm too), mps or cpu and matters for the limits only.
    """
    row = job_features(job)
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
    return _stage_bytes(job, job_features(job), unet_bytes)


def job_features(job: Job) -> tuple[int, ...]:
    """The value of every feature of `job`, in the order of `FEATURES`."""
    size = job.frame_size
    return features(job.latent_frames, size.width, size.height, job.window, job.chunk_size)


def _stage_bytes(job: Job, row: tuple[int, ...], unet_bytes: int | None) -> dict[str, int]:
    table = constants()
    keys = row_keys(job)
    unet = resident_bytes(job, unet_bytes)
    rife = table.rife_bytes if job.interpolate else 0
    window = unet.window + largest_row(table, keys.entry, row) + largest_row(table, keys.window, row)
    prompts = prompts_in_host_bytes(job)
    return {
        "load": unet.load + rife,
        "predata": unet.predata + rife + largest_row(table, keys.predata, row),
        "denoise": rife + max(window, unet.prepare + largest_row(table, keys.prepare, row)) - prompts,
        "decode": rife + largest_row(table, keys.decode, row) - prompts,
        "interpolate": rife + largest_row(table, keys.interpolate, row) - prompts if job.interpolate else 0,
    }


def prompts_in_host_bytes(job: Job) -> int:
    """Bytes of the prompts, in fp32 as predata makes them, that Sonic Long Video keeps off the GPU.

    With `Optimization.TENSOR_OFFLOAD` there are none: the rows of that lever count no prompts.
    """
    return (
        job.latent_frames * 2 * PROMPT_NUMBERS * 4
        if job.to_file and Optimization.TENSOR_OFFLOAD not in job.optimizations
        else 0
    )


class Resident(NamedTuple):
    """Bytes of the UNet's weights on the GPU; in decode and interpolate there are none."""

    load: int
    predata: int
    prepare: int
    """In what denoise does before its loop."""
    window: int
    """In the loop."""


def resident_bytes(job: Job, unet_bytes: int | None = None) -> Resident:
    """What the UNet holds when, under the levers of `job`."""
    table = constants()
    unet = table.unet_parameters * job.dtype.size if unet_bytes is None else unet_bytes
    saved = unet * table.fp8_saves_bytes[job.dtype.size] // (table.unet_parameters * job.dtype.size)
    small = unet - saved if Optimization.FP8_WEIGHTS in job.optimizations else unet
    return Resident(
        load=unet,
        predata=0 if Optimization.UNET_OFFLOAD in job.optimizations else unet,
        prepare=0 if Optimization.TENSOR_OFFLOAD in job.optimizations else small,
        window=small,
    )


def host_ram_bytes(job: Job) -> int:
    """The most host memory a run holds at once, from reading the code; not measured.

    Loading builds the UNet in fp32 beside ComfyUI's copy of the SVD checkpoint. Later the UNet is moved
    back to host memory and the frames pile up: decode's list and its concatenation (2N), then the
    decoded frames beside the interpolated ones (N + 2N - 1). In a stream there are the finished frames,
    the VAE's latest group and its copy, and only those where the frames go to a file.
    """
    svd = 2 * (SVD_UNET_PARAMETERS + VAE_PARAMETERS) + CLIP_BYTES
    sonic = constants().unet_parameters * job.dtype.size
    loading = 4 * SVD_UNET_PARAMETERS
    if job.to_file:
        copies = 2 * DECODE_GROUP
    elif Optimization.STREAMING_DECODE in job.optimizations:
        copies = job.output_frames + 2 * DECODE_GROUP
    else:
        copies = 3 * job.latent_frames - 1 if job.interpolate else 2 * job.latent_frames
    size, clip = job.frame_size, clip_host_bytes(job)
    frames = copies * FRAME_BYTES * size.width * size.height
    prepare = clip.prepare + (sonic if Optimization.TENSOR_OFFLOAD in job.optimizations else 0)
    denoise = clip.denoise + (
        sonic if Optimization.FP8_WEIGHTS in job.optimizations else 0
    )  # the weights that come back afterwards
    return svd + max(loading, prepare, denoise, sonic + frames + clip.decode)


class ClipBytes(NamedTuple):
    """What belongs to a whole clip, in host memory."""

    denoise: int
    decode: int
    prepare: int
    """Before denoise's loop."""


def clip_host_bytes(job: Job) -> ClipBytes:
    """What is kept in host memory instead of on the GPU; all of it grows with the clip.

    With `Optimization.TENSOR_OFFLOAD` these are the audio prompts (once as they came, silence counted once, and once for each guidance
    branch), the picture's embedding for each branch, and the latents: noise, this step's, the next one's
    sums and their means; in decode the latents twice. So that a run can be begun again they are kept of the last whole
    step, too, and of the one under way; Sonic Long Video has them in a file. Before the loop the prompts are put
    together, and are held twice meanwhile. Without the lever they are at most the prompts as predata made them, which
    are put together before the loop, too, and converted on their way.
    """
    if Optimization.TENSOR_OFFLOAD not in job.optimizations:
        kept = prompts_in_host_bytes(job)
        return ClipBytes(kept, kept, kept + kept // 2 + kept // 8 * job.dtype.size)
    size, number = job.frame_size, job.dtype.size
    prompt, latents = PROMPT_NUMBERS * number, LATENT_CHANNELS * size.width * size.height // LATENT_SIDE**2 * number
    branches = GUIDANCE_BRANCHES * (prompt + EMBEDDING_NUMBERS * number)
    kept = 0 if job.to_file else latents
    return ClipBytes(
        denoise=job.latent_frames * (prompt + branches + 4 * latents + 2 * kept),
        decode=job.latent_frames * (prompt + 2 * latents + kept),
        prepare=job.latent_frames * (2 * GUIDANCE_BRANCHES * prompt + 4 * EMBEDDING_NUMBERS * number + latents),
    )


@cache
def overhead() -> Overhead:
    """The overhead term as shipped."""
    return Overhead(**json.loads(Path(__file__).with_name("overhead.json").read_text(encoding="utf-8")))


_GROUP, _PIXELS = FEATURES.index("decode_group*pixels"), FEATURES.index("pixels")


def one_frame_decode(row: tuple[int, ...]) -> tuple[int, ...]:
    """The features `row` with one frame in a VAE call: the term of the decode group becomes a single picture."""
    return (*row[:_GROUP], row[_PIXELS], *row[_GROUP + 1 :])


def _decode_floor(job: Job, row: tuple[int, ...]) -> int:
    table = constants()
    rife = table.rife_bytes if job.interpolate else 0
    return rife + largest_row(table, row_keys(job).decode, one_frame_decode(row)) - prompts_in_host_bytes(job)


class RowKeys(NamedTuple):
    """The variant key of `constants.json` that counts for each stage of a job; denoise has two and `entry`."""

    entry: str
    window: str
    prepare: str
    predata: str
    decode: str
    interpolate: str


def row_keys(job: Job) -> RowKeys:
    """The keys of the rows that decide the stages of `job`."""
    return _keys_of(job.dtype, job.vae_dtype, job.optimizations, job.to_file)


@cache
def _keys_of(dtype: Dtype, vae_dtype: Dtype, optimizations: frozenset[Optimization], to_file: bool) -> RowKeys:
    clip = optimizations.intersection(_CLIP_OPTIMIZATIONS)
    return RowKeys(
        entry=variant(
            "entry",
            dtype,
            optimizations=optimizations & _ENTRY_OPTIMIZATIONS if Optimization.TENSOR_OFFLOAD in optimizations else (),
        ),
        window=variant("window", dtype, optimizations=optimizations.intersection(_UNET_OPTIMIZATIONS)),
        prepare=variant("prepare", dtype, optimizations=optimizations & {Optimization.TENSOR_OFFLOAD}),
        predata=variant("predata", dtype, vae_dtype, optimizations={Optimization.TENSOR_OFFLOAD} if to_file else ()),
        decode=variant("decode", dtype, vae_dtype, optimizations=clip),
        interpolate=variant("interpolate", dtype, vae_dtype, optimizations=clip),
    )


def largest_row(table: Constants, key: str, row: tuple[int, ...]) -> int:
    """Bytes of the largest of the rows of `key` in `table`, for the features `row`."""
    # Plain loops: this is most of a prediction's time.
    largest = 0.0
    for form in table.rows[key]:
        size = 0.0
        for index, coefficient in form:
            size += coefficient * row[index]
        largest = max(largest, size)
    return int(largest)
