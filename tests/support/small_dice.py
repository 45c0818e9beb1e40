"""DICE Talk's own model with few channels, random weights and random inputs, small enough for a CPU."""

from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from sonic_guard.devtools.dice_parts import build_model, build_pipeline, run_sampler
from sonic_guard.devtools.sonic_checkout import Checkout, open_checkout
from tests.support import installed
from tests.support.small_sonic import CHANNELS, CPU, build_network
from tests.support.small_sonic import data as sonic_data

FRAMES = 3
"""Of the sound. With those beyond it, more than the VAE takes at a time, and no multiple of the window."""
MADE = FRAMES + 25
PASSES = 2
"""Passes of the network a step takes."""


@cache
def checkout() -> Checkout:
    return open_checkout(installed.dice_talk())


def build(dtype: torch.dtype = torch.float32, *, interpolate: bool = True) -> Any:
    """A `DICE_Talk` object as its loader leaves it; always the same weights."""
    unet, scheduler = build_network(checkout(), dtype)
    pipe = build_pipeline(checkout(), unet, scheduler, CHANNELS)
    torch.nn.init.normal_(pipe.pose_guider.conv_out.weight, std=0.5)  # it begins with zeros
    return build_model(checkout(), pipe, checkout().rife.RIFEModel(device=CPU), CPU, interpolate=interpolate)


def data(dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """What `Dice_Talk_PreData` hands to the sampler, with random numbers in it; always the same."""
    made = sonic_data(dtype, FRAMES)
    generator = torch.Generator().manual_seed(6)
    emotions = [torch.randn(32, 1024, generator=generator) for _ in range(2)]
    return {
        "test_data": made["test_data"],
        "ref_img": made["test_data"]["ref_img"],
        "pose_tensor_list": [made["test_data"]["face_mask"][0] for _ in range(FRAMES)],
        "audio_tensor_list": made["audio_tensor_list"],
        "uncond_audio_tensor_list": made["uncond_audio_tensor_list"],
        "emotion_tensor_list": [emotions[0].clone() for _ in range(FRAMES)],
        "uncond_emotion_tensor_list": [emotions[1].clone() for _ in range(FRAMES)],
        "image_embeds": made["image_embeddings"],
        "img_latent": made["img_latent"],
    }


def run(model: Any, vae: Any, steps: int = 1, given: dict[str, Any] | None = None) -> Tensor:
    """What `Dice_Talk_Sampler` calls, with fresh inputs unless some are `given`."""
    job: Any = SimpleNamespace(fps=12.0)
    return run_sampler(model, job, data(model.pipe.unet.dtype) if given is None else given, vae, steps)
