"""Preflight: from a portrait, a sound, a preset and a card to everything Sonic should be given."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..errors import JobError, brief
from ..job import MAX_DURATION_S, MIN_SOUND_S, Dtype, Job
from ..long_video.part_plan import plan_parts
from ..media.crop import Aspect
from ..media.frame_grid import FittedLengths, fitted_lengths
from ..memory.stage_model import Estimate
from ..optimizations import EVERY
from ..planning.advice import plan_that_shows_more
from ..planning.capabilities import WRAPPER_ONLY, GraphCapabilities
from ..planning.capacity import Capacity, Verdict
from ..planning.pace import Pace, TimePrediction, predict_time
from ..planning.part_length import parts_for
from ..planning.planner import Plan, Policy, make_plan
from ..planning.presets import Preset
from ..relatives import Relative
from .face_box import FaceBoxRequest, FaceSelection, Portrait, select_face
from .input_values import is_amount, one_of
from .run_settings import RunSettings, dtype_on, job_from, vae_dtype_on

ON_RISK = ("downgrade", "warn", "stop")
"""What to do with requested settings that do not fit: change them until they do, run them anyway, or stop."""


@dataclass(frozen=True)
class Overrides:
    """Settings that replace the preset's; 0 leaves the preset's. Raises `JobError` for what is no such number."""

    min_resolution: int = 0
    """Shorter side of the video in pixels."""
    inference_steps: int = 0
    seconds: float = 0.0
    """Seconds of the sound that are used, from its beginning."""
    margin: float = 0.0
    """Margin around the face, as a part of its box's sides."""
    dynamic_scale: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not is_amount(value, MAX_DURATION_S):
                raise JobError(f"{name}: {brief(value)} is not usable. Use a number, or 0 for the preset's.")


class ModelSettings(NamedTuple):
    """The settings of a model that is loaded already: they replace the preset's."""

    dtype: Dtype
    interpolate: bool


@dataclass(frozen=True)
class PreflightRequest:
    """Everything that decides a run. Raises `SonicGuardError` for a word that is none of the options."""

    picture: Portrait
    sound_s: float
    """Length of the sound in seconds, without the silence at its ends where that is cut."""
    preset: Preset
    """The requested settings."""
    capacity: Capacity
    """What the run may use."""
    on_risk: str = "downgrade"
    """One of `ON_RISK`."""
    policy: str = Policy.LOSSLESS_FIRST
    """What may be changed, and in which order, with `on_risk` "downgrade"."""
    aspect: str = Aspect.ORIGINAL
    """Shape of the crop."""
    face_index: int = 0
    """Number of the face: 0 is the largest."""
    face_box: str | None = ""
    """x1, y1, x2, y2 in pixels instead of a search; empty or None: search."""
    name: str = "image"
    """What messages call the picture."""
    capabilities: GraphCapabilities = WRAPPER_ONLY
    """What other nodes of the graph can do for the run."""
    pace: Pace | None = None
    """What earlier runs on the card took, if any are known."""
    overrides: Overrides = Overrides()
    model: ModelSettings | None = None
    """The model's settings where it is known; None: the preset's."""
    vae_dtype: Dtype | None = None
    """Number format of the VAE where it is known; None: the one that ComfyUI chooses on the card."""
    longest_s: float | None = None
    """Most seconds of sound in one run; None: any."""

    def __post_init__(self) -> None:
        one_of("on_risk", self.on_risk, ON_RISK)
        one_of("policy", self.policy, Policy)
        one_of("aspect", self.aspect, Aspect)

    @property
    def allowed(self) -> Policy | None:
        """The policy by which settings may be changed; None: they are kept."""
        return Policy(self.policy) if self.on_risk == "downgrade" else None


