"""Audio Duration: how many frames a sound makes, and the lengths it is trimmed to."""

from dataclasses import dataclass
from typing import Any

from ..job import MIN_SOUND_S, latent_frames
from ..media.frame_grid import FittedLengths, fitted_lengths
from .input_values import flag


@dataclass(frozen=True)
class AudioDurationRequest:
    """A sound to measure."""

    sound_s: float
    """Its length in seconds, without the silence at its ends where that is cut."""
    use_interframe: bool = True
    """Whether the video is interpolated: that decides where it ends."""

    def __post_init__(self) -> None:
        flag("use_interframe", self.use_interframe)


@dataclass(frozen=True)
class AudioDuration:
    """A sound's length, and the lengths to trim it to."""

    seconds: float
    """Length of the sound to two decimals."""
    latent_frames: int
    """Frames that the network makes of it."""
    lengths: FittedLengths
    """Seconds of the sound for Sonic, and for the video."""

    def outputs(self, audio: Any, video_audio: Any, leading_s: Any, trailing_s: Any) -> tuple[Any, ...]:
        """The node's outputs in their order, given the trimmed sounds and the seconds of silence at both ends."""
        duration_s = self.lengths.for_sonic_s
        return duration_s, self.seconds, self.latent_frames, audio, video_audio, leading_s, trailing_s


def audio_duration(request: AudioDurationRequest) -> AudioDuration:
    """Measure a sound. One shorter than the wrapper can take counts as that long: it is filled up with silence."""
    frames = latent_frames(max(MIN_SOUND_S, request.sound_s))
    return AudioDuration(round(request.sound_s, 2), frames, fitted_lengths(frames, bool(request.use_interframe)))
