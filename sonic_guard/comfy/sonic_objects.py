"""The names of Sonic's nodes, and the job that the objects of its nodes or of a relative's describe."""

from collections.abc import Mapping
from typing import Any

from ..errors import WrapperError
from ..job import Dtype, Job, duration_of
from ..relatives import ADAPTERS, Relative, assumed_relative

LOADER, PREDATA, SAMPLER = ADAPTERS[Relative.SONIC].nodes
"""Class names of Sonic's nodes in the order of a run, in the wrapper and its forks."""
_DTYPES = {"torch.float16": Dtype.FP16, "torch.bfloat16": Dtype.BF16, "torch.float32": Dtype.FP32}


def job_of(model: Any, data: Mapping[str, Any], *, fps: float, steps: int, dynamic_scale: float = 1.0) -> Job:
    """The job that the sampler is about to run, derived from its inputs.

    `model` is the loader's MODEL_SONIC, `data` is SONIC_PreData's SONIC_PREDATA, or those of a relative; the others are
    the sampler's widgets.
    The picture is assumed to have the frames' size, because its own is not known any more. `expand_ratio` has its
    default.

    Raises `WrapperError` if the objects are not those of a known wrapper, `JobError` for impossible settings.
    """
    try:
        height, width = (int(side) for side in data["test_data"]["ref_img"].shape[-2:])
        relative = assumed_relative(model)
        adapter = ADAPTERS[relative]
        frames = len(data[adapter.prompts[0]])
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
        relative=relative,
    )
    size = job.frame_size
    if (size.width, size.height, job.latent_frames) != (width, height, frames + adapter.padding):
        raise WrapperError(f"sonic: frames of {width}×{height} are not what the known wrapper makes.")
    optimized_job = getattr(model, "optimized_job", None)  # of a `LowVramSonic`
    return optimized_job(job) if optimized_job else job


def check_runs_in(node: str, own: Relative, model: Relative) -> None:
    """Raise `WrapperError` if `node`, which runs models of `own`, is given one of another relative.

    ComfyUI lets it be linked, because Sonic Low VRAM passes on any model.
    """
    if model is not own:
        raise WrapperError(
            f"model: {ADAPTERS[model].title}'s model does not run in {node}. Connect the model of "
            f"{ADAPTERS[own].loader}."
        )


def model_dtype(model: Any) -> Dtype:
    """Number format of a loaded model's network. Raises `AttributeError` or `KeyError` for other objects."""
    return _DTYPES[str(model.pipe.unet.dtype)]


def vae_dtype(vae: Any) -> Dtype:
    """Number format that ComfyUI has chosen for a VAE; bf16 if it has none. Raises `KeyError` for an unknown one."""
    return _DTYPES[str(getattr(vae, "vae_dtype", "torch.bfloat16"))]


def held_bytes(model: Any) -> int:
    """Bytes of a loaded model's network that are on a GPU; 0 for other objects."""
    parameters = getattr(getattr(getattr(model, "pipe", None), "unet", None), "parameters", None)
    if parameters is None:
        return 0
    return sum(each.nbytes for each in parameters() if each.device.type != "cpu")
