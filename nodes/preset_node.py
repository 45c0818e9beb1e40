"""Preset: requested settings by name."""

from typing import Any

from comfy_api.latest import io

from ..sonic_guard.media import audio as sound
from .comfy import shared_inputs


class PresetNode(io.ComfyNode):
    """A preset's settings, one output each."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="SonicGuardPreset",
            display_name="Preset (Sonic Guard)",
            category=shared_inputs.CATEGORY,
            description="The settings of a preset, unchanged. Preflight also changes them until they fit.",
            inputs=[
                shared_inputs.preset(),
                io.Audio.Input("audio", optional=True, tooltip="For a preset whose duration is auto."),
            ],
            outputs=[
                io.Int.Output(display_name="min_resolution", tooltip="For SONIC_PreData."),
                io.Float.Output(
                    display_name="duration",
                    tooltip="Length of the audio; 10 s for auto without audio.",
                ),
                io.Int.Output(display_name="inference_steps", tooltip="For SONICSampler."),
                io.Float.Output(display_name="dynamic_scale", tooltip="For SONICSampler: strength of motion."),
                io.Float.Output(display_name="fps", tooltip="For SONICSampler: sets the window length."),
                io.AnyType.Output(display_name="dtype", tooltip="For SONICTLoader."),
                io.Boolean.Output(display_name="use_interframe", tooltip="For SONICTLoader."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, preset: str = "", **_: Any) -> str:
        """What the preset's file says, so that an edited one is read again."""
        return shared_inputs.preset_text(preset)

    @classmethod
    def execute(cls, preset: str, audio: Any = None) -> io.NodeOutput:
        """Read the preset."""
        requested = shared_inputs.read_preset(preset)
        length = None if audio is None else sound.duration_of(audio)
        requested_s = length if requested.duration == "auto" else requested.duration
        duration = 10.0 if requested_s is None else requested_s
        return io.NodeOutput(
            requested.min_resolution,
            duration if length is None else min(duration, length),
            requested.inference_steps,
            requested.dynamic_scale,
            requested.fps,
            str(requested.dtype),
            requested.use_interframe,
        )
