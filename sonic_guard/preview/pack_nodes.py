"""This pack's own nodes: each calls the node's operation with what is known of its inputs."""

from dataclasses import astuple, replace
from typing import Any

from ..job import MIN_SOUND_S, Dtype
from ..media.crop import Aspect
from ..operations.audio_duration import AudioDurationRequest
from ..operations.audio_duration import audio_duration as measure_sound
from ..operations.auto_downgrade import AutoDowngrade, AutoDowngradeRequest
from ..operations.auto_downgrade import auto_downgrade as plan_downgrade
from ..operations.face_box import FaceBoxRequest, select_face
from ..operations.low_vram_choice import LowVramRequest, choose_low_vram
from ..operations.oom_risk import OomRisk, OomRiskRequest
from ..operations.oom_risk import oom_risk as assess
from ..operations.preflight import ON_RISK, ModelSettings, Overrides, PlannedRun, Preflight, PreflightRequest
from ..operations.preflight import preflight as plan_preflight
from ..operations.preset_values import PresetRequest, preset_values
from ..operations.run_settings import RunSettings
from ..operations.talking_head import TalkingHeadRequest, plan_talking_head
from ..optimizations import ESCALATION_ORDER, Mode, Setting
from ..planning.advice import Where
from ..planning.capabilities import MODE, GraphCapabilities
from ..planning.planner import Policy
from ..planning.selection import read_switches
from ..relatives import Relative
from .context import ASSUMED_SOUND_S, Context, Cropped, Judged, Outcome
from .node_inputs import UNKNOWN, Inputs, NotKnownError, Picture, Plan, PlannerNode, Voice
from .sonic_nodes import model_of


