"""The networks of a Stable Video Diffusion checkpoint, built from ComfyUI's classes on the meta device.

Shapes only: no tensor has data. `comfy_vae.import_comfyui` has to be called first. The UNet's arguments are those that
ComfyUI detects in the published checkpoint.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

LEVELS = (1, 2, 4, 4)
"""Channels of the UNet's levels, in multiples of 320."""
LEAST_LEVELS = (1, 1, 1, 1)
"""The least that ComfyUI still detects as Stable Video Diffusion."""

_VIT_H = {
    "model_type": "clip_vision_model", "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32,
    "num_attention_heads": 16, "num_channels": 3, "image_size": 224, "patch_size": 14, "projection_dim": 1024,
    "hidden_act": "gelu",
}  # fmt: skip
_OUTER_NAMES = {
    "visual_projection.weight": "proj",
    "vision_model.embeddings.class_embedding": "class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "positional_embedding",
    "vision_model.pre_layrnorm.weight": "ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "ln_pre.bias",
    "vision_model.post_layernorm.weight": "ln_post.weight",
    "vision_model.post_layernorm.bias": "ln_post.bias",
}
_BLOCK_NAMES = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}  # fmt: skip
_BLOCKS = "vision_model.encoder.layers."


def svd_unet(levels: tuple[int, ...] = LEVELS) -> nn.Module:
    """ComfyUI's UNet for SVD-XT 1.1; 1,428 tensors."""
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    return UNetModel(
        image_size=32, in_channels=8, out_channels=4, model_channels=320, num_res_blocks=[2, 2, 2, 2],
        channel_mult=levels, num_classes="sequential", adm_in_channels=768, context_dim=1024, num_head_channels=64,
        use_spatial_transformer=True, use_linear_in_transformer=True, legacy=False,
        transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0], transformer_depth_middle=1,
        transformer_depth_output=[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], use_temporal_resblock=True,
        use_temporal_attention=True, disable_temporal_crossattention=False, extra_ff_mix_layer=True,
        use_spatial_context=True, merge_strategy="learned_with_images", video_kernel_size=[3, 1, 1],
        device="meta", operations=comfy.ops.manual_cast,
    )  # fmt: skip


def tiny_vae() -> nn.Module:
    """ComfyUI's TAESD, which it takes in a checkpoint in place of SVD's VAE; a frame costs a fraction of the time."""
    from comfy.taesd.taesd import TAESD

    with torch.device("meta"):
        return TAESD()


def image_encoder() -> nn.Module:
    """ComfyUI's ViT-H/14, SVD's image encoder, with ComfyUI's names."""
    import comfy.ops
    from comfy.clip_model import CLIPVisionModelProjection

    with torch.device("meta"):
        return CLIPVisionModelProjection(_VIT_H, torch.float32, "meta", comfy.ops.manual_cast)


def open_clip_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of `image_encoder` under the names they have in the checkpoint, which are open_clip's.

    There, the query, key and value of a block are one tensor, and the projection is transposed.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name in _OUTER_NAMES:
            renamed[_OUTER_NAMES[name]] = tensor.T.contiguous() if name.startswith("visual_projection") else tensor
            continue
        number, layer, kind = _in_block(name)
        if layer in _BLOCK_NAMES:
            renamed[f"transformer.resblocks.{number}.{_BLOCK_NAMES[layer]}.{kind}"] = tensor
        elif layer == "self_attn.q_proj":
            joined = [weights[f"{_BLOCKS}{number}.self_attn.{each}_proj.{kind}"] for each in "qkv"]
            renamed[f"transformer.resblocks.{number}.attn.in_proj_{kind}"] = torch.cat(joined)
    return renamed


def _in_block(name: str) -> tuple[str, str, str]:
    """Number, layer and kind of a name such as ``vision_model.encoder.layers.3.mlp.fc1.bias``."""
    number, _, rest = name.removeprefix(_BLOCKS).partition(".")
    layer, _, kind = rest.rpartition(".")
    return number, layer, kind
