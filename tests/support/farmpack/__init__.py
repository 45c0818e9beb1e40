"""A pack for the ComfyUI servers of a farm's tests: loaders with Sonic's names and types that need no weights.

The checkpoint's and Sonic's loaders give the wrapper's own objects with few channels, whose networks return at once;
SONIC_PreData is that of `hostpack`, and SONICSampler the real one. The same job gives the same bytes. Environment:
FARM_CALL_S, seconds that a pass of the network takes; FARM_BALLAST, bytes that a model holds; FARM_PASSES, a file that
gets a byte for each pass, so that it shows what was made twice.
"""

import importlib.util
import os
import sys
import time
from pathlib import Path

import torch
from server import PromptServer

import nodes

CALL_S = float(os.environ.get("FARM_CALL_S", "0"))
BALLAST = int(os.environ.get("FARM_BALLAST", "0"))
PASSES = os.environ.get("FARM_PASSES")


def _hostpack():
    folder = Path(__file__).resolve().parents[1] / "hostpack"
    spec = importlib.util.spec_from_file_location(
        "farm_hostpack", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = sys.modules["farm_hostpack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hostpack = _hostpack()


class QuickVae(hostpack.Vae):
    """Latents as pictures."""

    def decode(self, latents):
        latents = latents.float() + 0.1 * latents.float().mean(0)
        pictures = 0.5 + 0.4 * torch.sin(latents[:, :3] / 8)
        return pictures.repeat_interleave(8, 2).repeat_interleave(8, 3).movedim(1, -1)


def _denoise(sample, _timestep, *, encoder_hidden_states, **_):
    """A picture of how loud each frame is."""
    time.sleep(CALL_S)
    if PASSES:
        with open(PASSES, "ab", buffering=0) as file:
            file.write(b".")
    prompts = encoder_hidden_states[1][0].abs().mean(dim=(1, 2))
    return (0.5 * sample[:, :, :4] - prompts.view(*sample.shape[:2], 1, 1, 1),)


def _named_by_one(kind):
    """The same network, which names its first layer's number format and device for its own: diffusers asks all."""
    own = {name: property(lambda self, name=name: getattr(self.conv_in.weight, name)) for name in ("dtype", "device")}
    return type(kind.__name__, (kind,), {**own, "__module__": kind.__module__})


class CheckpointLoader:
    """ComfyUI's Image Only Checkpoint Loader."""

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"ckpt_name": (["svd_xt_1_1.safetensors"],)}}

    RETURN_TYPES = ("MODEL", "CLIP_VISION", "VAE")
    FUNCTION = "load"
    CATEGORY = "tests"

    def load(self, ckpt_name):
        (_, _, clip, vae, _) = hostpack.SmallSonic().build(6, 0.0, "nowhere")
        return None, clip, QuickVae(vae.first_stage_model)


class SonicLoader:
    """The wrapper's loader."""

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {
            "required": {
                "model": ("MODEL",), "sonic_unet": (["unet.pth"],), "ip_audio_scale": ("FLOAT", {"default": 1.0}),
                "use_interframe": ("BOOLEAN", {"default": True}), "dtype": (["fp16", "fp32", "bf16"],),
            }
        }  # fmt: skip

    RETURN_TYPES = ("MODEL_SONIC", "DTYPE")
    FUNCTION = "load"
    CATEGORY = "tests"

    def load(self, model, sonic_unet, ip_audio_scale, use_interframe, dtype):
        (sonic, *_) = hostpack.SmallSonic().build(6, 0.0, "nowhere", interpolate=use_interframe)
        sonic.pipe.unet.forward = _denoise
        sonic.pipe.unet.__class__ = _named_by_one(type(sonic.pipe.unet))
        sonic.ballast = bytearray(BALLAST)
        if use_interframe:
            sonic.rife.inference = lambda left, right: (left + right) / 2
        return sonic, torch.float32


def _replace(data):
    """Whatever order the packs are loaded in, a graph gets these loaders."""
    nodes.NODE_CLASS_MAPPINGS |= {"ImageOnlyCheckpointLoader": CheckpointLoader, "SONICTLoader": SonicLoader}
    return data


NODE_CLASS_MAPPINGS = {}
PromptServer.instance.add_on_prompt_handler(_replace)