def preflight(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardPreflight."""
    picture, voice_s = context.picture(inputs), _sound_s(inputs, context)
    request, planner = _request(picture, voice_s, inputs, context)
    result = plan_preflight(request)
    crop, lengths = result.selection.crop, result.lengths
    made = Picture(crop.width, crop.height, assumed=picture.assumed)
    judged = _judged(result, planner, context)._replace(cropped=_cropped(picture, result))
    run = PlannedRun(request, result, made, Voice(seconds=request.sound_s))
    outputs = result.outputs(
        Plan(run, context.planners[-1], judged.cropped),  # the planner with what it took from the picture
        made,
        Voice(seconds=lengths.for_sonic_s),
        UNKNOWN,
        Voice(seconds=lengths.for_video_s),
    )
    return Outcome(outputs, judged)


def _cropped(picture: Picture, result: Preflight) -> Cropped | None:
    """What is shown of the crop; None where the picture is no file's."""
    selection = result.selection
    return None if picture.name is None else Cropped(picture, selection.crop, selection.face.box)


def _request(
    picture: Picture, sound_s: float, inputs: Inputs, context: Context
) -> tuple[PreflightRequest, PlannerNode]:
    """What Preflight and Talking Head plan, and where the user would change it."""
    on_risk = inputs.word("on_risk", ON_RISK, "downgrade")
    policy = inputs.word("policy", Policy, Policy.LOSSLESS_FIRST)
    planner = context.add_planner(inputs, _where(policy, context) if on_risk == "downgrade" else Where.ON_RISK)
    capacity = context.capacity(planner.target, planner.reserve)
    request = PreflightRequest(
        context.portrait(picture, inputs),
        sound_s,
        context.preset(inputs.text("preset", "fast")),
        capacity,
        on_risk,
        policy,
        inputs.word("aspect", Aspect, Aspect.ORIGINAL),
        inputs.whole("face_index", 0),
        "" if picture.assumed else inputs.text("face_box", ""),
        capabilities=context.capabilities,
        pace=context.pace(capacity, context.capabilities.relative),
        overrides=Overrides(
            inputs.whole("min_resolution", 0),
            inputs.whole("inference_steps", 0),
            inputs.number("seconds", 0.0),
            inputs.number("margin", 0.0, matters=False),
            inputs.number("dynamic_scale", 0.0, matters=False),
        ),
    )
    return request, planner


def audio_duration(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardAudioDuration."""
    sound_s = context.sound_s(inputs, cut_silence=inputs.flag("cut_silence", False))
    if sound_s is None:
        raise NotKnownError(inputs.unknown("audio"))
    result = measure_sound(AudioDurationRequest(sound_s, inputs.flag("use_interframe", True)))
    for_sonic, for_video = Voice(seconds=result.lengths.for_sonic_s), Voice(seconds=result.lengths.for_video_s)
    return Outcome(result.outputs(for_sonic, for_video, UNKNOWN, UNKNOWN))


def load_voice(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardLoadVoice. The file is read only if its length is needed."""
    if inputs.get("audio") is UNKNOWN:
        return Outcome(())
    return Outcome((Voice(inputs.text("audio", ""), track=inputs.whole("track", 1)),))


def face_box(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardFaceBox; of a batch, the first picture."""
    picture = inputs.needed("image", Picture)
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
        inputs.assume("sound", value=ASSUMED_SOUND_S, unknown=inputs.unknown("audio"))
    return Outcome(astuple(preset_values(PresetRequest(requested, sound_s))))


def oom_risk(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardOOMRisk."""
    planner = context.add_planner(inputs, Where.THIS_NODE)
    capacity, capabilities = context.capacity(planner.target, planner.reserve), context.capabilities
    settings, stop = _settings(inputs, context), inputs.flag("stop", True, matters=False)
    pace = context.pace(capacity, capabilities.relative)
    result = assess(OomRiskRequest(settings, capacity, stop, capabilities, pace))
    return Outcome(result.outputs(inputs.value("image"), UNKNOWN), _judged(result, planner, context))


def auto_downgrade(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardAutoDowngrade."""
    policy = inputs.word("policy", Policy, Policy.LOSSLESS_FIRST)
    planner = context.add_planner(inputs, _where(policy, context))
    capacity, capabilities = context.capacity(planner.target, planner.reserve), context.capabilities
    settings = replace(_settings(inputs, context), inference_steps=inputs.whole("inference_steps", 25))
    pace = context.pace(capacity, capabilities.relative)
    result = plan_downgrade(AutoDowngradeRequest(settings, capacity, policy, capabilities, pace))
    return Outcome(result.outputs(UNKNOWN), _judged(result, planner, context))


def low_vram(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardLowVRAM."""
    settings: dict[str, Any] = {
        str(optimization): inputs.word(optimization, Setting, Setting.MODE) for optimization in ESCALATION_ORDER
    }
    linked, upstream = inputs.of("plan", Plan), context.planners[-1:]
    planner = context.add_planner(inputs, upstream[0].where if upstream else Where.SONIC_NODES)
    if linked is not None:
        context.planners[-1] = linked.planner
    plan = None if linked is None else linked.run.result.plan
    mode = inputs.word(MODE, Mode, Mode.AUTO)
    choice = choose_low_vram(LowVramRequest(settings, mode, plan, planner.target, planner.reserve))
    model = replace(model_of(inputs, context, context.capabilities.relative), low_vram=choice)
    return Outcome((model, UNKNOWN))


def talking_head(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardTalkingHead: its longest part. The sound is cut evenly."""
    model = model_of(inputs, context, Relative.SONIC, "Sonic Talking Head")
    linked = inputs.of("plan", Plan)
    if linked is None:
        picture = context.picture(inputs)
        run, planner = _request(picture, _sound_s(inputs, context), inputs, context)
    else:
        picture, run, planner = None, linked.run.request, linked.planner
    low_vram = model.low_vram
    switches = low_vram.switches if low_vram else read_switches(inputs.word(MODE, Mode, Mode.AUTO))
    run = replace(
        run, model=ModelSettings(model.dtype, model.interpolate), capabilities=GraphCapabilities(switches, to_file=True)
    )
    planned = plan_talking_head(TalkingHeadRequest(run, inputs.number("part_s", 0.0), inputs.number("preview_s", 0.0)))
    judged = _judged(planned.preflight, planner, context)
    cropped = _cropped(picture, planned.preflight) if picture else linked and linked.cropped
    judged = judged._replace(cropped=cropped, preview=planned.part if planned.is_preview else None)
    return Outcome(planned.outputs(UNKNOWN, UNKNOWN, UNKNOWN), judged)


def _judged(result: Preflight | OomRisk | AutoDowngrade, planner: PlannerNode, context: Context) -> Judged:
    context.note_losses(planner, result.plan.losses)
    return Judged(
        result.plan,
        planner.where,
        result.time,
        context.capabilities.available,
        context.is_stock,
        context.is_mode_off,
        result.refused,
        result.plan.losses,
    )


def _where(policy: Policy, context: Context) -> Where:
    if policy is Policy.ARTICLE:
        return Where.POLICY
    # Talking Head needs none of Sonic's nodes.
    return Where.THIS_NODE if context.capabilities.to_file else Where.SONIC_NODES


def _sound_s(inputs: Inputs, context: Context) -> float:
    """Seconds of the sound at an input, or the length that is assumed."""
    sound_s = context.sound_s(inputs, cut_silence=inputs.flag("cut_silence", False))
    if sound_s is None:
        inputs.assume("sound", value=ASSUMED_SOUND_S, unknown=inputs.unknown("audio"))
        return ASSUMED_SOUND_S
    if sound_s < MIN_SOUND_S:
        inputs.assume("short", value=round(sound_s, 2))
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
