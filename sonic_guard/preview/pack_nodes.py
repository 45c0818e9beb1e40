"""This pack's own nodes: each calls the node's operation with what is known of its inputs."""

from dataclasses import astuple, replace
from typing import Any

from ..devices.budget import RESERVE
from ..job import Dtype
from ..media.crop import Aspect
from ..operations.audio_duration import AudioDurationRequest
from ..operations.audio_duration import audio_duration as measure_sound
from ..operations.auto_downgrade import AutoDowngrade, AutoDowngradeRequest
from ..operations.auto_downgrade import auto_downgrade as plan_downgrade
from ..operations.face_box import FaceBoxRequest, select_face
from ..operations.long_video_plan import LongVideoRequest, plan_long_video
from ..operations.low_vram_choice import LowVramChoice, LowVramRequest, choose_low_vram
from ..operations.oom_risk import OomRisk, OomRiskRequest
from ..operations.oom_risk import oom_risk as assess
from ..operations.preflight import ON_RISK, Preflight, PreflightRequest
from ..operations.preflight import preflight as plan_preflight
from ..operations.preset_values import PresetRequest, preset_values
from ..operations.run_settings import RunSettings, vae_dtype_on
from ..optimizations import DEFAULTS, ESCALATION_ORDER, Setting
from ..planning.advice import Where
from ..planning.planner import SPLIT, Policy
from .context import ASSUMED_SOUND_S, Context, Judged, Outcome, PlannerNode
from .node_inputs import UNKNOWN, Inputs, OffloadedDtype, Picture, Voice
from .sonic_nodes import model_of


