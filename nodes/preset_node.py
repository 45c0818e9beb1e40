"""Preset: the settings of a preset, one output each."""

from dataclasses import astuple
from typing import Any

from comfy_api.latest import io

from ..sonic_guard.media import audio as media_audio
from ..sonic_guard.operations.preset_values import PresetRequest, preset_values
from .comfyui import shared_inputs
from .comfyui.languages import errors_in_users_language


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
        """The content of the preset's file, so that an edited one is read again."""
        return shared_inputs.preset_text(preset)

    @classmethod
    @errors_in_users_language
    def execute(cls, preset: str, audio: Any = None) -> io.NodeOutput:
        """Read the preset."""
        sound_s = None if audio is None else media_audio.duration_of(audio)
        return io.NodeOutput(*astuple(preset_values(PresetRequest(shared_inputs.read_preset(preset), sound_s))))
