"""The whole slice: from a portrait, a voice, a wish and a budget to what Sonic should be given.

Pure but for face detection; both the node and the command line are a few lines around it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..devices.budget import Budget, host_memory_bytes
from ..job import MIN_SOUND_S, Dtype, Job
from ..media.crop import Aspect, crop_box
from ..media.face import Box, Face, expand_ratio_for, face_ratio, find_faces, manual_face, parse_box, pick_face
from ..media.picture import Rgb, size_of
from ..memory.stage_model import Estimate
from ..optimizations import EXACT, Optimization
from ..planning.capabilities import WRAPPER_ONLY, GraphCapabilities
from ..planning.capacity import Capacity
from ..planning.pace import Pace, predict_seconds
from ..planning.part_length import parts_for
from ..planning.planner import GOOD_RESOLUTION, Plan, Policy, make_plan
from ..planning.presets import Preset

ON_RISK = ("downgrade", "warn", "stop")
"""What to do with a wish that does not fit: change it until it does, run it anyway, or stop."""


class Portrait(NamedTuple):
    """A picture that is looked at only if it has to be."""

    size: tuple[int, int]
    """Width and height in pixels."""
    find_faces: Callable[[], Sequence[Face]]
    """The faces in it, largest first."""


@dataclass(frozen=True)
class Look:
    """What was seen in the picture, and the part of it to use."""

    faces: tuple[Face, ...]
    """All faces found, largest first; empty with a manual box."""
    face: Face
    """The one to animate."""
    ratio: float
    """Side of its box as a part of the picture's side, the larger of the two."""
    expand_ratio: float
    """Margin around it: the wish's, or the article's 0.15 above a ratio of 0.7 and 0.20 below."""
    crop: Box
    """The part of the picture Sonic gets."""


@dataclass(frozen=True)
class Preflight:
    """What to give to Sonic, and why."""

    look: Look
    requested: Job
    """The run as it was wished for."""
    plan: Plan
    sound_s: float
    """Exact length of the sound in seconds."""
    seconds: float | None = None
    """Predicted seconds of denoising, of all parts; None while no run on the card is known."""
    with_low_vram: Plan | None = None
    """Where something had to give way and no node in the graph pulls levers: what Sonic Low VRAM would make of it."""

    @property
    def optimizations(self) -> frozenset[Optimization]:
        """Levers that the plan has pulled; of a wish that is kept, those that are pulled anyway."""
        return self.plan.job.optimizations if self.plan.policy else self.requested.optimizations

    @property
    def part_s(self) -> float:
        """Seconds of a part as the plan has it; 0 leaves that to whoever makes the parts."""
        return self.plan.job.duration_s if self.plan.policy and self.plan.parts > 1 else 0.0

    @property
    def estimate(self) -> Estimate:
        """What the planned run needs."""
        return self.plan.estimate


def look_at(
    picture: Rgb | Portrait,
    *,
    aspect: Aspect = Aspect.ORIGINAL,
    expand_ratio: float | None = None,
    face_index: int = 0,
    manual_box: Sequence[float] | None = None,
    name: str = "image",
) -> Look:
    """Find the face in `picture` (uint8 [H, W, 3], or what is known of it) and choose the crop.

    `expand_ratio` None follows the article's rule; `manual_box` (x1, y1, x2, y2 in pixels) replaces the
    search. The crop's shorter side has at least `GOOD_RESOLUTION` pixels where the picture has them.
    Raises `FaceError` where there is no such face.
    """
    portrait = picture if isinstance(picture, Portrait) else Portrait(size_of(picture), lambda: find_faces(picture))
    size = portrait.size
    faces = () if manual_box else tuple(portrait.find_faces())
    face = manual_face(manual_box, size) if manual_box else pick_face(faces, face_index, name)
    ratio = face_ratio(face.box, size)
    margin = expand_ratio_for(ratio) if expand_ratio is None else expand_ratio
    whole = Box(0, 0, *size)
    crop = whole if aspect is Aspect.NONE else crop_box(size, face.box, margin, aspect, least_side=GOOD_RESOLUTION)
    return Look(faces, face, ratio, margin, crop)


def preflight(
    look: Look,
    sound_s: float,
    preset: Preset,
    capacity: Capacity,
    *,
    policy: Policy | None = Policy.LOSSLESS_FIRST,
    capabilities: GraphCapabilities = WRAPPER_ONLY,
    pace: Pace | None = None,
) -> Preflight:
    """Plan the run that `preset` wishes for; with `policy` None the wish is kept, and judged as the graph will run it.

    `capabilities` is what nodes behind it can do for the run; `pace` is what earlier runs on the card took, if any are known.
    A sound shorter than the wrapper can take counts as that long: `media.grid` fills it up with silence.
    Raises `JobError` for a wish no run can have, such as a sound too short for a frame.
    """
    run = Job(
        width=look.crop.width,
        height=look.crop.height,
        duration_s=max(MIN_SOUND_S, sound_s if preset.duration == "auto" else min(preset.duration, sound_s)),
        min_resolution=preset.min_resolution,
        fps=preset.fps,
        dtype=preset.dtype,
        steps=preset.inference_steps,
        dynamic_scale=preset.dynamic_scale,
        expand_ratio=look.expand_ratio,
        interpolate=preset.use_interframe,
        vae_dtype=Dtype.BF16 if capacity.budget.bf16 else Dtype.FP32,
    )
    requested = capabilities.begin(run)
    asked = capabilities.run(run, capacity) if policy is None else requested
    plan = make_plan(asked, capacity, policy, available=capabilities.available)
    plan = replace(plan, parts=parts_for(requested, plan.job))
    with_low_vram = None
    if policy is not None and capabilities == WRAPPER_ONLY and (plan.changes or not plan.fits):
        with_optimizations = make_plan(requested, capacity, available=EXACT)
        with_low_vram = with_optimizations if with_optimizations.fits else None
    seconds = predict_seconds(plan.job, pace)
    return Preflight(look, requested, plan, sound_s, None if seconds is None else plan.parts * seconds, with_low_vram)


def run_preflight(
    picture: Rgb | Portrait,
    sound_s: float,
    preset: Preset,
    budget: Budget,
    *,
    target: str | float = "auto",
    policy: Policy | None = Policy.LOSSLESS_FIRST,
    aspect: Aspect = Aspect.ORIGINAL,
    face_index: int = 0,
    face_box: str | None = None,
    name: str = "image",
    capabilities: GraphCapabilities = WRAPPER_ONLY,
    pace: Pace | None = None,
) -> Preflight:
    """Look at `picture` as the preset and the user want it, and plan the run on `target`, whose memory is `budget`.

    `face_box` is "x1, y1, x2, y2" or nothing. Raises what `look_at` and `preflight` raise.
    """
    look = look_at(
        picture,
        aspect=aspect,
        expand_ratio=None if preset.expand_ratio == "auto" else preset.expand_ratio,
        face_index=face_index,
        manual_box=parse_box(face_box),
        name=name,
    )
    capacity = Capacity(budget, host_memory_bytes(target))
    return preflight(look, sound_s, preset, capacity, policy=policy, capabilities=capabilities, pace=pace)