def preflight(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardPreflight."""
    on_risk = inputs.word("on_risk", ON_RISK, "downgrade")
    policy = inputs.word("policy", Policy, Policy.LOSSLESS_FIRST)
    planner = context.add_planner(inputs, _where(policy, context) if on_risk == "downgrade" else Where.ON_RISK)
    capacity, capabilities = context.capacity(planner.target, planner.reserve), context.capabilities
    picture = context.picture(inputs)
    request = PreflightRequest(
        context.portrait(picture, inputs),
        _sound_s(inputs, context, cut_silence=inputs.flag("cut_silence", False)),
        context.preset(inputs.text("preset", "fast")),
        capacity,
        on_risk,
        policy,
        inputs.word("aspect", Aspect, Aspect.ORIGINAL),
        inputs.whole("face_index", 0),
        "" if picture.assumed else inputs.text("face_box", ""),
        capabilities=capabilities,
        pace=context.pace(capacity),
    )
    result = plan_preflight(request)
    crop, lengths = result.selection.crop, result.lengths
    outputs = result.outputs(
        Picture(crop.width, crop.height, assumed=picture.assumed),
        Voice(seconds=lengths.for_sonic_s),
        UNKNOWN,
        Voice(seconds=lengths.for_video_s),
    )
    return Outcome(outputs, _judged(result, planner, context))


def audio_duration(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardAudioDuration."""
    sound_s = context.sound_s(inputs, cut_silence=inputs.flag("cut_silence", False))
    if sound_s is None:
        return Outcome(())
    result = measure_sound(AudioDurationRequest(sound_s, inputs.flag("use_interframe", True)))
    for_sonic, for_video = Voice(seconds=result.lengths.for_sonic_s), Voice(seconds=result.lengths.for_video_s)
    return Outcome(result.outputs(for_sonic, for_video, UNKNOWN, UNKNOWN))


def face_box(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardFaceBox; of a batch, the first picture."""
    picture = inputs.of("image", Picture)
    if picture is None:
        return Outcome(())
    request = FaceBoxRequest(
        context.portrait(picture, inputs),
        inputs.word("aspect", Aspect, Aspect.ORIGINAL),
        inputs.whole("face_index", 0),
        inputs.text("face_box", ""),
    )
    result = select_face(request)
    return Outcome(result.outputs(Picture(result.crop.width, result.crop.height), UNKNOWN))


def preset(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardPreset."""
    requested = context.preset(inputs.text("preset", "fast"))
    sound_s = context.sound_s(inputs)
    if sound_s is None and inputs.has("audio"):
        inputs.assume("sound", value=ASSUMED_SOUND_S)
    return Outcome(astuple(preset_values(PresetRequest(requested, sound_s))))


def oom_risk(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardOOMRisk."""
    planner = context.add_planner(inputs, Where.THIS_NODE)
    capacity, capabilities = context.capacity(planner.target, planner.reserve), context.capabilities
    settings, stop = _settings(inputs, context), inputs.flag("stop", True, matters=False)
    result = assess(OomRiskRequest(settings, capacity, stop, capabilities, context.pace(capacity)))
    return Outcome(result.outputs(inputs.get("image"), UNKNOWN), _judged(result, planner, context))


def auto_downgrade(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardAutoDowngrade."""
    policy = inputs.word("policy", Policy, Policy.LOSSLESS_FIRST)
    planner = context.add_planner(inputs, _where(policy, context))
    capacity, capabilities = context.capacity(planner.target, planner.reserve), context.capabilities
    settings = replace(_settings(inputs, context), inference_steps=inputs.whole("inference_steps", 25))
    result = plan_downgrade(AutoDowngradeRequest(settings, capacity, policy, capabilities, context.pace(capacity)))
    return Outcome(result.outputs(UNKNOWN), _judged(result, planner, context))


def low_vram(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardLowVRAM."""
    settings: dict[str, Any] = {
        str(optimization): inputs.word(optimization, Setting, DEFAULTS[optimization])
        for optimization in ESCALATION_ORDER
    }
    optimizations = "" if inputs.get("optimizations") is UNKNOWN else inputs.text("optimizations", "")
    target, upstream = inputs.text("target_card", "auto"), context.planners[-1:]
    planner = context.add_planner(inputs, upstream[0].where if upstream else Where.SONIC_NODES)
    if target == "auto" and upstream:  # judged for the card of the planner upstream
        context.planners[-1] = planner._replace(target=upstream[0].target)
    choice = choose_low_vram(LowVramRequest(settings, optimizations, target, planner.reserve))
    model = replace(model_of(inputs, context), low_vram=choice)
    return Outcome((model, OffloadedDtype(model.dtype) if choice.offloads_unet else model.dtype, UNKNOWN))


def long_video(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardLongVideo: its longest part. Its settings are its own, and the sound is cut evenly."""
    model, picture = model_of(inputs, context), context.picture(inputs)
    choice, sound_s = model.low_vram or LowVramChoice(), _sound_s(inputs, context)
    planner = context.planner_upstream()
    if planner.where is Where.SONIC_NODES:
        planner = planner._replace(where=Where.THIS_NODE)
    capacity = context.capacity(planner.target, RESERVE)
    settings = RunSettings(
        picture.width,
        picture.height,
        sound_s,
        inputs.whole("min_resolution", 512),
        inputs.number("fps", 25.0),
        model.dtype,
        model.interpolate,
        inputs.whole("inference_steps", 25),
        inputs.number("dynamic_scale", 1.0, matters=False),
    )
    request = LongVideoRequest(
        settings,
        vae_dtype_on(capacity.budget),
        capacity,
        choice,
        context.choice_capacity(choice, planner),
        inputs.number("part_s", 0.0),
    )
    result = plan_long_video(request)
    available = choice.switches.auto | {SPLIT}
    judged = context.judge(
        result.part, context.capacity(planner.target, planner.reserve), planner.where, available=available
    )
    plan = replace(judged.plan, parts=len(result.parts))
    seconds = result.seconds(context.pace(capacity))
    return Outcome((UNKNOWN, UNKNOWN, UNKNOWN), judged._replace(plan=plan, seconds=seconds))


def _judged(result: Preflight | OomRisk | AutoDowngrade, planner: PlannerNode, context: Context) -> Judged:
    return Judged(
        result.plan,
        planner.where,
        result.seconds,
        context.capabilities.available,
        context.is_stock,
        result.refused,
    )


def _where(policy: Policy, context: Context) -> Where:
    if policy is Policy.ARTICLE:
        return Where.POLICY
    # Long Video needs none of Sonic's nodes.
    return Where.THIS_NODE if context.capabilities.to_file else Where.SONIC_NODES


def _sound_s(inputs: Inputs, context: Context, *, cut_silence: bool = False) -> float:
    """Seconds of the sound at an input, or the length that is assumed."""
    sound_s = context.sound_s(inputs, cut_silence=cut_silence)
    if sound_s is None:
        inputs.assume("sound", value=ASSUMED_SOUND_S)
        return ASSUMED_SOUND_S
    return sound_s


def _settings(inputs: Inputs, context: Context) -> RunSettings:
    """The run that a node's settings and its picture describe."""
    picture = context.picture(inputs)
    return RunSettings(
        picture.width,
        picture.height,
        inputs.number("duration", ASSUMED_SOUND_S),
        inputs.whole("min_resolution", 512),
        inputs.number("fps", 25.0),
        inputs.word("dtype", Dtype, Dtype.FP16),
        inputs.flag("use_interframe", True),
    )
