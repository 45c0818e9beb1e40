"""A fast stand-in for Sonic: it reads from the sound which latent frame of the whole it has to make, and draws that.

The sound is a slow ramp, so that 0.08 s of it give their position. A frame is a waving ground with the number of its
moment in dark and bright fields: whoever sees the finished video can read off which frame was made where. Both parts
at a seam draw the same, so a seam that works is invisible.
"""

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from sonic_guard.job import LATENT_FPS, Job
from sonic_guard.long_video.rendering import Emit, OnProgress, Task
from sonic_guard.long_video.video_request import VideoRequest
from sonic_guard.media.audio import Sound
from sonic_guard.media.audio_file import load
from sonic_guard.media.video_file import frames
from sonic_guard.media.video_writer import Encoding

RATE = 16_000
SIDE = 64
FIELDS = 16
"""Fields that show a number, in binary."""
LATENT_SAMPLES = 1280
RAMP_FRAMES = 4000
"""Latent frames over which the ramp goes from 0 to 1."""
LONGEST = 150
"""Latent frames a part of `order` may have."""


def order(latent_frames: int, interpolate: bool = True, kind: str = "ffv1", **more: object) -> VideoRequest:
    """A job of the stand-in with windows of 5 frames; `more` are fields of the order.

    H.264 is written with the preset ultrafast, to be the same to the bit every time: slower ones look ahead ("mbtree"),
    and x264 does not keep that promise then for frames whose width is no multiple of 128.
    """
    job = Job(SIDE, SIDE, latent_frames / LATENT_FPS, min_resolution=SIDE, fps=5.0, interpolate=interpolate)
    ramp = (np.arange(latent_frames * LATENT_SAMPLES) / (RAMP_FRAMES * LATENT_SAMPLES)).astype(np.float32)
    fields = {"picture": np.zeros((SIDE, SIDE, 3), np.uint8), "weights": "stand-in", "longest": LONGEST}
    encoding = Encoding(kind, preset="ultrafast")
    return VideoRequest(job, sound=Sound(ramp[None], RATE), encoding=encoding, **{**fields, **more})  # pyright: ignore[reportArgumentType]


@lru_cache(4096)
def draw(moment: int) -> np.ndarray:
    """The frame of `moment`, counted in output frames of the whole: uint8 [SIDE, SIDE, 3], read-only."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    ground = 120 + 60 * np.sin(5 * x + moment / 9) * np.cos(4 * y - moment / 7)
    bits = (moment >> np.arange(FIELDS)) & 1
    ground[-8:] = np.repeat(np.where(bits, 220, 30), SIDE // FIELDS)
    frame = np.repeat(ground[..., None], 3, axis=2).astype(np.uint8)
    frame.flags.writeable = False
    return frame


def read(picture: np.ndarray) -> int:
    """The moment a frame shows."""
    fields = picture[-6:-2].mean(axis=(0, 2)).reshape(FIELDS, -1).mean(axis=1)
    return int(((fields > 125) << np.arange(FIELDS)).sum())


def frame_numbers(sound: Sound, latent_frames: int) -> list[int | None]:
    """Which latent frame of the whole each 0.08 s of `sound` belongs to; None where it is silent."""
    chunks = sound.waveform[0, : latent_frames * LATENT_SAMPLES].reshape(latent_frames, -1)
    numbers = chunks.astype(np.float64).mean(axis=1) * RAMP_FRAMES - 0.5
    return [None if not chunk[64:].any() else round(number) for chunk, number in zip(chunks, numbers, strict=True)]


def make_part(task: Task, emit: Emit, tick: OnProgress, interpolate: bool = True, steps: int = 4) -> None:
    """What Sonic would do: steps first, then the frames, 14 at a time."""
    for step in range(steps):
        tick((step + 1) / (steps + 1))
    known = [number for number in frame_numbers(task.sound, task.part.latent_frames) if number is not None]
    first, rate = known[0], 2 if interpolate else 1
    moments = range(rate * first, rate * first + task.part.made)
    for start in range(0, len(moments), 14):
        emit(np.stack([draw(moment) for moment in moments[start : start + 14]]))


def digest(video: Path) -> str:
    """Of every decoded frame and all sound of a video."""
    whole = hashlib.sha256()
    for picture in frames(video):
        whole.update(picture.tobytes())
    whole.update(load(video).waveform.tobytes())
    return whole.hexdigest()
