"""Long videos made by the wrapper's own `Sonic`: how its nodes are called, and networks for it that return at once.

Nothing else is stood in for: the pipeline with its windows and steps, `process`, the decoding by groups, the low-VRAM
engine around them and the loop over parts are the real ones.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sonic_guard.devtools.network_parts import run_sampler
from sonic_guard.job import HOP_SAMPLES, HOPS_PER_LATENT, LATENT_FPS, Job, latent_frames
from sonic_guard.long_video.part_maker import Predata, Sample, make_part
from sonic_guard.long_video.rendering import LongVideo, run
from sonic_guard.long_video.video_request import VideoRequest
from sonic_guard.media.audio import Sound
from sonic_guard.media.video_writer import Encoding
from tests.support import small_sonic

RATE = 16_000
LATENT_SAMPLES = HOP_SAMPLES * HOPS_PER_LATENT
LONGEST = 150
"""Latent frames a part may have."""
QUICK_WINDOW = 5
TWO_PARTS = 160
"""Latent frames of a video in two parts."""


def voice(frames: int) -> Sound:
    """Sound for `frames` latent frames and a little more, no moment like another."""
    numbers = np.random.default_rng(7)
    loud = np.repeat(numbers.uniform(0.05, 0.4, frames + 1), LATENT_SAMPLES)[: frames * LATENT_SAMPLES + 500]
    return Sound((loud * numbers.uniform(-1, 1, len(loud))).astype(np.float32)[None], RATE)


def order(frames: int, *, window: int = QUICK_WINDOW, kind: str = "ffv1", **more: Any) -> VideoRequest:
    """A video of `frames` latent frames, made in one step; `more` are fields of the job, `settings` and `longest`.

    H.264 is written with the preset that gives the same bits every time (see `numbered_frames`).
    """
    longest = more.pop("longest", LONGEST)
    settings, steps = more.pop("settings", {}), more.pop("steps", 1)
    job = Job(
        *(small_sonic.SIDE, small_sonic.SIDE, frames / LATENT_FPS),
        min_resolution=small_sonic.SIDE,
        fps=float(window),
        steps=steps,
        **more,
    )
    picture = np.zeros((small_sonic.SIDE, small_sonic.SIDE, 3), np.uint8)
    return VideoRequest(job, picture, voice(frames), "films", settings, Encoding(kind, preset="ultrafast"), longest)


def predata(dtype: torch.dtype = torch.float32) -> Predata:
    """SONIC_PreData, whose prompts are as loud as the sound is."""

    def predict(sound: Sound) -> dict[str, Any]:
        frames = latent_frames(sound.duration_s)
        data = small_sonic.data(dtype, frames)
        parts = sound.waveform[0, : frames * LATENT_SAMPLES].reshape(frames, -1)
        loud = np.abs(parts).mean(axis=1)
        data["audio_tensor_list"] = [data["audio_tensor_list"][0] * float(each) for each in loud]
        data["motion_buckets"] = [data["motion_buckets"][0]] * frames
        return data

    return predict


def sample(vae: Any, window: int = QUICK_WINDOW, steps: int = 1) -> Sample:
    """SONICSampler."""
    settings: Any = SimpleNamespace(fps=float(window))
    return lambda model, data: run_sampler(model, settings, data, vae, steps)


def quick(interpolate: bool = True, dtype: torch.dtype = torch.float32) -> tuple[Any, "QuickVae"]:
    """The wrapper's `Sonic` and a VAE, the networks of which return at once."""
    sonic = small_sonic.build(dtype, interpolate=interpolate)
    sonic.pipe.unet.forward = _denoise
    sonic.pipe.unet.__class__ = _named_by_one(type(sonic.pipe.unet))
    if interpolate:
        sonic.rife = SimpleNamespace(inference=lambda left, right: (left + right) / 2)
    return sonic, QuickVae()


def _named_by_one(kind: Any) -> Any:
    """The same network, which names the number format and the device of its first layer for its own.

    Diffusers iterates over the thousand layers of this network for them, at every call: half the time of such a video.
    """

    class Network(kind):
        dtype = property(lambda self: self.conv_in.weight.dtype)
        device = property(lambda self: self.conv_in.weight.device)

    Network.__name__, Network.__module__ = kind.__name__, kind.__module__
    return Network


def make(
    sonic: Any, vae: Any, asked: VideoRequest, target: Path, work: Path, optimizations: Any, **more: Any
) -> LongVideo:
    """The video `asked` for, by quick networks; `more` is what `run` takes, and `look` what `make_part` does."""
    seen = {"on_frames": more.pop("look")} if "look" in more else {}
    parts = make_part(sonic, optimizations, predata(), sample(vae, steps=asked.job.steps), **seen)
    return run(asked, parts, target, work, **more)


class QuickVae:
    """Latents as pictures."""

    device = small_sonic.CPU

    def decode(self, latents: Tensor) -> Tensor:
        """[n, 4, h, w] → [n, H, W, 3], fp32 in 0 … 1; a call's frames see each other, as a video decoder's do."""
        latents = latents + 0.1 * latents.mean(0)
        pictures = 0.5 + 0.4 * torch.sin(latents[:, :3] / 8)  # bounded, so that no frame is black
        return pictures.repeat_interleave(8, 2).repeat_interleave(8, 3).movedim(1, -1)


def _denoise(
    sample: Tensor, _timestep: Any, *, encoder_hidden_states: tuple[Tensor, list[Tensor]], **_: Any
) -> tuple[Tensor]:
    """A picture of how loud each frame is."""
    prompts = encoder_hidden_states[1][0].abs().mean(dim=(1, 2))
    return (0.5 * sample[:, :, :4] - prompts.view(*sample.shape[:2], 1, 1, 1),)
