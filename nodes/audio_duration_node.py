"""Audio Duration: how long a sound is, and the sound trimmed to Sonic's frames."""

from typing import Any

from comfy_api.latest import io

from ..sonic_guard.media import audio as media_audio
from ..sonic_guard.media import frame_grid, silence
from ..sonic_guard.operations.audio_duration import AudioDurationRequest, audio_duration
from .comfyui import shared_inputs
from .comfyui.languages import errors_in_users_language


class AudioDuration(io.ComfyNode):
    """The true length of a sound."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="SonicGuardAudioDuration",
            display_name="Audio Duration (Sonic Guard)",
            category=shared_inputs.CATEGORY,
            description="Measures the exact length of an audio clip and trims it so that audio and video end together.",
            inputs=[
                io.Audio.Input("audio", tooltip="Audio of any length."),
                shared_inputs.cut_silence(),
                io.Boolean.Input(
                    "use_interframe",
                    default=True,
                    tooltip="Same value as on SONICTLoader: it decides where the video ends.",
                ),
            ],
            outputs=[
                io.Float.Output(display_name="duration", tooltip="For duration of SONIC_PreData."),
                io.Float.Output(display_name="seconds", tooltip="Length of the audio in seconds, to two decimals."),
                io.Int.Output(display_name="latent_frames", tooltip="Number of latent frames the network makes."),
                io.Audio.Output(display_name="audio", tooltip="For SONIC_PreData."),
                io.Audio.Output(
                    display_name="video_audio", tooltip="Audio track for the video: ends with the last frame."
                ),
                io.Float.Output(display_name="leading_silence", tooltip="Seconds of silence at the beginning."),
                io.Float.Output(display_name="trailing_silence", tooltip="Seconds of silence at the end."),
            ],
        )

    @classmethod
    @errors_in_users_language
    def execute(cls, audio: Any, cut_silence: bool, use_interframe: bool) -> io.NodeOutput:
        """Measure and trim."""
        sound = shared_inputs.read_sound(audio, cut_silence)
        result = audio_duration(AudioDurationRequest(sound.duration_s, use_interframe))
        quiet = silence.find_silence(media_audio.from_dict(audio))
        fitted = frame_grid.fit_to_frames(sound, result.latent_frames, bool(use_interframe))
        for_sonic, for_video = media_audio.to_dict(fitted.for_sonic), media_audio.to_dict(fitted.for_video)
        outputs = result.outputs(for_sonic, for_video, quiet.lead_s, quiet.tail_s)
        return io.NodeOutput(*outputs, ui={"text": (f"{result.seconds:.2f} s",)})
