"""ComfyUI's own nodes for sound and video, of 0.3.64 to 0.33.0: ``nodes_audio.py`` and ``nodes_video.py``."""

from collections.abc import Mapping

from ..context import Context, Outcome
from ..kind import Kind
from ..node_inputs import UNKNOWN, Film, Inputs, Voice
from .builders import SOUND, Samples, passes, sounding
from .file_loaders import named_file, sound_loader
from .sound_rules import joined, overlaid, shorter, trimmed


def trimmed_to(sound: Samples, start_index: float, duration: float) -> Samples:
    """TrimAudioDuration: a negative start counts from the end."""
    start = sound.of(start_index) + (sound.samples if start_index < 0 else 0)
    return trimmed(sound, start, sound.of(duration))


def load_video(inputs: Inputs, context: Context) -> Outcome:
    """LoadVideo. Of several audio tracks it takes another one than LoadAudio."""
    file = named_file(inputs, "file", context.machine.files)
    return Outcome((Film(UNKNOWN, Voice(file, track=context.machine.video_track)),))


def video_components(inputs: Inputs, context: Context) -> Outcome:
    """GetVideoComponents: the pictures, the sound, the frame rate."""
    film = inputs.of("video", Film) or Film(inputs.unknown("video"), inputs.unknown("video"))
    return Outcome((film.picture, film.voice, UNKNOWN, UNKNOWN, UNKNOWN))


def created_video(inputs: Inputs, context: Context) -> Outcome:
    """CreateVideo."""
    return Outcome((Film(inputs.value("images"), inputs.value("audio")),))


SOUNDS: Mapping[str, Kind] = {
    "LoadAudio": sound_loader("audio"),
    "RecordAudio": sound_loader("audio"),
    "EmptyAudio": sounding(
        lambda _, duration, sample_rate: Samples(round(duration * sample_rate), max(1, sample_rate)),
        audio="", duration=60.0, sample_rate=44_100,
    ),
    "TrimAudioDuration": sounding(trimmed_to, start_index=0.0, duration=60.0),
    "AudioConcat": sounding(joined, audio="audio1", audio2=SOUND),
    "AudioMerge": sounding(overlaid, audio="audio1", keeps=False, audio2=SOUND),
    "SplitAudioChannels": passes("audio", "audio"),
    "JoinAudioChannels": sounding(
        lambda left, audio_right: shorter(left, audio_right), audio="audio_left", keeps=False, audio_right=SOUND
    ),
    "AudioAdjustVolume": sounding(lambda sound: sound, keeps=False),
    "AudioEqualizer3Band": sounding(lambda sound: sound, keeps=False),
    **dict.fromkeys(("PreviewAudio", "SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveAudioAdvanced"),
                    passes("audio")),
    "LoadVideo": Kind(("file",), load_video),
    "CreateVideo": Kind(("images", "audio"), created_video),
    "GetVideoComponents": Kind(("video",), video_components),
}  # fmt: skip
