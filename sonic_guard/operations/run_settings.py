"""The settings of a run as the nodes' inputs name them, and the `Job` they stand for."""

from dataclasses import dataclass

from ..devices.budget import Budget
from ..job import Dtype, Job
from ..relatives import Relative
from .input_values import flag, one_of


@dataclass(frozen=True)
class RunSettings:
    """The settings that Sonic's nodes take, and the size of the picture that Sonic gets.

    Raises `SonicGuardError` for a `dtype` or `use_interframe` that has no meaning; `job_from` checks the numbers.
    """

    width: int
    """Width of the picture in pixels."""
    height: int
    """Height of the picture in pixels."""
    duration: float
    """Seconds of sound that Sonic receives."""
    min_resolution: int = 512
    """Shorter side of the video in pixels."""
    fps: float = 25.0
    """The sampler's `fps`. It sets the window, not the frame rate."""
    dtype: str = Dtype.FP16
    """Number format of the network."""
    use_interframe: bool = True
    """Whether frames are interpolated."""
    inference_steps: int = 25
    """Denoising steps."""
    dynamic_scale: float = 1.0
    """Strength of motion."""
    expand_ratio: float = 0.2
    """Margin around the face, as a part of the face box's sides."""
    relative: Relative = Relative.SONIC
    """Whose nodes take them."""

    def __post_init__(self) -> None:
        one_of("dtype", self.dtype, Dtype)
        flag("use_interframe", self.use_interframe)


def job_from(settings: RunSettings, vae_dtype: Dtype) -> Job:
    """The run that `settings` describe, with the wrapper alone. Raises `JobError` for settings no run can have."""
    return Job(
        width=settings.width,
        height=settings.height,
        duration_s=settings.duration,
        min_resolution=settings.min_resolution,
        fps=settings.fps,
        dtype=Dtype(settings.dtype),
        steps=settings.inference_steps,
        dynamic_scale=settings.dynamic_scale,
        expand_ratio=settings.expand_ratio,
        interpolate=bool(settings.use_interframe),
        vae_dtype=vae_dtype,
        relative=settings.relative,
    )


def dtype_on(budget: Budget, requested: Dtype) -> Dtype:
    """Number format for the network on a card: the one requested, but fp32 on a CPU, which has no fast other one."""
    return Dtype.FP32 if budget.device == "cpu" else requested


def vae_dtype_on(budget: Budget) -> Dtype:
    """Number format that ComfyUI chooses for the VAE on the card of `budget`."""
    return Dtype.BF16 if budget.bf16 else Dtype.FP32
