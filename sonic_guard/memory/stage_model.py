"""The memory model: bytes that a Sonic run needs, stage by stage, as closed forms of its settings.

The forms are the rows of `constants.json`: the largest of a few linear forms in N, H·W, F and their products. The model
is pure arithmetic, without torch or clock, and reads its files only once. It is fast enough for every change of a
slider.

Stages, in the order of a run: load, predata, denoise, decode, interpolate. The peak of a run is the largest of them,
not their sum.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from ..job import Dtype, Job
from ..optimizations import Optimization
from ..relatives import ADAPTERS
from .constants import CHANNELS, DECODE_GROUP, FEATURES, LATENT_SIDE, Constants, constants, features, variant
from .hard_limits import GUIDANCE_BRANCHES, Limit, attention_scores, find_limits
from .overhead import overhead

STAGES = ("load", "predata", "denoise", "decode", "interpolate")
SAMPLER_STAGES = STAGES[2:]
"""The stages of the sampler; the others end before it begins."""
_UNET_OPTIMIZATIONS = (
    Optimization.SEQUENTIAL_CFG,
    Optimization.STREAM_WEIGHTS,
    Optimization.FEED_FORWARD_CHUNKING,
    Optimization.LAYER_CHUNKING,
)
_ENTRY_OPTIMIZATIONS = frozenset((Optimization.SEQUENTIAL_CFG, Optimization.TENSOR_OFFLOAD))
_CLIP_OPTIMIZATIONS = (Optimization.TENSOR_OFFLOAD, Optimization.STREAMING_DECODE)

CLIP_BYTES = 1_264_153_600
"""ViT-H/14 in fp16 (632,076,800 parameters), the image encoder in the SVD checkpoint."""
VAE_PARAMETERS = 97_740_000
"""ComfyUI's VAE for SVD."""
SVD_UNET_PARAMETERS = 1_524_623_082
"""SVD's UNet without Sonic's audio adapters."""
FRAME_BYTES = 12
"""Bytes per pixel of a finished picture in host memory: three fp32 numbers."""
MPS_SCORE_BYTES = 4
"""Bytes of an attention score on MPS, which computes them in fp32 whatever the network's number format.

512×896 was reported to need one buffer of 75·5·7168² scores and 71.78 GiB.
"""
PROMPT_NUMBERS, EMBEDDING_NUMBERS, LATENT_CHANNELS = 32 * 1024, 1024, 4
"""Numbers in the audio prompt and in the picture's embedding of one latent frame; channels of its latents."""


@dataclass(frozen=True)
class Estimate:
    """The memory that a run needs."""

    job: Job
    stages: Mapping[str, int]
    """Peak bytes of tensors on the GPU by stage, overhead not included, in the order of a run."""
    floors: Mapping[str, int]
    """For stages that adapt to the free memory: the least bytes they need.

    ComfyUI decodes in smaller groups if memory is short, and in tiles below that. So decode uses as much as it can get,
    and needs only this much. With `Optimization.UNET_OFFLOAD` the loader builds the UNet in host memory if it has to.
    """
    overhead_bytes: int
    """Overhead (context and allocator) at the peak."""
    peak_bytes: int
    """Peak of the required memory, overhead included; adaptive stages count with their floor."""
    peak_stage: str
    """The stage of that peak."""
    host_ram_bytes: int
    """Peak of the host memory: the models, and the frames in fp32."""
    limits: tuple[Limit, ...]
    """Hard limits other than memory that the job exceeds."""
    device: str = "cuda"
    """torch's device type for which it holds."""

    @property
    def after_load_bytes(self) -> int:
        """Peak of the required memory of the stages after load, overhead included."""
        return max(self.required(stage) for stage in STAGES[1:])

    @property
    def sampler_bytes(self) -> int:
        """Peak of the required memory of the sampler's stages, overhead included."""
        return max(self.required(stage) for stage in SAMPLER_STAGES)

    def most(self, stage: str) -> int:
        """Bytes that `stage` uses if there is room, overhead included."""
        return self.stages[stage] + overhead().of(self.stages[stage])

    def required(self, stage: str) -> int:
        """Bytes that `stage` requires, overhead included."""
        size = self.floors.get(stage, self.stages[stage])
        return size + overhead().of(size)