@dataclass(frozen=True)
class Preflight:
    """What to give to Sonic, and why."""

    selection: FaceSelection
    """The face, and the crop around it."""
    requested: Job
    """The run as it was requested."""
    plan: Plan
    sound_s: float
    """Exact length of the sound in seconds."""
    lengths: FittedLengths
    """Seconds of the sound for Sonic and for the video. Sonic Talking Head cuts the sound itself and gets all of it."""
    refused: bool
    """Whether the node stops the graph here."""
    time: TimePrediction
    """How long it denoises, all parts together."""
    with_low_vram: Plan | None = None
    """Where the picture lost something and no node of the graph enables optimizations: the plan with Sonic Low VRAM."""

    def outputs(self, plan: Any, image: Any, audio: Any, report: Any, video_audio: Any) -> tuple[Any, ...]:
        """The node's outputs in their order, given the plan, the crop, the sounds and the report."""
        job = self.plan.job
        return (
            plan,
            image,
            audio,
            job.min_resolution,
            self.lengths.for_sonic_s,
            job.expand_ratio,
            job.steps,
            job.dynamic_scale,
            job.fps,
            str(job.dtype),
            job.interpolate,
            report,
            video_audio,
            job.output_fps,
        )

    @property
    def estimate(self) -> Estimate:
        """What the planned run needs."""
        return self.plan.estimate


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """A plan on its way to the nodes that run it, with everything they need of it."""

    request: PreflightRequest
    """What was planned: Sonic Talking Head plans it again with its own model, which gives the same."""
    result: Preflight
    image: Any
    """The crop."""
    sound: Any
    """The sound, without the silence at its ends if that is cut."""


def preflight(request: PreflightRequest) -> Preflight:
    """Select the face and plan the run that the preset requests; where settings are kept, assess them as they will run.

    A sound shorter than the wrapper can take counts as that long: it is filled up with silence.
    Raises `FaceError` where there is no such face, and `JobError` for settings no run can have.
    """
    preset, capacity, capabilities = request.preset, request.capacity, request.capabilities
    margin = request.overrides.margin or (None if preset.expand_ratio == "auto" else preset.expand_ratio)
    selection = select_face(
        FaceBoxRequest(
            request.picture,
            request.aspect,
            request.face_index,
            request.face_box,
            expand_ratio=margin,
            name=request.name,
        )
    )
    run = job_from(_settings(request, selection), request.vae_dtype or vae_dtype_on(capacity.budget))
    requested, policy = capabilities.begin(run), request.allowed
    longest = run if request.longest_s is None else replace(run, duration_s=min(run.duration_s, request.longest_s))
    asked = capabilities.run(longest, capacity) if policy is None else capabilities.begin(longest)
    plan = make_plan(asked, capacity, policy, available=capabilities.available, fixed=capabilities.fixed)
    parts = _part_frames(requested, plan.job)
    plan = replace(plan, parts=len(parts))
    frames = requested.sound_frames if capabilities.to_file else plan.job.sound_frames
    return Preflight(
        selection,
        requested,
        plan,
        request.sound_s,
        fitted_lengths(frames, plan.job.interpolate),
        refused=_is_refused(request, plan),
        time=predict_time(plan.job, capacity.budget, request.pace, parts=parts),
        with_low_vram=_with_low_vram(request, plan),
    )


def _settings(request: PreflightRequest, selection: FaceSelection) -> RunSettings:
    preset, overrides = request.preset, request.overrides
    wished = ModelSettings(dtype_on(request.capacity.budget, preset.dtype), preset.use_interframe)
    model = request.model or wished
    limit_s = overrides.seconds or (request.sound_s if preset.duration == "auto" else preset.duration)
    return RunSettings(
        width=selection.crop.width,
        height=selection.crop.height,
        duration=max(MIN_SOUND_S, min(limit_s, request.sound_s)),
        min_resolution=overrides.min_resolution or preset.min_resolution,
        fps=preset.fps,
        dtype=model.dtype,
        use_interframe=model.interpolate,
        inference_steps=overrides.inference_steps or preset.inference_steps,
        dynamic_scale=overrides.dynamic_scale or preset.dynamic_scale,
        expand_ratio=selection.expand_ratio,
    )


def _part_frames(whole: Job, part: Job) -> list[int]:
    """Latent frames of each of the parts like `part` that the sound of `whole` takes. Those of a file overlap."""
    if not whole.to_file or part.latent_frames >= whole.latent_frames:
        return [part.latent_frames] * parts_for(whole, part)
    return [each.latent_frames for each in plan_parts(whole, part.latent_frames)]


def _is_refused(request: PreflightRequest, plan: Plan) -> bool:
    if request.on_risk == "downgrade":
        return not plan.fits
    return request.on_risk == "stop" and plan.risk.verdict is Verdict.FAIL


def _with_low_vram(request: PreflightRequest, plan: Plan) -> Plan | None:
    """The plan with Sonic Low VRAM, where the picture lost something without it that it keeps."""
    if request.capabilities._replace(relative=Relative.SONIC) != WRAPPER_ONLY or not plan.fits or not plan.losses:
        return None
    return plan_that_shows_more(plan, EVERY)
