"""The wrapper's nodes by name, and the job that its own objects stand for."""

from collections.abc import Mapping
from typing import Any

from ..errors import WrapperError
from ..job import Dtype, Job, duration_of

LOADER, PREDATA, SAMPLER = "SONICTLoader", "SONIC_PreData", "SONICSampler"
"""Sonic's nodes in the order of a run, as its wrapper and the forks of it name them."""
_DTYPES = {"torch.float16": Dtype.FP16, "torch.bfloat16": Dtype.BF16, "torch.float32": Dtype.FP32}


def job_of(model: Any, data: Mapping[str, Any], *, fps: float, steps: int, dynamic_scale: float = 1.0) -> Job:
    """The job that the sampler is about to run, read from its own inputs.

    `model` is the loader's MODEL_SONIC, `data` SONIC_PreData's SONIC_PREDATA, the rest are the sampler's widgets. The
    picture is taken to be of the frames' size, since only that is left of it. `expand_ratio` is not known here.

    Raises `WrapperError` where the objects are not those of a wrapper this library knows, `JobError` for settings
    no run can have.
    """
    try:
        height, width = (int(side) for side in data["test_data"]["ref_img"].shape[-2:])
        frames = len(data["audio_tensor_list"])
        dtype, of_vae = model_dtype(model), vae_dtype(data.get("vae"))
        interpolate = bool(model.use_interframe)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WrapperError(
            f"sonic: this wrapper's objects have another shape than the known ones ({error!r})."
        ) from error
    job = Job(
        width,
        height,
        duration_of(frames),
        min_resolution=min(width, height),
        fps=float(fps),
        dtype=dtype,
        steps=int(steps),
        dynamic_scale=float(dynamic_scale),
        interpolate=interpolate,
        vae_dtype=of_vae,
        to_file=bool(getattr(model, "to_file", False)),
    )
    size = job.frame_size
    if (size.width, size.height, job.latent_frames) != (width, height, frames):
        raise WrapperError(f"sonic: frames of {width}×{height} are not what the known wrapper makes.")
    optimized_job = getattr(model, "optimized_job", None)  # a lean model's
    return optimized_job(job) if optimized_job else job


def model_dtype(model: Any) -> Dtype:
    """Number format of a loaded model's network. Raises `AttributeError` or `KeyError` for what is none."""
    return _DTYPES[str(model.pipe.unet.dtype)]


def vae_dtype(vae: Any) -> Dtype:
    """Number format that ComfyUI has chosen for a VAE."""
    return _DTYPES[str(getattr(vae, "vae_dtype", "torch.bfloat16"))]


def held_bytes(model: Any) -> int:
    """Bytes of a loaded Sonic's network that are on a GPU already; 0 for what is no such model."""
    parameters = getattr(getattr(getattr(model, "pipe", None), "unet", None), "parameters", None)
    if parameters is None:
        return 0
    return sum(each.nbytes for each in parameters() if each.device.type != "cpu")
