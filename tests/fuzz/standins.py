"""A Sonic for Sonic Talking Head that makes grey frames at once: what is around it is real, from order to file."""

from typing import Any

import numpy as np
import torch

from sonic_guard.job import frame_size


class Unet(torch.nn.Linear):
    """What is asked of the UNet before the sampler has it."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(2, 2, dtype=torch.float32)
        self._dtype, self.attn_processors = dtype, {}

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype


class Pipe:
    def __init__(self, unet: Any) -> None:
        self.unet = unet


class Sonic:
    """A MODEL_SONIC."""

    device, rife = torch.device("cpu"), None

    def __init__(self, dtype: torch.dtype = torch.float32, interpolate: bool = True) -> None:
        self.pipe, self.use_interframe = Pipe(Unet(dtype)), interpolate


class Clip:
    """A CLIP_VISION."""

    model = None

    def encode_image(self, image):
        return {"image_embeds": None}


class Vae:
    """A VAE."""

    first_stage_model = None

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.vae_dtype = dtype


class PreData:
    """SONIC_PreData."""

    FUNCTION = "work"

    def work(self, clip_vision, vae, audio, image, weight_dtype, min_resolution, duration, expand_ratio):
        assert audio["waveform"].ndim == 3
        assert image.shape[0] == 1
        assert image.shape[3] == 3
        return (frame_size(image.shape[2], image.shape[1], min_resolution),)


class Sampler:
    """SONICSampler."""

    FUNCTION = "work"

    def work(self, model, data_dict, seed, inference_steps, dynamic_scale, fps):
        """Never called: see `make_part`."""


def make_part(sonic, optimizations, predata, sample, look, chunk_size, decode_context):
    """Used instead of `long_video.part_maker.make_part`."""

    def make(task, emit, tick):
        size = predata(task.sound)
        tick(0.5)
        for start in range(0, task.part.made, 14):
            count = min(14, task.part.made - start)
            emit(np.broadcast_to(np.uint8(128), (count, size.height, size.width, 3)))

    return make
