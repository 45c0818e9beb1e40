"""Writes a kit of weight files with random numbers, in the formats, names and shapes of the published files.

    python -m sonic_guard.devtools.random_weights MODELS --sonic WRAPPER --comfyui COMFYUI [--narrow COPY] [--seed N]

With them the wrapper's own loader, predata and sampler run in a real ComfyUI whose models folder is MODELS: a video of
noise, but by the real code, without a download. `--narrow` writes a copy of the wrapper with a UNet of few channels to
the folder COPY, and the weights that go with it, with ComfyUI's small VAE. Run it with ComfyUI's Python. 8 GB on disk,
2.1 GB with `--narrow`.
"""

import argparse
import gc
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..atomic_files import begin, commit
from ..errors import OutputError, SonicGuardError
from .comfy_svd import LEAST_LEVELS, LEVELS, image_encoder, open_clip_names, svd_unet, tiny_vae
from .comfy_vae import vae_builder
from .face_detector_file import save_face_detector
from .narrow_wrapper import copy_narrow
from .network_parts import audio_nets, build_unet
from .random_tensors import random_state
from .sonic_checkout import Checkout, open_checkout

log = logging.getLogger(__name__)

META = torch.device("meta")
CHECKPOINT = "checkpoints/svd_xt_1_1.safetensors"
UNET = "sonic/unet.pth"
WHISPER = "sonic/whisper-tiny"
KIT = "random_weights.json"
"""Written last, in the models folder: what the kit is made of. A folder without it has no whole kit."""


class Order(NamedTuple):
    """What is to be written, and from which classes."""

    models: Path
    sonic: Path
    """The wrapper whose UNet the weights are for."""
    comfyui: Path
    narrow: bool
    seed: int


Contents = Callable[[Path], None]
"""Writes a file to the path that it is given."""


def write_kit(order: Order) -> None:
    """Write every weight file that the wrapper needs into the folder `order.models`.

    Raises `OutputError` if one of the files exists, so that weights of a user's are never replaced, and `WrapperError`
    if wrapper or ComfyUI cannot be imported.
    """
    files = dict(_files(order))
    for name in (*files, WHISPER, KIT):
        if (order.models / name).exists():
            raise OutputError(f"random weights: {name} exists already; choose an empty folder", path=order.models)
    for name, write in files.items():
        begun, target = time.monotonic(), order.models / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write(begin(target))
        commit(target)
        gc.collect()
        log.info("%s: %.2f GB, %.0f s", name, target.stat().st_size / 1e9, time.monotonic() - begun)
    _save_whisper(order.models / WHISPER, order.seed)
    kit = {"seed": order.seed, "narrow": order.narrow, "files": sorted((*files, WHISPER))}
    (order.models / KIT).write_text(json.dumps(kit, indent=2), encoding="utf-8")


def _files(order: Order) -> Iterator[tuple[str, Contents]]:
    """Name below the models folder, and what writes the file."""
    checkout = open_checkout(order.sonic)
    token, bucket = audio_nets(checkout, META)
    yield UNET, lambda path: torch.save(_unet_weights(checkout, order.seed), path)
    yield "sonic/audio2token.pth", lambda path: torch.save(random_state(token, torch.float32, order.seed), path)
    yield "sonic/audio2bucket.pth", lambda path: torch.save(random_state(bucket, torch.float32, order.seed), path)
    yield "sonic/RIFE/flownet.pkl", lambda path: torch.save(_rife_weights(checkout, order.seed), path)
    yield "sonic/yoloface_v5m.pt", save_face_detector
    yield CHECKPOINT, lambda path: _save_checkpoint(path, order)


def _unet_weights(checkout: Checkout, seed: int) -> dict[str, Tensor]:
    """Sonic's UNet with audio adapters; 1,492 tensors."""
    unet = build_unet(checkout, torch.float16, META)
    return random_state(unet, torch.float16, seed, lambda layer: layer == "conv_out")


def _rife_weights(checkout: Checkout, seed: int) -> dict[str, Tensor]:
    """RIFE under the names it has in its file, which was saved from a parallel module."""
    with META:
        network = checkout.rife.IFNet()
    weights = random_state(network, torch.float32, seed, lambda layer: layer.endswith(("conv1.2", "conv2.2")))
    return {f"module.{name}": tensor for name, tensor in weights.items()}


def _save_checkpoint(path: Path, order: Order) -> None:
    from safetensors.torch import save_file

    save_file(dict(_checkpoint_weights(order)), path)


def _checkpoint_weights(order: Order) -> Iterator[tuple[str, Tensor]]:
    """Stable Video Diffusion: UNet, VAE and image encoder in fp16, each under its prefix."""
    make_vae = vae_builder(order.comfyui)

    def numbers(network: nn.Module, is_output: Callable[[str], bool]) -> dict[str, Tensor]:
        return random_state(network, torch.float16, order.seed, is_output)

    unet = svd_unet(LEAST_LEVELS if order.narrow else LEVELS)
    yield from _prefixed("model.diffusion_model.", numbers(unet, lambda layer: layer == "out.2"))
    if order.narrow:
        weights = numbers(tiny_vae(), lambda layer: False)
        # Its scale and shift stay what they are where a file has none: one and zero.
        vae = {name: tensor for name, tensor in weights.items() if name not in ("vae_scale", "vae_shift")}
    else:
        with META:
            network = make_vae()
        vae = numbers(network, lambda layer: layer == "decoder.conv_out")
    yield from _prefixed("first_stage_model.", vae)
    encoder = open_clip_names(numbers(image_encoder(), lambda layer: False))
    yield from _prefixed("conditioner.embedders.0.open_clip.model.visual.", encoder)


def _prefixed(prefix: str, weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    return ((prefix + name, tensor) for name, tensor in weights.items())


def _save_whisper(folder: Path, seed: int) -> None:
    """whisper-tiny: 384 wide, 4 + 4 layers, which are the defaults of its class, and its feature extractor."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    with META:
        whisper: Any = WhisperModel(WhisperConfig())
    whisper.load_state_dict(random_state(whisper, torch.float32, seed), assign=True)
    whisper.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser("python -m sonic_guard.devtools.random_weights", description=summary)
    parser.add_argument("models", type=Path, metavar="MODELS", help="a models folder without weights; created")
    parser.add_argument("--sonic", type=Path, required=True, metavar="WRAPPER", help="the folder of ComfyUI_Sonic")
    parser.add_argument("--comfyui", type=Path, required=True, metavar="COMFYUI", help="ComfyUI's folder")
    parser.add_argument("--narrow", type=Path, metavar="COPY", help="new folder for a wrapper with a narrow UNet")
    parser.add_argument("--seed", type=int, default=0, help="other numbers for each (default: 0)")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")  # ComfyUI's modules report much at INFO
    log.setLevel(logging.INFO)
    try:
        if chosen.narrow:
            copy_narrow(chosen.sonic.expanduser(), chosen.narrow)
        write_kit(
            Order(
                chosen.models, chosen.narrow or chosen.sonic, chosen.comfyui.expanduser(), bool(chosen.narrow),
                chosen.seed,
            )
        )  # fmt: skip
    except SonicGuardError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
