"""The nouns of a run: a `Job` and the arithmetic that follows from its settings.

Terms
-----
latent frame
    One frame of the video the network denoises. Sonic makes 12.5 of them for a second of sound
    (two whisper hops of 640 samples at 16 kHz each).
window
    The number of latent frames that go through the network together: ``int(fps)``.
output frame
    A picture of the finished clip: ``2N - 1`` with frame interpolation, ``N`` without.
lever
    A change of the order of the arithmetic that needs less memory for the same frames.

Every rule here is the wrapper's own (``ComfyUI_Sonic`` 8556234); the tests hold it against that code.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from .errors import JobError, brief
from .optimizations import Optimization

SAMPLE_RATE = 16_000
"""Rate in Hz at which Sonic hears: the sound is resampled to it before anything else."""
HOP_SAMPLES = 640
"""Samples at 16 kHz in one audio feature frame (40 ms)."""
HOPS_PER_LATENT = 2
"""Audio feature frames in one latent frame."""
LATENT_FPS = SAMPLE_RATE / HOP_SAMPLES / HOPS_PER_LATENT
"""Latent frames a second of sound: 12.5."""
MIN_LATENT_FRAMES = 6
"""Fewer make the wrapper stop in `SONIC_PreData`: it cuts 50 audio features a frame from too few."""
MIN_SOUND_S = MIN_LATENT_FRAMES / LATENT_FPS
"""Shortest sound the wrapper takes: 0.48 s."""
SIZE_STEP = 64
"""Frame sides are multiples of this many pixels."""
MIN_CHUNK_SIZE = 1 << 22
"""Activations (frames · positions · channels) that go through a layer together in block-wise order, at the least."""
MAX_DURATION_S = 100 * 3600.0
"""Longest sound accepted; beyond it the input is surely broken."""


class Dtype(StrEnum):
    """Number format of the network's weights and activations, as the loader's `dtype` input names it."""

    FP16 = "fp16"
    BF16 = "bf16"
    FP32 = "fp32"

    @property
    def size(self) -> int:
        """Bytes of one number."""
        return 4 if self is Dtype.FP32 else 2


@dataclass(frozen=True)
class FrameSize:
    """Width and height in pixels of the frames Sonic makes, both multiples of 64."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}×{self.height}"


@dataclass(frozen=True)
class Job:
    """The settings of one Sonic run, as the wrapper's three nodes take them.

    Raises `JobError` for values no run can have. What the settings lead to (frame size, frames,
    seconds) are its properties, computed once.
    """

    width: int
    """Width in pixels of the picture handed to Sonic (after cropping)."""
    height: int
    """Height in pixels of that picture."""
    duration_s: float
    """Seconds of sound Sonic will hear: min(duration setting, length of the sound)."""
    min_resolution: int = 512
    """What the shorter side is scaled to before both are rounded to multiples of 64."""
    fps: float = 25.0
    """The sampler's `fps`. It sets the window, not the true frame rate."""
    dtype: Dtype = Dtype.FP16
    steps: int = 25
    """Denoising steps. They cost time, not memory."""
    dynamic_scale: float = 1.0
    """Strength of motion; no influence on memory."""
    expand_ratio: float = 0.2
    """Margin around the face, as a part of the face box's sides; no influence on memory."""
    interpolate: bool = True
    """The loader's `use_interframe`: doubles the frame rate with RIFE."""
    optimizations: frozenset[Optimization] = frozenset()
    """Which orders of arithmetic differ from the stock wrapper."""
    chunk_size: int = MIN_CHUNK_SIZE
    """Activations that go through a layer together with `Optimization.LAYER_CHUNKING`: more keep a card busier and take more."""
    vae_dtype: Dtype = Dtype.BF16
    """Number format ComfyUI picks for the VAE on this card: bf16, or fp32 where the card has no bf16."""
    to_file: bool = False
    """Whether Sonic Long Video runs it: frames go to a file, and the sound's prompts to host memory, when made."""

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
        if self.latent_frames < 1:
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
        """Number N of latent frames."""
        return latent_frames(self.duration_s)

    @property
    def window(self) -> int:
        """Number F of latent frames in one pass of the network. A shorter clip pays a full window too."""
        return int(self.fps)

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
        """The rate at which the clip is in step with the sound, whatever `fps` says."""
        return 2 * LATENT_FPS if self.interpolate else LATENT_FPS

    @property
    def output_s(self) -> float:
        """Exact length of the finished clip in seconds at `output_fps`."""
        return self.output_frames / self.output_fps


def frame_size(width: int, height: int, min_resolution: int) -> FrameSize:
    """Size of Sonic's frames for a picture of `width` × `height` pixels.

    The expression keeps the wrapper's order of operations and Python's rounding of halves to even,
    because either one changes the result for some sizes.
    """
    scale = min_resolution / min(width, height)
    return FrameSize(
        round(width * scale / SIZE_STEP) * SIZE_STEP,
        round(height * scale / SIZE_STEP) * SIZE_STEP,
    )


def latent_frames(duration_s: float) -> int:
    """Number of latent frames Sonic makes from `duration_s` seconds of sound."""
    # A duration such as 3.04 s is 48639.999… samples in binary; it stands for 48640.
    samples = math.floor(duration_s * SAMPLE_RATE + 1e-6)
    return samples // HOP_SAMPLES // HOPS_PER_LATENT


def duration_of(frames: int) -> float:
    """Seconds of sound that make `frames` latent frames, and a quarter of one more: no rounding can lose one."""
    return (frames + 0.25) / LATENT_FPS


def _check_whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise JobError(f"{name}: expected a whole number, got {brief(value)}.")
    if not low <= value <= high:
        raise JobError(f"{name}: {brief(value)} is outside {low} … {high}.")


def _check_number(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise JobError(f"{name}: expected a number, got {brief(value)}.")
    if not low <= value <= high:  # no comparison is true of NaN; a whole number may be too large for any float
        raise JobError(f"{name}: {brief(value)} is outside {low:g} … {high:g}.")
