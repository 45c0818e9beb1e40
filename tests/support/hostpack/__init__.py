"""A pack for the tests' ComfyUI: the wrapper's own Sonic with few channels and random weights, ready to be sampled.

The real loader needs some 5 GB of weights; the real SONICSampler does with what comes from here. It can be slow, or
fail at a chosen location. SONIC_PreData is replaced by one that needs no networks and so no time, unless the
graph's `SmallSonic` has `real_predata`: then it is the real one, over networks with random weights.
"""

import importlib.util
import sys
import time
from pathlib import Path

import folder_paths
import torch
from server import PromptServer

from .networks import write_networks

PACK = Path(__file__).resolve().parents[3]
CHANNELS = {"block_out_channels": [32, 32, 64, 64], "layers_per_block": 1}


def _library():
    """The pack's library under its own name, without its root on the search path: there, `nodes` is ComfyUI's."""
    folder = PACK / "sonic_guard"
    spec = importlib.util.spec_from_file_location(
        "sonic_guard", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = sys.modules["sonic_guard"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _checkout():
    from sonic_guard.devtools.sonic_checkout import open_checkout

    marks = (
        mark
        for folder in folder_paths.get_folder_paths("custom_nodes")
        for mark in Path(folder).glob("*/src/pipelines/pipeline_sonic.py")
    )
    return open_checkout(next(marks).parents[2])


class Vae:
    """What the wrapper sees of ComfyUI's VAE object, around diffusers' network."""

    vae_dtype = torch.float32

    def __init__(self, network):
        self.first_stage_model = network
        self.device = torch.device("cpu")

    def encode(self, pixels):
        return self.first_stage_model.encode(pixels.movedim(-1, 1) * 2 - 1).latent_dist.mode()

    def decode(self, latents):
        frames = self.first_stage_model.decode(latents, num_frames=latents.shape[0]).sample
        return frames.div(2).add(0.5).clamp(0, 1).movedim(1, -1)


class Clip:
    """What Sonic Talking Head and SONIC_PreData see of a CLIP_VISION."""

    model = None

    def encode_image(self, image):
        return {"image_embeds": torch.full((1, 1024), 0.1)}


class SmallSonic:
    """The loader's and SONIC_PreData's outputs, and the models that SONIC_PreData takes."""

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {
            "required": {
                "frames": ("INT", {"default": 6, "min": 1}),
                "call_s": ("FLOAT", {"default": 0.0, "min": 0.0}),
                "fail": (["nowhere", "denoise", "decode", "interpolate", "error"],),
            },
            "optional": {
                "times": ("INT", {"default": 1 << 30}),
                "seed": ("INT", {"default": 0}),
                "interpolate": ("BOOLEAN", {"default": True}),
                "decode_s": ("FLOAT", {"default": 0.0, "min": 0.0}),
                "real_predata": ("BOOLEAN", {"default": False}),
            },
        }

    RETURN_TYPES = ("MODEL_SONIC", "SONIC_PREDATA", "CLIP_VISION", "VAE", "DTYPE")
    FUNCTION = "build"
    CATEGORY = "tests"

    def build(self, frames, call_s, fail, times=1 << 30, seed=0, interpolate=True, decode_s=0.0, real_predata=False):
        from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
        from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

        from sonic_guard.devtools import network_parts
        from sonic_guard.job import Job

        if real_predata:
            _write_networks()
        torch.manual_seed(seed)
        cpu, checkout = torch.device("cpu"), _checkout()
        config = {**checkout.unet_config, **CHANNELS, "num_attention_heads": [2] * 4}
        unet = network_parts.build_unet(checkout, torch.float32, cpu, config)
        scheduler = EulerDiscreteScheduler.from_config(
            network_parts.read_config(checkout, "scheduler/scheduler_config.json")
        )
        pipe = network_parts.build_pipeline(checkout, unet, scheduler)
        sonic = network_parts.build_model(
            checkout, pipe, checkout.rife.RIFEModel(device=cpu), cpu, interpolate=interpolate
        )
        network = AutoencoderKLTemporalDecoder.from_config(
            network_parts.read_config(checkout, "vae/config.json") | CHANNELS
        )
        failing = {
            "denoise": unet, "decode": network.decoder, "interpolate": sonic.rife.flownet, "error": unet,
        }  # fmt: skip
        unet.register_forward_hook(lambda *_: time.sleep(call_s))
        if fail in failing:
            left = iter(range(times))
            failing[fail].register_forward_hook(lambda *_: _fail(fail) if next(left, None) is not None else None)
        network.decoder.register_forward_hook(lambda *_: time.sleep(decode_s))
        vae = Vae(network.eval())
        return sonic, _data(Job(64, 64, (frames + 0.5) / 12.5, min_resolution=64), vae), Clip(), vae, torch.float32


class FailingSonic:
    """A node between SONIC_PreData and the sampler, which fails."""

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"model": ("MODEL_SONIC",), "data_dict": ("SONIC_PREDATA",)}}

    RETURN_TYPES = ("MODEL_SONIC",)
    FUNCTION = "fail"
    CATEGORY = "tests"

    def fail(self, model, data_dict):
        raise ValueError("this node fails on request")


