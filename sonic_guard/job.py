"""The `Job`: the settings of a run, and the frame size, frame counts and durations that follow from them.

Terms
-----
latent frame
    One frame of the video that the network denoises. Sonic makes 12.5 of them per second of sound
    (two whisper hops of 640 samples at 16 kHz each).
window
    The number of latent frames that go through the network together: ``int(fps)``.
output frame
    A picture of the finished clip: ``2N - 1`` with frame interpolation, ``N`` without, for N latent frames.
optimization
    A change of the order of the arithmetic, or of where tensors are stored, that needs less memory: see
    `optimizations`.

Every rule here is that of the wrapper (``ComfyUI_Sonic`` 8556234); the tests compare it with the wrapper's code.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from .errors import JobError, brief
from .optimizations import Optimization
from .relatives import ADAPTERS, Relative

SAMPLE_RATE = 16_000
"""Sample rate in Hz of Sonic's input: the sound is resampled to it first."""
HOP_SAMPLES = 640
"""Samples at 16 kHz in one audio feature frame (40 ms)."""
HOPS_PER_LATENT = 2
"""Audio feature frames in one latent frame."""
LATENT_FPS = SAMPLE_RATE / HOP_SAMPLES / HOPS_PER_LATENT
"""Latent frames per second of sound: 12.5."""
MIN_LATENT_FRAMES = 6
"""With fewer, `SONIC_PreData` fails: it slices 50 audio features per frame, and there are too few."""
MIN_SOUND_S = MIN_LATENT_FRAMES / LATENT_FPS
"""Shortest sound that the wrapper accepts: 0.48 s."""
SIZE_STEP = 64
"""Frame sides are multiples of this many pixels."""
MIN_CHUNK_SIZE = 1 << 22
"""Smallest chunk size: activations (frames · positions · channels) that a layer takes at a time with layer chunking."""
MAX_DURATION_S = 100 * 3600.0
"""Longest sound accepted; a longer one indicates a broken input."""


class Dtype(StrEnum):
    """Number format of the network's weights and activations, with the names of the loader's `dtype` input."""

    FP16 = "fp16"
    BF16 = "bf16"
    FP32 = "fp32"

    @property
    def size(self) -> int:
        """Bytes of one number."""
        return 4 if self is Dtype.FP32 else 2


