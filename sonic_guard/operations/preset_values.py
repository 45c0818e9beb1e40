"""Preset: the settings of a preset, with the duration filled in."""

from dataclasses import dataclass

from ..planning.presets import Preset

DEFAULT_DURATION_S = 10.0
"""For a preset with the duration "auto" and no sound: the default of SONIC_PreData."""


@dataclass(frozen=True)
class PresetRequest:
    """A preset, and the sound it is for."""

    preset: Preset
    sound_s: float | None = None
    """Length of the sound in seconds; None where there is none, or where it is not known."""


@dataclass(frozen=True)
class PresetValues:
    """The settings for Sonic's nodes."""

    min_resolution: int
    duration: float
    inference_steps: int
    dynamic_scale: float
    fps: float
    dtype: str
    use_interframe: bool


def preset_values(request: PresetRequest) -> PresetValues:
    """The settings of a preset. The duration is never longer than the sound."""
    preset, sound_s = request.preset, request.sound_s
    if preset.duration == "auto":
        duration_s = DEFAULT_DURATION_S if sound_s is None else sound_s
    else:
        duration_s = preset.duration if sound_s is None else min(preset.duration, sound_s)
    return PresetValues(
        preset.min_resolution,
        duration_s,
        preset.inference_steps,
        preset.dynamic_scale,
        preset.fps,
        str(preset.dtype),
        preset.use_interframe,
    )