class UnknownSonic:
    """A MODEL_SONIC that is none."""

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {}}

    RETURN_TYPES = ("MODEL_SONIC",)
    FUNCTION = "build"
    CATEGORY = "tests"

    def build(self):
        return (object(),)


def _data(job, vae):
    """What SONIC_PreData hands over, with random numbers in it."""
    from sonic_guard.devtools import network_parts

    size = job.frame_size
    return {
        "test_data": network_parts.build_test_data(job, torch.device("cpu")),
        "config": network_parts.run_config(),
        "audio_tensor_list": [torch.randn(32, 1024) for _ in range(job.latent_frames)],
        "uncond_audio_tensor_list": [torch.randn(32, 1024) for _ in range(job.latent_frames)],
        "motion_buckets": [torch.full((2, 1), 16.0) for _ in range(job.latent_frames)],
        "image_embeddings": torch.randn(1, 1024),
        "img_latent": torch.randn(1, 4, size.height // 8, size.width // 8),
        "vae": vae,
    }


def _predata(self, clip_vision, vae, audio, image, weight_dtype, min_resolution, duration, expand_ratio):
    """Does what SONIC_PreData does, without its networks: the same sound gives the same random numbers."""
    from sonic_guard.job import Job

    sound = audio["waveform"]
    seconds = min(duration, sound.shape[-1] / audio["sample_rate"])
    torch.manual_seed(int(sound.abs().sum() * 1000))
    return (_data(Job(image.shape[2], image.shape[1], seconds, min_resolution=min_resolution), vae),)


def _choose_predata(data):
    """Have the registry hold the SONIC_PreData that the graph in `data` wants: the real one, or one of `_predata`."""
    import nodes

    installed = nodes.NODE_CLASS_MAPPINGS.get("SONIC_PreData")
    if installed is None:
        return data
    if not issubclass(installed, _Replaced):
        _real[:] = [installed]
    if any(node.get("inputs", {}).get("real_predata") for node in data.get("prompt", {}).values()):
        nodes.NODE_CLASS_MAPPINGS["SONIC_PreData"] = _real[0]
    elif not issubclass(installed, _Replaced):
        nodes.NODE_CLASS_MAPPINGS["SONIC_PreData"] = type(
            "SONIC_PreData", (_own(), _Replaced), {"sampler_main": _predata, "__module__": _own().__module__}
        )
    return data


_real = []
"""The wrapper's class, or what this pack has replaced it by."""


def _own():
    """The wrapper's class itself."""
    return next(kind for kind in _real[0].__mro__ if "sampler_main" in vars(kind) and kind.__mro__[1] is object)


def _write_networks():
    folder = Path(folder_paths.models_dir) / "sonic"
    if not (folder / "yoloface_v5m.pt").exists():  # the last of them
        with torch.inference_mode(False):
            write_networks(folder, sys.modules[_own().__module__])


class _Replaced:
    pass


def _fail(how):
    if how == "error":
        raise ValueError("this sampler fails on request")
    raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate 2.00 GiB in {how}")


_library()
NODE_CLASS_MAPPINGS = {"SmallSonic": SmallSonic, "FailingSonic": FailingSonic, "UnknownSonic": UnknownSonic}
PromptServer.instance.add_on_prompt_handler(_choose_predata)