@dataclass(frozen=True)
class FrameSize:
    """Width and height in pixels of Sonic's frames, both multiples of 64."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}×{self.height}"


@dataclass(frozen=True)
class Job:
    """The settings of one Sonic run, as the wrapper's three nodes take them.

    Raises `JobError` for impossible values. The quantities that follow from the settings (frame size, number of frames,
    durations) are properties.
    """

    width: int
    """Width in pixels of Sonic's input picture (after cropping)."""
    height: int
    """Height in pixels of that picture."""
    duration_s: float
    """Seconds of sound that are used: min(duration setting, length of the sound)."""
    min_resolution: int = 512
    """Pixels to which the shorter side is scaled, before both are rounded to multiples of 64."""
    fps: float = 25.0
    """The sampler's `fps`. It sets the window, not the actual frame rate."""
    dtype: Dtype = Dtype.FP16
    steps: int = 25
    """Denoising steps. They affect the time, not the memory."""
    dynamic_scale: float = 1.0
    """Strength of the motion; no influence on memory."""
    expand_ratio: float = 0.2
    """Margin around the face, as a share of the face box's sides; no influence on memory."""
    interpolate: bool = True
    """The loader's `use_interframe`: doubles the frame rate with RIFE."""
    optimizations: frozenset[Optimization] = frozenset()
    """The enabled memory optimizations."""
    chunk_size: int = MIN_CHUNK_SIZE
    """Activations that a layer takes at a time with `LAYER_CHUNKING`: more are faster and need more memory."""
    vae_dtype: Dtype = Dtype.BF16
    """Number format that ComfyUI chooses for the VAE on this card: bf16, or fp32 if the card does not support bf16."""
    to_file: bool = False
    """Whether Sonic Talking Head runs it: frames are written to a file, and audio prompts are kept in host memory."""
    relative: Relative = Relative.SONIC
    """Whose nodes run it."""

    def __post_init__(self) -> None:
        _check_whole("width", self.width, 1, 1 << 17)
        _check_whole("height", self.height, 1, 1 << 17)
        _check_whole("min_resolution", self.min_resolution, 64, 8192)
        _check_whole("steps", self.steps, 1, 100_000)
        _check_whole("chunk_size", self.chunk_size, 1, 1 << 40)
        _check_number("duration", self.duration_s, 0.0, MAX_DURATION_S)
        _check_number("fps", self.fps, 1.0, 1000.0)
        _check_number("dynamic_scale", self.dynamic_scale, 0.0, 100.0)
        _check_number("expand_ratio", self.expand_ratio, 0.0, 10.0)
        if latent_frames(self.duration_s) < 1:
            raise JobError(
                f"duration: {self.duration_s:g} s of sound is too short for a single frame; "
                f"Sonic needs at least {1 / LATENT_FPS:g} s. Use a longer sound or a larger duration."
            )
        size = self.frame_size
        if size.width < SIZE_STEP or size.height < SIZE_STEP:
            raise JobError(f"min_resolution: {self.min_resolution} makes frames of {size}; use 128 or more.")

    @cached_property
    def frame_size(self) -> FrameSize:
        """Frame size after Sonic's rounding: each side × scale, to the nearest multiple of 64."""
        return frame_size(self.width, self.height, self.min_resolution)

    @cached_property
    def latent_frames(self) -> int:
        """Number N of latent frames: those of the sound, and what a relative makes beyond them."""
        return self.sound_frames + ADAPTERS[self.relative].padding

    @cached_property
    def sound_frames(self) -> int:
        """Number of latent frames that the sound has prompts for."""
        return latent_frames(self.duration_s)

    @property
    def window(self) -> int:
        """Number F of latent frames in one pass of the network. A shorter clip also takes a full window."""
        return ADAPTERS[self.relative].window_of(self.fps)

    @property
    def windows(self) -> int:
        """Passes of the network in one denoising step."""
        return -(-self.latent_frames // self.window)

    @property
    def output_frames(self) -> int:
        """Pictures in the finished clip."""
        return 2 * self.latent_frames - 1 if self.interpolate else self.latent_frames

    @property
    def output_fps(self) -> float:
        """Frames per second at which the clip is in sync with the sound, independent of `fps`."""
        return 2 * LATENT_FPS if self.interpolate else LATENT_FPS

    @property
    def output_s(self) -> float:
        """Exact duration of the finished clip in seconds at `output_fps`."""
        return self.output_frames / self.output_fps


def frame_size(width: int, height: int, min_resolution: int) -> FrameSize:
    """Size of Sonic's frames for a picture of `width` × `height` pixels.

    The expression keeps the wrapper's order of operations and Python's rounding of halves to even, because both affect
    the result for some sizes. Source: ``ComfyUI_Sonic`` 8556234.
    """
    scale = min_resolution / min(width, height)
    return FrameSize(
        round(width * scale / SIZE_STEP) * SIZE_STEP,
        round(height * scale / SIZE_STEP) * SIZE_STEP,
    )


def latent_frames(duration_s: float) -> int:
    """Number of latent frames that Sonic makes from `duration_s` seconds of sound."""
    # A duration such as 3.04 s gives 48639.999… samples in floating point; 48640 are meant.
    samples = math.floor(duration_s * SAMPLE_RATE + 1e-6)
    return samples // HOP_SAMPLES // HOPS_PER_LATENT


def duration_of(frames: int) -> float:
    """Seconds of sound for `frames` latent frames, plus a quarter of one, so that rounding cannot lose a frame."""
    return (frames + 0.25) / LATENT_FPS


def _check_whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise JobError(f"{name}: expected a whole number, got {brief(value)}.")
    if not low <= value <= high:
        raise JobError(f"{name}: {brief(value)} is outside {low} … {high}.")


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise JobError(f"{name}: expected a number, got {brief(value)}.")
    if not low <= value <= high:  # also rejects NaN; works for integers too large for a float
        raise JobError(f"{name}: {brief(value)} is outside {low:g} … {high:g}.")
