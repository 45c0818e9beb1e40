"""Inputs of Sonic's UNet in its tests, always the same, on the device of the network."""

import torch

FRAMES, SIDE = 5, 64


def inputs(dtype, device="cpu"):
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(device, dtype)

    return {
        "sample": random(3, FRAMES, 8, SIDE // 8, SIDE // 8),
        "timestep": torch.tensor(0.7, device=device),
        "encoder_hidden_states": (random(3 * FRAMES, 1, 1024), [random(3 * FRAMES, 32, 1024)]),
        "added_time_ids": random(3, 3),
        "cross_attention_kwargs": {"ip_adapter_masks": [random(1, 1, SIDE, SIDE).sigmoid()]},
        "return_dict": False,
    }


def run(unet):
    """The network's result for `inputs`, on the device of its first layer."""
    return unet(**inputs(unet.dtype, unet.conv_in.weight.device))[0]
