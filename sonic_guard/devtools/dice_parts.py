"""Builds the parts of a DICE Talk run from its own classes, without pretrained weights: see `network_parts`."""

import gc
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ..job import Job
from ..relatives import ADAPTERS, Relative
from .network_parts import (
    TORCH_DTYPES,
    OnNetwork,
    build_test_data,
    image_encoder,
    model_of,
    picture,
    pipeline_of,
    run_config,
    token_net,
)
from .sonic_checkout import Checkout

EMOTION_WIDTH = 256
"""Numbers in the file of an emotion."""
WINDOW = ADAPTERS[Relative.DICE_TALK].window
FIRST_CHANNELS = 320
"""Of the UNet's outermost depth."""


def build_pipeline(checkout: Checkout, unet: nn.Module, scheduler: Any, channels: int = FIRST_CHANNELS) -> Any:
    """DICE Talk's pipeline around `unet`, whose first layer has so many `channels`, without its progress bar."""
    pose = checkout.modules["pose"].PoseGuider(
        conditioning_embedding_channels=channels, block_out_channels=(16, 32, 96, 256)
    )
    return pipeline_of(checkout, checkout.pipeline.DicePipeline, unet=unet, pose_guider=pose, scheduler=scheduler)


def build_model(checkout: Checkout, pipe: Any, rife: Any, device: torch.device, *, interpolate: bool) -> Any:
    """A `DICE_Talk` object as its loader leaves it, with the attributes that its constructor sets."""
    pipe.pose_guider.to(device)
    model = model_of(checkout.sonic.DICE_Talk, pipe, rife, device, interpolate=interpolate)
    model.weight_dtype = pipe.unet.dtype
    return model


def run_predata(
    checkout: Checkout,
    job: Job,
    device: torch.device,
    encode: Callable[[Tensor], Tensor],
    on_network: OnNetwork = lambda module, name: None,
) -> dict[str, Any]:
    """Do what `Dice_Talk_PreData` does on the GPU; returns the tensors for the sampler. `encode` as for Sonic."""
    from transformers import WhisperConfig, WhisperModel

    dtype, size = TORCH_DTYPES[job.dtype], job.frame_size
    whisper: Any = WhisperModel(WhisperConfig())
    whisper.to(device).eval()
    emotion = checkout.modules["emotion"].EmotionModel().to(device)
    audio = token_net(checkout, device)
    test_data = build_test_data(job, device)
    test_data["emo_feature"] = torch.zeros(1, 1, 1, 1, EMOTION_WIDTH, device=device)
    for name, module in (("whisper", whisper.encoder), ("emotion", emotion), ("audio", audio)):
        on_network(module, name)
    encode_image = image_encoder(device, on_network)
    encoder = SimpleNamespace(encode_image=lambda image: {"image_embeds": encode_image(image)})
    parts = checkout.sonic.dice_talk_predata(
        whisper, 2, emotion, False, test_data, encoder, audio, picture(device), device, dtype
    )
    keys = (
        *("pose_tensor_list", "ref_tensor_list", "audio_tensor_list", "uncond_audio_tensor_list"),
        *("emotion_tensor_list", "uncond_emotion_tensor_list", "image_embeds"),
    )
    data = dict(zip(keys, parts, strict=True))
    del whisper
    emotion.to("cpu")
    audio.to("cpu")
    gc.collect()
    latent = encode(torch.zeros(1, 3, size.height, size.width))
    return {**data, "test_data": test_data, "ref_img": test_data["ref_img"], "img_latent": latent.to(device, dtype)}


def run_sampler(
    sonic: Any, job: Job, data: Mapping[str, Any], vae: Any, steps: int = 2, window: int | None = None
) -> Tensor:
    """Call `DICE_Talk.process` as `Dice_Talk_Sampler` does; returns the frames [1, 3, frames, H, W] in host memory.

    `window` in place of the one in its configuration.
    """
    given = {**data, "config": sampler_config(window or WINDOW), "vae": vae}
    return sonic.process(given, fps=job.fps, inference_steps=steps, ref_scale=1.0, emo_scale=1.0, seed=1)


def sampler_config(window: int | None = WINDOW) -> SimpleNamespace:
    """The values of its `dice_talk.yaml` that `DICE_Talk.process` reads."""
    config = run_config()
    config.n_sample_frames, config.motion_bucket_id, config.motion_bucket_id_exp = window, 8, 16
    return config
