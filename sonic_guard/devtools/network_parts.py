"""Builds the parts of a Sonic run from the wrapper's own classes, without pretrained weights, on any device.

Shape tracing builds them on the fake GPU, `measure` on a real one.
"""

import gc
import json
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ..job import HOPS_PER_LATENT, Job
from ..relatives import ADAPTERS
from .sonic_checkout import Checkout

TORCH_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
MEL_BINS, MEL_WINDOW = 80, 3000
"""Shape of whisper's input for 30 s of sound."""
MEL_WINDOW_HOPS = 750
"""Audio feature frames in those 30 s."""
PROMPT_TOKENS, PROMPT_WIDTH = 32, 1024
"""Shape of the audio prompt of one latent frame."""
VAE_SCALE = 8
"""Pixels per side that one latent position covers."""

OnNetwork = Callable[[nn.Module, str], None]
"""Receives a network and its name before the network runs."""


def build_unet(
    checkout: Checkout, dtype: torch.dtype, device: torch.device, config: Mapping[str, Any] | None = None
) -> nn.Module:
    """The UNet with its adapters for prompts, as built by the node pack's loader, with random weights."""
    sets = ADAPTERS[checkout.relative].prompt_sets
    config = {key: value for key, value in (config or checkout.unet_config).items() if not key.startswith("_")}
    unet = checkout.unet.UNetSpatioTemporalConditionModel.from_config(config).to(device, dtype)
    checkout.unet.add_ip_adapters(unet, [PROMPT_TOKENS] * sets, [1.0] * sets)
    return unet.to(dtype).eval()


def build_pipeline(checkout: Checkout, unet: nn.Module, scheduler: Any) -> Any:
    """The wrapper's pipeline around `unet`, without its progress bar."""
    return pipeline_of(checkout, checkout.pipeline.SonicPipeline, unet=unet, scheduler=scheduler)


def pipeline_of(checkout: Checkout, kind: Any, **networks: Any) -> Any:
    """A pipeline of class `kind` around `networks`, without its progress bar."""
    vae_config = SimpleNamespace(**read_config(checkout, "vae/config.json"))
    pipe = kind(vae_config=vae_config, **networks)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def build_model(checkout: Checkout, pipe: Any, rife: Any, device: torch.device, *, interpolate: bool) -> Any:
    """A `Sonic` object with the attributes that its constructor sets."""
    return model_of(checkout.sonic.Sonic, pipe, rife, device, interpolate=interpolate)


def model_of(kind: Any, pipe: Any, rife: Any, device: torch.device, *, interpolate: bool) -> Any:
    """A model of class `kind`, without its constructor, which reads files."""
    model = object.__new__(kind)
    model.pipe, model.device, model.rife, model.use_interframe = pipe, device, rife, interpolate
    return model


def read_config(checkout: Checkout, name: str) -> dict[str, Any]:
    """A configuration file from the checkout's `svd_repo`."""
    return json.loads((checkout.path / "svd_repo" / name).read_text(encoding="utf-8"))


def run_predata(
    checkout: Checkout,
    job: Job,
    device: torch.device,
    encode: Callable[[Tensor], Tensor],
    on_network: OnNetwork = lambda module, name: None,
) -> dict[str, Any]:
    """Do what `SONIC_PreData` does on the GPU; returns the tensors for the sampler.

    `encode` converts a picture [1, 3, H, W] in host memory to latents [1, 4, H/8, W/8], as ComfyUI's VAE does. Where
    the job goes to a file the image encoder runs first and alone, as Sonic Talking Head has it.
    """
    from transformers import WhisperConfig, WhisperModel

    dtype, size = TORCH_DTYPES[job.dtype], job.frame_size
    encoded = _embedding(device, on_network) if job.to_file else None
    whisper: Any = WhisperModel(WhisperConfig())
    whisper.to(device).eval()
    token, bucket = audio_nets(checkout, device)
    test_data = build_test_data(job, device)
    for name, module in (("whisper", whisper.encoder), ("token", token), ("bucket", bucket)):
        on_network(module, name)
    encode_image = image_encoder(device, on_network) if encoded is None else lambda _: encoded
    encoder = SimpleNamespace(encode_image=lambda image: {"image_embeds": encode_image(image)})
    portrait = picture(device)
    parts = checkout.sonic.sonic_predata(
        whisper, test_data["audio_feature"], test_data["audio_len"], 2, bucket, encoder, token,
        test_data["ref_img"], portrait, device, dtype,
    )  # fmt: skip
    keys = ("ref_tensor_list", "audio_tensor_list", "uncond_audio_tensor_list", "motion_buckets", "image_embeddings")
    data = dict(zip(keys, parts, strict=True))
    del whisper
    bucket.to("cpu")
    token.to("cpu")
    gc.collect()
    latent = encode(torch.zeros(1, 3, size.height, size.width))
    return {**data, "test_data": test_data, "img_latent": latent.to(device, dtype)}


