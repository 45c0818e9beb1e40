"""Decodes with a small video VAE of ComfyUI, in the stock order and in Sonic Guard's: run by ComfyUI's own Python.

Writes a JSON list: what came of each number format and number of frames.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

from sonic_guard.devtools.comfy_vae import import_comfyui
from sonic_guard.low_vram import vae_blocks


def small():
    """ComfyUI's classes with few channels."""
    from comfy.ldm.modules.temporal_ae import VideoDecoder

    torch.manual_seed(0)
    decoder = VideoDecoder(
        double_z=True, z_channels=4, resolution=256, in_channels=3, out_ch=3, ch=32, ch_mult=[1, 2], num_res_blocks=1,
        attn_resolutions=[], dropout=0.0, video_kernel_size=[3, 1, 1], alpha=0.0,
    )  # fmt: skip
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return decoder.eval()


def replaced(decoder):
    return [module.forward for module in decoder.modules() if "forward" in module.__dict__]


def run(dtype, frames):
    decoder = small().to(dtype)
    latents = torch.randn(frames, 4, 8, 12).to(dtype)
    stock = decoder(latents)
    undo = vae_blocks.enable(SimpleNamespace(first_stage_model=SimpleNamespace(decoder=decoder)))
    lean = decoder(latents)
    layers = replaced(decoder)
    undo()
    return {
        "equal": torch.equal(stock, lean) and stock.stride() == lean.stride(),
        "finite": bool(stock.isfinite().all()),
        "lean": [layer._is_same for layer in layers],
        "restored": not replaced(decoder) and torch.equal(decoder(latents), stock),
    }


def changed():
    """A ComfyUI whose layers compute something else: they are left alone."""
    import comfy.ldm.modules.temporal_ae as module

    forward = module.VideoResBlock.forward

    def other(self, hidden, temb, skip_video=False, timesteps=None):
        return 2 * forward(self, hidden, temb, skip_video, timesteps)

    module.VideoResBlock.forward = other
    try:
        return run(torch.float32, 2)
    finally:
        module.VideoResBlock.forward = forward


def cases():
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        for frames in (1, 3):
            yield {"dtype": str(dtype), "frames": frames, **run(dtype, frames)}
    yield {"dtype": "changed", "frames": 2, **changed()}


if __name__ == "__main__":
    import_comfyui(Path(sys.argv[1]))
    with torch.inference_mode():
        json.dump(list(cases()), sys.stdout)
