"""Frame interpolation with two frames on the GPU, whatever the length of the clip."""

from typing import Any

import torch
from torch import Tensor


def interpolate_pairs(rife: Any, video: Tensor, device: torch.device) -> Tensor:
    """The frames of `video` [B, 3, N, H, W] with RIFE's middle frame between each two: [B, 3, 2N - 1, H, W].

    `video` and the result live in host memory; the numbers are those of the wrapper's own loop, which
    holds the whole clip on the GPU, then every middle frame, then a copy of both.
    """
    batch, channels, frames, height, width = video.shape
    out = video.new_empty((batch, channels, 2 * frames - 1, height, width))
    out[:, :, ::2] = video
    right = video[:, :, 0].to(device)
    for index in range(frames - 1):
        left, right = right, video[:, :, index + 1].to(device)
        out[:, :, 2 * index + 1] = rife.inference(left, right).clamp(0, 1).to(out.device)
    return out
