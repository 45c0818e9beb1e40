"""Preflight: everything before Sonic in one node."""

from typing import Any

from comfy_api.latest import io

from ..sonic_guard.errors import SonicGuardError
from ..sonic_guard.history.history_cache import WAIT_S
from ..sonic_guard.media import audio as media_audio
from ..sonic_guard.media import crop, frame_grid, picture, silence
from ..sonic_guard.media.crop import Aspect
from ..sonic_guard.messages.catalogue import LANGUAGES
from ..sonic_guard.messages.plan_messages import low_vram_line, refusal
from ..sonic_guard.messages.plan_messages import report as in_words
from ..sonic_guard.operations.preflight import ON_RISK, run_preflight
from ..sonic_guard.planning.capacity import Verdict
from ..sonic_guard.planning.planner import Policy
from ..sonic_guard.planning.selection import format_optimizations
from .comfy import host, images, shared_inputs
from .comfy.link_values import flag
from .comfy.sonic_model import capabilities
from .server import run_history


class Preflight(shared_inputs.TargetCard):
    """From a portrait and a voice to what Sonic's nodes take."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs. New ones go to the end: saved workflows count positions."""
        return io.Schema(
            node_id="SonicGuardPreflight",
            display_name="Preflight (Sonic Guard)",
            category=shared_inputs.CATEGORY,
            description="Crops the image, trims the audio and chooses settings that fit the graphics card. It uses the "
            "memory optimizations of Sonic Low VRAM and Sonic Long Video if they are in the graph.",
            inputs=[
                io.Image.Input("image", tooltip="The portrait. Of a batch, the first image is used."),
                io.Audio.Input("audio", tooltip="The speech, of any length."),
                shared_inputs.preset(),
                shared_inputs.target_card(),
                io.Combo.Input(
                    "on_risk",
                    options=list(ON_RISK),
                    default="downgrade",
                    tooltip="What to do if the requested settings do not fit. downgrade: change them until they fit. "
                    "warn: run anyway. stop: end the run here.",
                ),
                shared_inputs.policy(),
                shared_inputs.aspect(),
                shared_inputs.face_index(),
                shared_inputs.face_box(),
                shared_inputs.cut_silence(),
                shared_inputs.reserve(),
                shared_inputs.language(),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The crop, for SONIC_PreData."),
                io.Audio.Output(display_name="audio", tooltip="The trimmed audio, for SONIC_PreData."),
                io.Int.Output(display_name="min_resolution", tooltip="For SONIC_PreData."),
                io.Float.Output(display_name="duration", tooltip="For SONIC_PreData."),
                io.Float.Output(display_name="expand_ratio", tooltip="For SONIC_PreData, which does not use it."),
                io.Int.Output(display_name="inference_steps", tooltip="For SONICSampler."),
                io.Float.Output(display_name="dynamic_scale", tooltip="For SONICSampler."),
                io.Float.Output(display_name="fps", tooltip="For SONICSampler: sets the window length."),
                io.AnyType.Output(display_name="dtype", tooltip="For SONICTLoader."),
                io.Boolean.Output(display_name="use_interframe", tooltip="For SONICTLoader."),
                io.String.Output(display_name="report", tooltip="What was detected and changed, and why."),
                io.Audio.Output(display_name="video_audio", tooltip="For Create Video: ends with the last frame."),
                io.Float.Output(display_name="video_fps", tooltip="For Create Video: keeps audio and lips in sync."),
                io.Float.Output(
                    display_name="part_s", tooltip="For Sonic Long Video: part length in seconds; 0 is one pass."
                ),
                io.String.Output(display_name="optimizations", tooltip="For Sonic Low VRAM: those the plan needs."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, preset: str = "", **_: Any) -> str:
        """What the preset's file says, so that an edited one is read again; and what the graph's nodes can do."""
        return f"{shared_inputs.preset_text(preset)} {capabilities().text}"

    @classmethod
    def execute(
        cls, image: Any, audio: Any, preset: str, target_card: str, on_risk: str, policy: str, aspect: str,
        face_index: int, face_box: str, cut_silence: bool, reserve: float, language: str,
    ) -> io.NodeOutput:  # fmt: skip
        """Look, listen, plan, trim and crop."""
        shared_inputs.one_of("on_risk", on_risk, ON_RISK)
        shared_inputs.one_of("language", language, LANGUAGES)
        cuts, sound = flag("cut_silence", cut_silence), media_audio.from_dict(audio)
        if cuts:
            sound = silence.cut_silence(sound)
        budget, within = host.budget(target_card, reserve), capabilities()
        result = run_preflight(
            picture.from_batch(images.as_tensor(image))[0],
            sound.duration_s,
            shared_inputs.read_preset(preset),
            budget,
            target=target_card,
            policy=shared_inputs.one_of("policy", policy, Policy) if on_risk == "downgrade" else None,
            aspect=shared_inputs.one_of("aspect", aspect, Aspect),
            face_index=face_index,
            face_box=face_box,
            capabilities=within,
            pace=run_history.history_cache.of(budget.card, WAIT_S).pace,
        )
        plan, job = result.plan, result.plan.job
        if (on_risk == "downgrade" and not plan.fits) or (on_risk == "stop" and plan.risk.verdict is Verdict.FAIL):
            hope = low_vram_line(result.with_low_vram, language) if result.with_low_vram else ""
            raise SonicGuardError(f"{refusal(plan, language)} {hope}".rstrip())
        # Sonic Long Video cuts for itself, and wants the whole.
        frames = result.requested.latent_frames if within.to_file else job.latent_frames
        fitted = frame_grid.fit_to_frames(sound, frames, job.interpolate)
        report = f"{in_words(result, language)}\n{run_history.risk_text(plan.estimate, budget, language)}"
        return io.NodeOutput(
            crop.crop(images.as_batch(image)[:1], result.look.crop),
            media_audio.to_dict(fitted.for_sonic),
            job.min_resolution,
            fitted.for_sonic.duration_s,
            job.expand_ratio,
            job.steps,
            job.dynamic_scale,
            job.fps,
            str(job.dtype),
            job.interpolate,
            report,
            media_audio.to_dict(fitted.for_video),
            job.output_fps,
            result.part_s,
            format_optimizations(result.optimizations),
            ui={"text": (report,)},
        )
