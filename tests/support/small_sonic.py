"""The wrapper's own Sonic with few channels, random weights and random inputs, small enough for a CPU."""

from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from sonic_guard.devtools.network_parts import (
    build_model,
    build_pipeline,
    build_test_data,
    build_unet,
    read_config,
    run_sampler,
)
from sonic_guard.devtools.sonic_checkout import Checkout, open_checkout
from sonic_guard.job import Job, duration_of
from tests.support import installed

CPU = torch.device("cpu")
SIDE, WINDOW = 64, 6
CHANNELS = 32
"""Of the UNet's outermost depth."""
FRAMES = 15
"""More than the VAE takes at a time, and no multiple of the window."""
PASSES = 3
"""Passes of the network a step takes."""


@cache
def checkout() -> Checkout:
    return open_checkout(installed.sonic())


def build(dtype: torch.dtype = torch.float32, *, interpolate: bool = True) -> Any:
    """A `Sonic` object as the wrapper's loader leaves it; always the same weights."""
    unet, scheduler = build_network(checkout(), dtype)
    pipe = build_pipeline(checkout(), unet, scheduler)
    return build_model(checkout(), pipe, checkout().rife.RIFEModel(device=CPU), CPU, interpolate=interpolate)


def build_network(checkout: Checkout, dtype: torch.dtype) -> tuple[torch.nn.Module, Any]:
    """The UNet of a checkout with few channels and always the same weights, and its scheduler."""
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    torch.manual_seed(0)
    few = {"block_out_channels": [CHANNELS, 64, 64, 64], "num_attention_heads": [2, 4, 4, 4], "layers_per_block": 1}
    unet = build_unet(checkout, torch.float32, CPU, checkout.unet_config | few)
    for name, parameter in unet.named_parameters():
        if parameter.dim() == 1 and ("norm" in name or "mix_factor" in name):
            torch.nn.init.normal_(parameter, std=0.5)  # they begin all alike
    scheduler = EulerDiscreteScheduler.from_config(read_config(checkout, "scheduler/scheduler_config.json"))
    return unet.to(dtype), scheduler


class Vae:
    """SVD's VAE with few channels, with ComfyUI's interface. It is a video decoder: a call's frames see each other."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder

        torch.manual_seed(3)
        few = {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 1}
        network: Any = AutoencoderKLTemporalDecoder.from_config(read_config(checkout(), "vae/config.json") | few)
        self.first_stage_model = network.to(dtype).eval()
        self.device = CPU
        self.calls: list[int] = []
        """Frames of each call."""

    def decode(self, latents: Tensor) -> Tensor:
        """[n, 4, h, w] → [n, H, W, 3], fp32 in 0 … 1."""
        self.calls.append(latents.shape[0])
        latents = latents.to(self.first_stage_model.dtype)
        frames = self.first_stage_model.decode(latents, num_frames=latents.shape[0]).sample
        return frames.float().add(1).div(2).clamp(0, 1).movedim(1, -1)


def data(dtype: torch.dtype = torch.float32, frames: int = FRAMES) -> dict[str, Any]:
    """What `SONIC_PreData` hands to the sampler, with random numbers in it; always the same."""
    generator = torch.Generator().manual_seed(5)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    job = Job(SIDE, SIDE, duration_of(frames), min_resolution=SIDE)
    pictures = {"ref_img": random(1, 3, SIDE, SIDE), "face_mask": random(1, 3, SIDE, SIDE).sigmoid()}
    silence = random(32, 1024)
    return {
        "test_data": build_test_data(job, CPU) | pictures,
        "audio_tensor_list": [random(32, 1024) for _ in range(frames)],
        "uncond_audio_tensor_list": [silence.clone() for _ in range(frames)],
        "motion_buckets": [16 + 16 * random(2, 1).sigmoid() for _ in range(frames)],
        "image_embeddings": random(1, 1024).to(dtype),
        "img_latent": random(1, 4, SIDE // 8, SIDE // 8).to(dtype),
    }


def run(model: Any, vae: Any, steps: int = 2, frames: int = FRAMES) -> Tensor:
    """What `SONICSampler` calls, with fresh inputs."""
    job: Any = SimpleNamespace(fps=float(WINDOW))
    return run_sampler(model, job, data(model.pipe.unet.dtype, frames), vae, steps)