def audio_nets(checkout: Checkout, device: torch.device) -> tuple[nn.Module, nn.Module]:
    """The networks that make audio prompts and motion buckets, with the arguments `SONIC_PreData` gives them."""
    bucket = checkout.modules["audio_to_bucket"].Audio2bucketModel(
        seq_len=50, blocks=1, channels=384, clip_channels=1024, intermediate_dim=1024, output_dim=1, context_tokens=2
    )
    return token_net(checkout, device), bucket.to(device)


def token_net(checkout: Checkout, device: torch.device) -> nn.Module:
    """The network that makes audio prompts, the same for all relatives."""
    token = checkout.audio_proj.AudioProjModel(
        seq_len=10, blocks=5, channels=384, intermediate_dim=1024, output_dim=PROMPT_WIDTH,
        context_tokens=PROMPT_TOKENS,
    )  # fmt: skip
    return token.to(device)


def picture(device: torch.device) -> Tensor:
    """An input of the image encoder."""
    return torch.zeros(1, 3, 224, 224, device=device, dtype=torch.float16)


def _embedding(device: torch.device, on_network: OnNetwork) -> Tensor:
    return image_encoder(device, on_network)(picture(device))


def image_encoder(device: torch.device, on_network: OnNetwork) -> Callable[[Tensor], Tensor]:
    """ViT-H/14, the image encoder of the SVD checkpoint; ComfyUI keeps it loaded until it needs the memory.

    [1, 3, 224, 224] → [1, 1024] in host memory.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    vit_h = CLIPVisionConfig(
        hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=16,
        patch_size=14, projection_dim=1024, hidden_act="gelu",
    )  # fmt: skip
    clip: Any = CLIPVisionModelWithProjection(vit_h)
    clip.to(device, torch.float16).eval()
    on_network(clip, "clip")
    return lambda image: clip(image).image_embeds.cpu()


def build_test_data(job: Job, device: torch.device) -> dict[str, Any]:
    """The wrapper's `test_data`: picture, face mask and sound features, which stay on the GPU for the whole run."""
    size, hops = job.frame_size, HOPS_PER_LATENT * job.sound_frames
    mel_windows = -(-hops // MEL_WINDOW_HOPS)
    return {
        "ref_img": torch.zeros(1, 3, size.height, size.width, device=device),
        "face_mask": torch.ones(1, 3, size.height, size.width, device=device),
        "audio_feature": torch.zeros(1, MEL_BINS, MEL_WINDOW * mel_windows, device=device),
        "audio_len": hops,
    }


def run_sampler(
    sonic: Any, job: Job, data: Mapping[str, Any], vae: Any, steps: int = 2, window: int | None = None
) -> Tensor:
    """Call `Sonic.process` as `SONICSampler` does; returns the frames [1, 3, frames, H, W] in host memory.

    `window` in place of that of the job's `fps`.
    """
    return sonic.process(
        data["audio_tensor_list"],
        data["uncond_audio_tensor_list"],
        data["motion_buckets"],
        data["test_data"],
        run_config(),
        image_embeds=data["image_embeddings"],
        img_latent=data["img_latent"],
        fps=window or job.fps,
        vae=vae,
        inference_steps=steps,
        seed=1,
    )


def run_config() -> SimpleNamespace:
    """The values of the wrapper's `sonic.yaml` that `Sonic.process` reads."""
    return SimpleNamespace(
        seed=72589, num_inference_steps=25, motion_bucket_scale=1.0, decode_chunk_size=8, noise_aug_strength=0.0,
        min_appearance_guidance_scale=2.0, max_appearance_guidance_scale=2.0, audio_guidance_scale=7.5,
        overlap=0, shift_offset=7, i2i_noise_strength=1.0,
    )  # fmt: skip


def forget_grids(checkout: Checkout) -> None:
    """Clear RIFE's global cache of sampling grids, which would otherwise stay in memory after the run."""
    package = checkout.rife.__name__.rpartition(".")[0]
    sys.modules[f"{package}.warplayer"].backwarp_tenGrid.clear()
