"""A pack for the tests' ComfyUI: DICE Talk's own model with few channels and random weights, ready to be sampled.

It needs `hostpack` beside it, which makes the library importable and has a small VAE.
"""

import sys
from pathlib import Path

import torch

CHANNELS = {"block_out_channels": [32, 64, 64, 64], "num_attention_heads": [2, 4, 4, 4], "layers_per_block": 1}


class SmallDice:
    """The outputs of Dice_Talk_Loader and of Dice_Talk_PreData."""

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"vae": ("VAE",), "frames": ("INT", {"default": 2, "min": 1})}}

    RETURN_TYPES = ("MODEL_DICETALK", "DICETALK_PREDATA")
    FUNCTION = "build"
    CATEGORY = "tests"

    def build(self, vae, frames):
        from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

        from sonic_guard.devtools import dice_parts, network_parts
        from sonic_guard.devtools.sonic_checkout import open_checkout
        from sonic_guard.job import Job, duration_of
        from sonic_guard.relatives import Relative

        torch.manual_seed(0)
        pack = sys.modules[_class("Dice_Talk_Sampler").__module__].__file__
        cpu, checkout = torch.device("cpu"), open_checkout(Path(pack).parent)
        unet = network_parts.build_unet(checkout, torch.float32, cpu, checkout.unet_config | CHANNELS)
        scheduler = EulerDiscreteScheduler.from_config(
            network_parts.read_config(checkout, "scheduler/scheduler_config.json")
        )
        pipe = dice_parts.build_pipeline(checkout, unet, scheduler, CHANNELS["block_out_channels"][0])
        torch.nn.init.normal_(pipe.pose_guider.conv_out.weight, std=0.5)
        model = dice_parts.build_model(checkout, pipe, checkout.rife.RIFEModel(device=cpu), cpu, interpolate=True)
        job = Job(64, 64, duration_of(frames), min_resolution=64, relative=Relative.DICE_TALK)
        made = network_parts.build_test_data(job, cpu)
        prompts = ("audio_tensor_list", "uncond_audio_tensor_list", "emotion_tensor_list", "uncond_emotion_tensor_list")
        return model, {
            "test_data": made,
            "ref_img": made["ref_img"],
            "pose_tensor_list": [made["face_mask"][0] for _ in range(frames)],
            **{name: [torch.randn(32, 1024) for _ in range(frames)] for name in prompts},
            "image_embeds": torch.randn(1, 1024),
            "img_latent": torch.randn(1, 4, 8, 8),
            "config": dice_parts.sampler_config(),
            "vae": vae,
        }


def _class(name):
    import nodes

    return nodes.NODE_CLASS_MAPPINGS[name]


NODE_CLASS_MAPPINGS = {"SmallDice": SmallDice}
