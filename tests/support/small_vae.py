"""Diffusers' VAE for SVD with few channels, and what SONIC_PreData hands over, in few numbers."""

import pytest

torch = pytest.importorskip("torch")
for package in ("diffusers", "transformers", "einops"):
    pytest.importorskip(package)
from sonic_guard.devtools import network_parts  # noqa: E402

WIDTH = 32


class DiffusersVae(torch.nn.Module):
    """Diffusers' VAE for SVD with the calls of ComfyUI's network; unlike that one it is always at hand."""

    def __init__(self, checkout, **changes):
        from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder

        super().__init__()
        config = network_parts.read_config(checkout, "vae/config.json") | changes
        self.network = AutoencoderKLTemporalDecoder.from_config(config).eval()

    @property
    def decoder(self):
        return self.network.decoder

    def encode(self, pixels):
        return self.network.encode(pixels).latent_dist.mean

    def decode(self, latents):
        return self.network.decode(latents, num_frames=latents.shape[0]).sample


def small_unet(checkout):
    """SVD's configuration with few channels: the same layers and inputs."""
    few = {"block_out_channels": [32, 32, 64, 64], "num_attention_heads": [2] * 4, "layers_per_block": 1}
    few |= {"cross_attention_dim": WIDTH}
    return checkout.unet_config | few


def small_vae(checkout):
    return DiffusersVae(checkout, block_out_channels=[32, 32, 64, 64], layers_per_block=1)


def predata(job, device):
    """What SONIC_PreData hands over, with random numbers in it."""
    frames, size = range(job.latent_frames), job.frame_size
    return {
        "test_data": network_parts.build_test_data(job, device),
        "audio_tensor_list": [torch.randn(32, WIDTH, device=device) for _ in frames],
        "uncond_audio_tensor_list": [torch.randn(32, WIDTH, device=device) for _ in frames],
        "motion_buckets": [torch.full((2, 1), 16.0, device=device) for _ in frames],
        "image_embeddings": torch.randn(1, WIDTH, device=device),
        "img_latent": torch.randn(1, 4, size.height // 8, size.width // 8, device=device),
    }