def predict(job: Job, *, unet_bytes: int | None = None, device: str = "cuda") -> Estimate:
    """The memory that `job` needs.

    `unet_bytes` are the weights of the actual checkpoint (see `checkpoints.read_header`) if they differ from the
    default; `device` is cuda (also for ROCm), mps or cpu: it decides the hard limits, and on mps the attention scores
    count in denoise.
    """
    row = job_features(job)
    stages = _stage_bytes(job, row, unet_bytes, device)
    floors = {"decode": min(stages["decode"], _decode_floor(job, row))}
    if Optimization.UNET_OFFLOAD in job.optimizations:
        floors = {"load": constants(job.relative).rife_bytes if job.interpolate else 0, **floors}
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
        device=device,
    )


def stage_bytes(job: Job, unet_bytes: int | None = None, device: str = "cuda") -> dict[str, int]:
    """Peak bytes of tensors on the GPU by stage, for a job with its optimizations; overhead not included."""
    return _stage_bytes(job, job_features(job), unet_bytes, device)


def job_features(job: Job) -> tuple[int, ...]:
    """The value of every feature of `job`, in the order of `FEATURES`."""
    size = job.frame_size
    padding = job.latent_frames - job.sound_frames
    return features(job.latent_frames, size.width, size.height, job.window, job.chunk_size, padding=padding)


def _stage_bytes(job: Job, row: tuple[int, ...], unet_bytes: int | None, device: str) -> dict[str, int]:
    table = constants(job.relative)
    keys = row_keys(job)
    unet = resident_bytes(job, unet_bytes)
    rife = table.rife_bytes if job.interpolate else 0
    window = unet.window + largest_row(table, keys.entry, row) + largest_row(table, keys.window, row)
    window += score_bytes(job, device)
    prompts = prompts_in_host_bytes(job)
    return {
        "load": unet.load + rife,
        "predata": unet.predata + rife + largest_row(table, keys.predata, row),
        "denoise": rife + max(window, unet.prepare + largest_row(table, keys.prepare, row)) - prompts,
        "decode": rife + largest_row(table, keys.decode, row) - prompts,
        "interpolate": rife + largest_row(table, keys.interpolate, row) - prompts if job.interpolate else 0,
    }


def score_bytes(job: Job, device: str) -> int:
    """Bytes of the largest matrix of attention scores in denoise; 0 but on mps.

    CUDA's attention kernels do without it. Layer chunking computes it by groups of frames, sequential CFG by branch.
    It is added to the network's peak, of which a part may be freed by then: an upper bound.
    """
    return MPS_SCORE_BYTES * attention_scores(job, job.optimizations) if device == "mps" else 0


def prompts_in_host_bytes(job: Job) -> int:
    """Bytes of the audio prompts, in fp32 as made by predata, that Sonic Talking Head keeps in host memory.

    0 with `Optimization.TENSOR_OFFLOAD`, whose rows in the constants do not include the prompts.
    """
    return (
        job.latent_frames * 2 * PROMPT_NUMBERS * 4
        if job.to_file and Optimization.TENSOR_OFFLOAD not in job.optimizations
        else 0
    )


class Resident(NamedTuple):
    """Bytes of the weights of the UNet, and of what is loaded with it, on the GPU by stage.

    In decode and interpolate there are none.
    """

    load: int
    predata: int
    prepare: int
    """In denoise before the loop."""
    window: int
    """In the denoising loop; of streamed weights those that stay there between two passes."""


def resident_bytes(job: Job, unet_bytes: int | None = None) -> Resident:
    """Bytes of the UNet's weights on the GPU by stage, with the optimizations of `job`."""
    table = constants(job.relative)
    unet = table.unet_parameters * job.dtype.size if unet_bytes is None else unet_bytes
    streamed = unet * table.streamed_bytes[job.dtype.size] // (table.unet_parameters * job.dtype.size)
    kept = unet - streamed if Optimization.STREAM_WEIGHTS in job.optimizations else unet
    return Resident(
        load=unet + table.pose_bytes,
        predata=0 if Optimization.UNET_OFFLOAD in job.optimizations else unet + table.pose_bytes,
        prepare=0 if Optimization.TENSOR_OFFLOAD in job.optimizations else kept,
        window=kept,
    )


