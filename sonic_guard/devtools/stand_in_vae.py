"""VAEs with the interface of ComfyUI's, for machines without ComfyUI: diffusers' network, and one that does nothing."""

from typing import Any

import torch
from torch import Tensor

from ..job import Job
from ..memory.constants import DECODE_GROUP
from .network_parts import read_config
from .sonic_checkout import Checkout

_HOST = torch.device("cpu")


class BlankVae:
    """A VAE that returns black frames in host memory."""

    device = _HOST

    def __init__(self, job: Job) -> None:
        self._size = job.frame_size

    def decode(self, latents: Tensor) -> Tensor:
        """Frames [n, H, W, 3] for n latents."""
        return torch.zeros(latents.shape[0], self._size.height, self._size.width, 3)


class DiffusersVae:
    """Diffusers' VAE for SVD with the interface of ComfyUI's: it is moved to the device when first used."""

    def __init__(self, checkout: Checkout, dtype: torch.dtype, device: torch.device, group: int = DECODE_GROUP) -> None:
        from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder

        self.device = _HOST  # set by the wrapper
        self._dtype, self._target, self._group = dtype, device, group
        network: Any = AutoencoderKLTemporalDecoder.from_config(read_config(checkout, "vae/config.json"))
        self._network = network.to(dtype).eval()

    def load(self) -> Any:
        """The network, on the device."""
        return self._network.to(self._target)

    def encode(self, pixels: Tensor) -> Tensor:
        """Latents [n, 4, H/8, W/8] in host memory for pictures [n, 3, H, W]."""
        latents = self.load().encode(pixels.to(self._target, self._dtype)).latent_dist.mean.float().cpu()
        self._network.to(_HOST)  # SONIC_PreData ends with ComfyUI's unload_all_models
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Frames [n, H, W, 3] in host memory for latents [n, 4, H/8, W/8]."""
        network, frames = self.load(), []
        for group in latents.to(self._target, self._dtype).split(self._group):
            frames.append(network.decode(group, num_frames=len(group)).sample.float().cpu())
        return torch.cat(frames).movedim(1, -1)
