"""Preflight: everything before Sonic in one node."""

from typing import Any

from comfy_api.latest import io

from ..sonic_guard.errors import SonicGuardError
from ..sonic_guard.media import audio as media_audio
from ..sonic_guard.media import crop, frame_grid
from ..sonic_guard.messages.plan_messages import refusal
from ..sonic_guard.messages.plan_messages import report as report_of
from ..sonic_guard.messages.sound_messages import sound_lines
from ..sonic_guard.operations.preflight import PlannedRun, preflight
from .comfyui import images, planning_inputs, shared_inputs
from .comfyui.languages import errors_in_users_language
from .comfyui.sonic_model import capabilities
from .web_api import run_history


class Preflight(shared_inputs.TargetCard):
    """From a portrait and a voice to what Sonic's nodes take."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs. New ones go to the end: saved workflows count positions."""
        return shared_inputs.schema(
            node_id="SonicGuardPreflight",
            display_name="Preflight (Sonic Guard)",
            category=shared_inputs.CATEGORY,
            description="Crops the image, trims the audio and chooses settings that fit the graphics card, for graphs "
            "with Sonic's own nodes. Sonic Talking Head does this by itself.",
            search_aliases=["out of memory", "OOM", "VRAM", "estimate", "显存", "爆显存"],
            inputs=[
                io.Image.Input("image", tooltip="The portrait. Of a batch, the first image is used."),
                io.Audio.Input("audio", tooltip="The speech, of any length."),
                *planning_inputs.schema_inputs(),
                shared_inputs.language(),
            ],
            outputs=[
                shared_inputs.PLAN.Output(
                    display_name="plan", tooltip="For Sonic Low VRAM and Sonic Talking Head: all they need to know."
                ),
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
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, target_card: Any = None, preset: str = "", **_: Any) -> str:
        """The card that is planned for; what the graph's nodes can do; the preset's file, which may be edited."""
        return f"{super().fingerprint_inputs(target_card)} {capabilities().text} {shared_inputs.preset_text(preset)}"

    @classmethod
    @errors_in_users_language
    def execute(cls, image: Any, audio: Any, language: str, **planning: Any) -> io.NodeOutput:
        """Find the face, measure the sound, plan, trim and crop."""
        language = shared_inputs.read_language(language)
        inputs = planning_inputs.PlanningInputs(**planning)
        sound = inputs.sound(audio)
        request = inputs.request(image, sound, capabilities())
        result = preflight(request)
        plan = result.plan
        if result.refused:
            raise SonicGuardError(refusal(plan), shown=refusal(plan, language))
        fitted = frame_grid.fit_to_frames(sound, result.lengths.latent_frames, plan.job.interpolate)
        picture = crop.crop(images.as_batch(image)[:1], result.selection.crop)
        risk = run_history.risk_text(plan.estimate, plan.budget, language)
        report = "\n".join([report_of(result, language), risk, *sound_lines(sound, language)])
        outputs = result.outputs(
            PlannedRun(request, result, picture, sound),
            picture,
            media_audio.to_dict(fitted.for_sonic),
            report,
            media_audio.to_dict(fitted.for_video),
        )
        return io.NodeOutput(*outputs, ui={"text": (report,)})
