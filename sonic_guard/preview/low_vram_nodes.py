"""What Sonic Low VRAM and Sonic Long Video would run with, as the nodes themselves find it."""

from collections import Counter
from dataclasses import replace

from ..devices.budget import RESERVE
from ..job import LATENT_FPS, MIN_SOUND_S, Dtype, Job, duration_of
from ..long_video.part_plan import plan_parts
from ..optimizations import DEFAULTS, ESCALATION_ORDER, Optimization, Setting, without_redundant
from ..planning.advice import Where
from ..planning.capacity import Span
from ..planning.pace import predict_seconds
from ..planning.part_length import longest_fitting
from ..planning.planner import SPLIT
from ..planning.selection import DEFAULT, STREAMED, Switches, parse_optimizations, read_switches
from .context import ASSUMED_SOUND_S, Context, Outcome
from .node_inputs import UNKNOWN, Inputs, LowVram, OffloadedDtype
from .sonic_nodes import model_of


def low_vram(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardLowVRAM."""
    switches = read_switches(
        {
            str(optimization): inputs.word(optimization, Setting, DEFAULTS[optimization])
            for optimization in ESCALATION_ORDER
        }
    )
    if inputs.get("optimizations") is not UNKNOWN:
        planned = parse_optimizations(inputs.text("optimizations", "")) & switches.auto
        switches = Switches(switches.on | planned, switches.auto - planned)
    target, front = inputs.text("target_card", "auto"), context.guards[-1:]
    guard = context.guard(inputs, front[0].where if front else Where.SONIC_NODES)
    if target == "auto" and front:  # judged for what the planner in front is for
        context.guards[-1] = guard._replace(target=front[0].target)
    model = replace(model_of(inputs, context), low_vram=LowVram(switches, target, guard.reserve))
    dtype = OffloadedDtype(model.dtype) if Optimization.UNET_OFFLOAD in switches.on else model.dtype
    return Outcome((model, dtype, UNKNOWN))


def long_video(inputs: Inputs, context: Context) -> Outcome:
    """SonicGuardLongVideo: its longest part. Its settings are its own, and the sound is cut evenly."""
    model = model_of(inputs, context)
    low_vram = model.low_vram or LowVram(DEFAULT)
    picture, sound_s = context.picture(inputs), context.sound_s(inputs)
    if sound_s is None:
        inputs.assume("sound", value=ASSUMED_SOUND_S)
        sound_s = ASSUMED_SOUND_S
    guard = context.guard_in_front()
    if guard.where is Where.SONIC_NODES:
        guard = guard._replace(where=Where.THIS_NODE)
    capacity, switches = context.capacity(guard), low_vram.switches
    whole = Job(
        picture.width,
        picture.height,
        max(MIN_SOUND_S, sound_s),
        min_resolution=inputs.whole("min_resolution", 512),
        fps=inputs.number("fps", 25.0),
        dtype=model.dtype,
        steps=inputs.whole("inference_steps", 25),
        dynamic_scale=inputs.number("dynamic_scale", 1.0, matters=False),
        interpolate=model.interpolate,
        vae_dtype=Dtype.BF16 if capacity.budget.bf16 else Dtype.FP32,
        optimizations=STREAMED,
        to_file=True,
    )
    own = context.own_capacity(low_vram, guard)
    machine = replace(capacity, budget=context.machine.budget(guard.target, RESERVE))

    def fits(job: Job) -> bool:
        with_all = replace(job, optimizations=without_redundant(job.optimizations | switches.on | switches.auto))
        if own.budget.usable_bytes <= machine.budget.usable_bytes and machine.fits(with_all, Span.AFTER_LOAD):
            return True  # it fits with fewer optimizations, too, which take more time to find
        return machine.fits(switches.enable(job, own, Span.SAMPLER), Span.AFTER_LOAD)

    part_s = inputs.number("part_s", 0.0)
    longest = round(part_s * LATENT_FPS) if part_s else longest_fitting(whole, fits)
    parts = plan_parts(whole, longest, lambda low, high: (low + high) // 2)
    lengths = Counter(part.latent_frames for part in parts)
    job = switches.enable(whole if len(parts) == 1 else _of(whole, max(lengths)), own, Span.SAMPLER)
    judged = context.judge(job, guard, capacity, available=switches.auto | {SPLIT})
    pace = context.machine.card_history(capacity.budget.card).pace
    times_s = [count * (predict_seconds(_of(whole, frames), pace) or 0.0) for frames, count in lengths.items()]
    plan, seconds = replace(judged.plan, parts=len(parts)), sum(times_s) if pace else None
    return Outcome((UNKNOWN, UNKNOWN, UNKNOWN), judged._replace(plan=plan, seconds=seconds))


def _of(job: Job, frames: int) -> Job:
    return replace(job, duration_s=duration_of(frames))
