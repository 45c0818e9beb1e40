"""Where Sonic's pulse comes from: a frame's brightness by its place in the decode group.

``COMFYUI_PYTHON -m bench.decode_seams COMFYUI_FOLDER [groups]``, with the Python of that ComfyUI. Its own SVD video
decoder at full size, with random weights, decodes a clip of latents that change slowly in groups of 14, as the wrapper
does, and the whole clip in one call. Prints by how much the frames of the groups are brighter than those of the whole
clip and differ from them, and the same for groups that overlap (`decode_context` of `LowVramSonic`). With trained
weights the amounts are others; the places are not.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from sonic_guard.devtools.comfy_vae import vae_builder
from sonic_guard.devtools.random_tensors import random_state
from sonic_guard.low_vram.overlapped_decode import OverlappedDecode

GROUP = 14
SIDE = 6
"""Latent pixels of a side: frames of 48×48."""


def slow_latents(count: int) -> Tensor:
    """A still picture in latents that turns slowly into another: [count, 4, SIDE, SIDE]."""
    random = torch.Generator().manual_seed(1)
    ends = [torch.randn(1, 4, SIDE, SIDE, generator=random) for _ in range(3)]
    time = torch.linspace(0, 1, count)[:, None, None, None]
    return ends[0] + 0.5 * torch.sin(6 * time) * ends[1] + 0.5 * torch.cos(9 * time) * ends[2]


def in_groups(decode: Callable[[Tensor], Tensor], latents: Tensor, context: int) -> Tensor:
    """The frames of the wrapper's groups; with `context`, of groups that overlap."""
    overlapped = OverlappedDecode(decode, len(latents), context)
    groups = [latents[start : start + GROUP] for start in range(0, len(latents), GROUP)]
    return torch.cat([frames for group in groups for frames in overlapped(group)])


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.decode_seams", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("comfyui", type=Path, metavar="COMFYUI", help="ComfyUI's folder; run with its Python")
    parser.add_argument("groups", nargs="?", type=int, default=3)
    given = parser.parse_args()
    groups, network = given.groups, vae_builder(given.comfyui)()
    network.load_state_dict(random_state(network, torch.float32, 3, lambda name: name.endswith("conv_out")))
    decode = network.eval().decode
    latents = slow_latents(GROUP * groups)
    whole = decode(latents)
    ways = {f"{context} frames of context": in_groups(decode, latents, context) for context in range(4)}
    contrast = float(whole.std())
    print(f"{len(latents)} latent frames, contrast {contrast:.4f}; in per cent of the contrast")
    for name, frames in ways.items():
        brighter = 100 * (frames - whole).mean((1, 2, 3)) / contrast
        error = 100 * (frames - whole).square().mean((1, 2, 3)).sqrt() / contrast
        middle = slice(GROUP, -GROUP)
        print(
            f"{name}: rms {float(error[middle].square().mean().sqrt()):.2f}, largest {float(error[middle].max()):.2f}"
        )
        for place in range(0, len(latents), GROUP):
            part = slice(place, place + GROUP)
            print("   brighter", " ".join(f"{float(value):6.2f}" for value in brighter[part]))
            print("   differs ", " ".join(f"{float(value):6.2f}" for value in error[part]))


if __name__ == "__main__":
    main()
