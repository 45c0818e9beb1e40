"""`sonic-guard trace`: derive the constants from shape traces, or compare the shipped ones with traces."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import WrapperError
from ..job import MIN_CHUNK_SIZE, Dtype, Job
from ..memory.stage_model import stage_bytes
from ..optimizations import EVERY, Optimization
from ..quiet_logs import quiet
from ..relatives import ADAPTERS

Progress = Callable[[str], None]

CHECKS = (
    Job(512, 512, 4.0),
    Job(768, 512, 2.4, min_resolution=384, fps=12),
    Job(900, 1600, 1.2, min_resolution=512, interpolate=False),
    Job(640, 640, 1.0, min_resolution=640, dtype=Dtype.FP32, vae_dtype=Dtype.FP32),
    Job(
        512,
        512,
        3.0,
        dtype=Dtype.BF16,
        optimizations=frozenset({Optimization.SEQUENTIAL_CFG, Optimization.STREAMING_DECODE}),
        to_file=True,
    ),
    Job(
        448,
        704,
        2.0,
        min_resolution=448,
        optimizations=frozenset({Optimization.FEED_FORWARD_CHUNKING, Optimization.TENSOR_OFFLOAD}),
        to_file=True,
    ),
    Job(576, 1024, 1.0, min_resolution=576, fps=30, optimizations=EVERY),
    Job(1024, 1024, 0.6, min_resolution=1024, optimizations=EVERY - {Optimization.FEED_FORWARD_CHUNKING}),
    Job(768, 768, 1.0, min_resolution=768, optimizations=EVERY, chunk_size=8 * MIN_CHUNK_SIZE, to_file=True),
    Job(
        512,
        384,
        1.6,
        min_resolution=384,
        dtype=Dtype.FP32,
        optimizations=frozenset({Optimization.LAYER_CHUNKING, Optimization.STREAM_WEIGHTS, Optimization.UNET_OFFLOAD}),
    ),
)
"""Jobs away from the shapes the constants were fitted to."""


@quiet(logging.ERROR, "diffusers")
def derive_constants(sonic: Path, comfyui: Path, progress: Progress) -> str:
    """The text of a new `constants.json` from the wrapper at `sonic` and the VAE of `comfyui`.

    Raises `WrapperError` if one of them cannot be imported or does not fit the model.
    """
    _need_torch()
    import torch

    from .constants_fit import derive
    from .gpu_setup import read_commit
    from .sonic_checkout import PACKS, relative_at

    sonic = sonic.expanduser().resolve()
    source = {
        "wrapper": f"{PACKS[relative_at(sonic)]} {read_commit(sonic)[:7]}",
        "comfyui": f"ComfyUI {_comfyui_version(comfyui)}",
        "torch": torch.__version__,
        "method": "shape tracing under FakeTensorMode, every storage rounded up to 512 bytes",
    }
    return derive(sonic, comfyui.expanduser(), progress, source)


@quiet(logging.ERROR, "diffusers")
def check(sonic: Path, comfyui: Path, progress: Progress) -> list[dict[str, Any]]:
    """Trace `CHECKS` with the wrapper's code and compare each stage with the model's prediction.

    Without an importable ComfyUI the stages that need its VAE are left out. Rows have the keys job, stage, traced and
    model (bytes) and apart (relative difference).
    """
    _need_torch()
    from .sonic_checkout import open_checkout

    make_vae = _vae_or_none(comfyui, progress)
    checkout = open_checkout(sonic)
    adapter = ADAPTERS[checkout.relative]
    jobs = [
        replace(
            job,
            relative=checkout.relative,
            to_file=job.to_file and adapter.talking_head,
            dtype=Dtype.FP16 if job.dtype is Dtype.BF16 and not adapter.bf16 else job.dtype,
        )
        for job in CHECKS
    ]
    return [row for job in jobs for row in _check(checkout, job, make_vae, progress)]


def _check(checkout: Any, job: Job, make_vae: Any, progress: Progress) -> Iterator[dict[str, Any]]:
    from .shape_trace import PREPARE, trace_run

    optimizations = "+".join(sorted(job.optimizations))
    name = f"{job.frame_size}, N {job.latent_frames}, F {job.window}, {job.dtype} {optimizations}".strip()
    progress(name)
    model = stage_bytes(job)
    for stage, peaks in trace_run(checkout, job, make_vae).items():
        if stage == PREPARE or (stage == "interpolate" and make_vae is None):
            continue
        traced = peaks.peak_bytes
        yield {"job": name, "stage": stage, "traced": traced, "model": model[stage], "apart": model[stage] / traced - 1}


def _vae_or_none(comfyui: Path, progress: Progress) -> Any:
    from .comfy_vae import vae_builder

    try:
        return vae_builder(comfyui)
    except WrapperError as error:
        progress(f"predata, decode and interpolate are left out: {error}")
        return None


def _need_torch() -> None:
    try:
        import diffusers  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise WrapperError(f"trace: {error}. Run it with ComfyUI's Python, where Sonic's requirements are.") from error


def _comfyui_version(folder: Path) -> str:
    file = folder.expanduser() / "comfyui_version.py"
    if not file.is_file():
        return "unknown"
    return file.read_text(encoding="utf-8").rpartition("=")[2].strip().strip('"')
