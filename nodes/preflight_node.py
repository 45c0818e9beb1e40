"""Preflight: everything before Sonic in one node."""

from typing import Any

from comfy_api.latest import io

from ..sonic_guard.errors import SonicGuardError
from ..sonic_guard.history.history_cache import WAIT_S
from ..sonic_guard.media import audio as media_audio
from ..sonic_guard.media import crop, frame_grid
from ..sonic_guard.messages.plan_messages import low_vram_line, refusal
from ..sonic_guard.messages.plan_messages import report as report_of
from ..sonic_guard.operations.preflight import ON_RISK, PreflightRequest, preflight
from .comfyui import host, images, shared_inputs
from .comfyui.sonic_model import capabilities
from .web_api import run_history


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
        """The content of the preset's file, so that an edited one is read again; and what the graph's nodes can do."""
        return f"{shared_inputs.preset_text(preset)} {capabilities().text}"

    @classmethod
    def execute(
        cls, image: Any, audio: Any, preset: str, target_card: str, on_risk: str, policy: str, aspect: str,
        face_index: int, face_box: str, cut_silence: bool, reserve: float, language: str,
    ) -> io.NodeOutput:  # fmt: skip
        """Find the face, measure the sound, plan, trim and crop."""
        shared_inputs.read_language(language)
        sound, capacity = shared_inputs.read_sound(audio, cut_silence), host.capacity(target_card, reserve)
        request = PreflightRequest(
            images.first_portrait(image),
            sound.duration_s,
            shared_inputs.read_preset(preset),
            capacity,
            on_risk,
            policy,
            aspect,
            face_index,
            face_box,
            capabilities=capabilities(),
            pace=run_history.history_cache.of(capacity.budget.card, WAIT_S).pace,
        )
        result = preflight(request)
        plan = result.plan
        if result.refused:
            hint = low_vram_line(result.with_low_vram, language) if result.with_low_vram else ""
            raise SonicGuardError(f"{refusal(plan, language)} {hint}".rstrip())
        fitted = frame_grid.fit_to_frames(sound, result.lengths.latent_frames, plan.job.interpolate)
        report = f"{report_of(result, language)}\n{run_history.risk_text(plan.estimate, plan.budget, language)}"
        outputs = result.outputs(
            crop.crop(images.as_batch(image)[:1], result.selection.crop),
            media_audio.to_dict(fitted.for_sonic),
            report,
            media_audio.to_dict(fitted.for_video),
        )
        return io.NodeOutput(*outputs, ui={"text": (report,)})