def host_ram_bytes(job: Job) -> int:
    """Peak bytes of host memory of a run, derived from the wrapper's code; not measured.

    Loading builds the UNet in fp32 in addition to ComfyUI's copy of the SVD checkpoint. Later the UNet is moved back to
    host memory, and the frames accumulate: decode's list and its concatenation (2N), then the decoded and the
    interpolated frames (N + 2N - 1). With streaming decode there are the finished frames, the VAE's latest group and
    its copy; and only the latter two if the frames go to a file.
    """
    svd = 2 * (SVD_UNET_PARAMETERS + VAE_PARAMETERS) + CLIP_BYTES
    sonic = constants(job.relative).unet_parameters * job.dtype.size
    loading = 4 * SVD_UNET_PARAMETERS
    if job.to_file:
        copies = 2 * DECODE_GROUP
    elif Optimization.STREAMING_DECODE in job.optimizations:
        copies = job.output_frames + 2 * DECODE_GROUP
    else:
        copies = 3 * job.latent_frames - 1 if job.interpolate else 2 * job.latent_frames
    size, clip = job.frame_size, clip_host_bytes(job)
    frames = copies * FRAME_BYTES * size.width * size.height
    streamed = Optimization.STREAM_WEIGHTS in job.optimizations  # from host memory
    prepare = clip.prepare + (sonic if streamed or Optimization.TENSOR_OFFLOAD in job.optimizations else 0)
    denoise = clip.denoise + (sonic if streamed else 0)
    return svd + max(loading, prepare, denoise, sonic + frames + clip.decode)


class ClipBytes(NamedTuple):
    """Bytes of the tensors of the whole clip in host memory, by stage."""

    denoise: int
    decode: int
    prepare: int
    """In denoise before the loop."""


def clip_host_bytes(job: Job) -> ClipBytes:
    """Bytes of the clip's tensors that are kept in host memory instead of on the GPU; proportional to its length.

    With `Optimization.TENSOR_OFFLOAD` these are: the audio prompts (once as made by predata, with silence stored once,
    and once for each guidance branch; an emotion's are all alike as made); the picture's embedding for each branch; the
    result of a pose network, for a window and one frame (see `pose_network`); and the latents (noise, the current
    step's, the sums and means of the next; in decode, twice). To resume a run, the latents of the last completed step
    and of the current one are kept too; Sonic Talking Head keeps these in a file. Before the loop the prompts are
    concatenated, which takes them twice.

    Without it they are at most the prompts as made by predata (see `prompts_in_host_bytes`), which are concatenated
    before the loop and converted to the network's number format.
    """
    if Optimization.TENSOR_OFFLOAD not in job.optimizations:
        kept = prompts_in_host_bytes(job)
        return ClipBytes(kept, kept, kept + kept // 2 + kept // 8 * job.dtype.size)
    size, number, adapter = job.frame_size, job.dtype.size, ADAPTERS[job.relative]
    positions = size.width * size.height // LATENT_SIDE**2
    prompt, latents = PROMPT_NUMBERS * number, LATENT_CHANNELS * positions * number
    prompts = adapter.prompt_sets * prompt
    branches = GUIDANCE_BRANCHES * (prompts + EMBEDDING_NUMBERS * number)
    kept = 0 if job.to_file else latents
    pose = (job.window + 1) * CHANNELS[0] * positions * number if adapter.pose else 0
    return ClipBytes(
        denoise=job.latent_frames * (prompt + branches + 4 * latents + 2 * kept) + pose,
        decode=job.latent_frames * (prompt + 2 * latents + kept),
        prepare=job.latent_frames * (2 * GUIDANCE_BRANCHES * prompts + 4 * EMBEDDING_NUMBERS * number + latents)
        + 2 * pose,
    )


_GROUP, _PIXELS = FEATURES.index("decode_group*pixels"), FEATURES.index("pixels")


def one_frame_decode(row: tuple[int, ...]) -> tuple[int, ...]:
    """The features `row` with one frame in a VAE call: the term of the decode group becomes a single picture."""
    return (*row[:_GROUP], row[_PIXELS], *row[_GROUP + 1 :])


def _decode_floor(job: Job, row: tuple[int, ...]) -> int:
    table = constants(job.relative)
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
    # Plain loops, because this takes most of a prediction's time.
    largest = 0.0
    for form in table.rows[key]:
        size = 0.0
        for index, coefficient in form:
            size += coefficient * row[index]
        largest = max(largest, size)
    return int(largest)
