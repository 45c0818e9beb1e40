"""Audio Duration: how long a sound is, and the sound trimmed to Sonic's frames."""

from typing import Any

from comfy_api.latest import io

from ..sonic_guard.job import MIN_SOUND_S, latent_frames
from ..sonic_guard.media import audio as media_audio
from ..sonic_guard.media import frame_grid, silence
from .comfy import shared_inputs
from .comfy.link_values import flag


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
    def execute(cls, audio: Any, cut_silence: bool, use_interframe: bool) -> io.NodeOutput:
        """Measure and trim."""
        cuts, interpolates = flag("cut_silence", cut_silence), flag("use_interframe", use_interframe)
        sound = media_audio.from_dict(audio)
        quiet = silence.find_silence(sound)
        if cuts:
            sound = silence.cut_silence(sound)
        frames = latent_frames(max(MIN_SOUND_S, sound.duration_s))
        fitted = frame_grid.fit_to_frames(sound, frames, interpolates)
        seconds = round(sound.duration_s, 2)
        return io.NodeOutput(
            fitted.for_sonic.duration_s,
            seconds,
            frames,
            media_audio.to_dict(fitted.for_sonic),
            media_audio.to_dict(fitted.for_video),
            quiet.lead_s,
            quiet.tail_s,
            ui={"text": (f"{seconds:.2f} s",)},
        )
