"""What this pack's own nodes give, step for step as in ``nodes/``."""

from ..devices.budget import Budget
from ..job import HOP_SAMPLES, LATENT_FPS, MIN_SOUND_S, SAMPLE_RATE, Dtype, Job, latent_frames
from ..media.crop import Aspect
from ..media.face import parse_box
from ..operations.preflight import ON_RISK, Look, look_at, run_preflight
from ..planning.advice import Where
from ..planning.planner import Policy
from ..planning.selection import format_optimizations
from .context import ASSUMED_SOUND_S, Context, Judged, Outcome
from .node_inputs import UNKNOWN, Inputs, Picture, Voice


def preflight(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardPreflight."""
    on_risk = inputs.word("on_risk", ON_RISK, "downgrade")
    policy = inputs.word("policy", Policy, Policy.LOSSLESS_FIRST)
    lets = on_risk == "downgrade"
    guard = context.guard(inputs, _where(policy, context) if lets else Where.ON_RISK)
    budget, capabilities = context.budget(guard), context.capabilities
    picture = context.picture(inputs)
    sound_s = context.sound_s(inputs, cut_silence=inputs.flag("cut_silence", False))
    if sound_s is None:
        inputs.assume("sound", value=ASSUMED_SOUND_S)
        sound_s = ASSUMED_SOUND_S
    result = run_preflight(
        context.portrait(picture, inputs),
        sound_s,
        context.preset(inputs.text("preset", "fast")),
        budget,
        target=guard.target,
        policy=policy if lets else None,
        aspect=inputs.word("aspect", Aspect, Aspect.ORIGINAL),
        face_index=inputs.whole("face_index", 0),
        face_box=None if picture.assumed else inputs.text("face_box", ""),
        capabilities=capabilities,
        pace=context.machine.card_history(budget.card).pace,
    )
    plan, crop = result.plan, result.look.crop
    job = plan.job
    whole = result.requested if capabilities.to_file else job  # Sonic Long Video cuts for itself
    for_sonic, for_video = _fitted(whole.latent_frames, job.interpolate)
    outputs = (
        Picture(crop.width, crop.height, assumed=picture.assumed), for_sonic, job.min_resolution, for_sonic.seconds,
        job.expand_ratio, job.steps, job.dynamic_scale, job.fps, str(job.dtype), job.interpolate, UNKNOWN, for_video,
        job.output_fps, result.part_s, format_optimizations(result.optimizations),
    )  # fmt: skip
    return Outcome(
        outputs,
        Judged(plan, guard.where, result.seconds, capabilities.available, context.is_stock),
    )


def audio_duration(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardAudioDuration."""
    sound_s = context.sound_s(inputs, cut_silence=inputs.flag("cut_silence", False))
    if sound_s is None:
        return Outcome(())
    frames = latent_frames(max(MIN_SOUND_S, sound_s))
    for_sonic, for_video = _fitted(frames, inputs.flag("use_interframe", True))
    return Outcome((for_sonic.seconds, round(sound_s, 2), frames, for_sonic, for_video))


def face_box(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardFaceBox; of a batch, what comes first."""
    picture = inputs.of("image", Picture)
    if picture is None:
        return Outcome(())
    look: Look = look_at(
        context.portrait(picture, inputs),
        aspect=inputs.word("aspect", Aspect, Aspect.ORIGINAL),
        face_index=inputs.whole("face_index", 0),
        manual_box=parse_box(inputs.text("face_box", "")),
    )
    crop = Picture(look.crop.width, look.crop.height)
    return Outcome((crop, look.expand_ratio, look.ratio, ", ".join(map(str, look.face.box))))


def preset(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardPreset."""
    requested = context.preset(inputs.text("preset", "fast"))
    sound_s = context.sound_s(inputs)
    if sound_s is None and inputs.has("audio"):
        inputs.assume("sound", value=ASSUMED_SOUND_S)
    requested_s = (
        (ASSUMED_SOUND_S if sound_s is None else sound_s) if requested.duration == "auto" else requested.duration
    )
    return Outcome((
        requested.min_resolution, requested_s if sound_s is None else min(requested_s, sound_s), requested.inference_steps,
        requested.dynamic_scale, requested.fps, str(requested.dtype), requested.use_interframe,
    ))  # fmt: skip


def oom_risk(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardOOMRisk."""
    guard = context.guard(inputs, Where.THIS_NODE)
    capacity, capabilities = context.capacity(guard), context.capabilities
    job = capabilities.run(_settings(inputs, context, capacity.budget), capacity)
    judged = context.judge(job, guard, capacity, available=capabilities.available, low_vram=context.is_stock)
    return Outcome((inputs.get("image"),), judged)


def auto_downgrade(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardAutoDowngrade."""
    policy = inputs.word("policy", Policy, Policy.LOSSLESS_FIRST)
    guard = context.guard(inputs, _where(policy, context))
    capacity, capabilities = context.capacity(guard), context.capabilities
    job = _settings(inputs, context, capacity.budget, inputs.whole("inference_steps", 25))
    judged = context.judge(
        capabilities.begin(job), guard, capacity, policy, available=capabilities.available, low_vram=context.is_stock
    )
    seconds = job.duration_s if capabilities.to_file else judged.plan.job.duration_s
    job = judged.plan.job
    outputs = (job.min_resolution, seconds, job.fps, str(job.dtype), job.interpolate, job.steps)
    return Outcome(outputs, judged)


def _where(policy: Policy, context: Context) -> Where:
    if policy is Policy.ARTICLE:
        return Where.POLICY
    return (
        Where.THIS_NODE if context.capabilities.to_file else Where.SONIC_NODES
    )  # then there need be none of Sonic's nodes


def _fitted(frames: int, interpolate: bool) -> tuple[Voice, Voice]:
    """The sound for Sonic and for the video, as `media.grid` cuts it; to less than a sample."""
    pictures_s = frames / LATENT_FPS - (HOP_SAMPLES / SAMPLE_RATE if interpolate else 0)
    return Voice(seconds=frames / LATENT_FPS + HOP_SAMPLES / 2 / SAMPLE_RATE), Voice(seconds=pictures_s)


def _settings(inputs: Inputs, context: Context, budget: Budget, steps: int = 25) -> Job:
    """The run that the settings of a node and its picture describe."""
    picture = context.picture(inputs)
    return Job(
        picture.width,
        picture.height,
        inputs.number("duration", ASSUMED_SOUND_S),
        min_resolution=inputs.whole("min_resolution", 512),
        fps=inputs.number("fps", 25.0),
        dtype=inputs.word("dtype", Dtype, Dtype.FP16),
        steps=steps,
        interpolate=inputs.flag("use_interframe", True),
        vae_dtype=Dtype.BF16 if budget.bf16 else Dtype.FP32,
    )
