"""Builds ComfyUI's VAE network for Stable Video Diffusion, without weights."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import WrapperError


def import_comfyui(folder: Path) -> None:
    """Import ComfyUI's modules from `folder` into this process, in CPU mode: `comfy` can be imported from here on.

    Raises `WrapperError` if that fails (ComfyUI's requirements are not installed).
    """
    sys.path.append(str(folder))
    argv, sys.argv = sys.argv, sys.argv[:1]
    try:
        import comfy.cli_args

        comfy.cli_args.args.cpu = True
        import comfy.ldm.models.autoencoder
        import comfy.model_management  # noqa: F401
    except ImportError as error:
        raise WrapperError(f"comfyui: {folder} does not import here ({error}); use ComfyUI's own Python.") from error
    finally:
        sys.argv = argv
        sys.path.remove(str(folder))


def vae_builder(comfyui: Path) -> Callable[[], Any]:
    """A function that builds the VAE that ComfyUI builds for an SVD checkpoint.

    Imports ComfyUI's modules from the folder `comfyui` (see `import_comfyui`). Raises `WrapperError`.
    """
    import_comfyui(comfyui)
    import comfy.model_management
    from comfy.ldm.models.autoencoder import AutoencodingEngine

    # As on NVIDIA cards, where the VAE uses torch's attention kernels; otherwise it would slice by free memory.
    comfy.model_management.ENABLE_PYTORCH_ATTENTION = True
    encoder = {
        "double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
        "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0,
    }  # fmt: skip
    decoder = {**encoder, "video_kernel_size": [3, 1, 1], "alpha": 0.0}
    layers = "comfy.ldm.modules"

    def build() -> Any:
        return AutoencodingEngine(
            regularizer_config={"target": "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"},
            encoder_config={"target": f"{layers}.diffusionmodules.model.Encoder", "params": encoder},
            decoder_config={"target": f"{layers}.temporal_ae.VideoDecoder", "params": decoder},
        )

    return build
