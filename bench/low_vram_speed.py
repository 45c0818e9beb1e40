"""Time that each optimization costs: ``python -m bench.low_vram_speed SONIC [rounds]``; SONIC is the wrapper's folder.

The wrapper's own classes with a fifth of the channels and random weights, on one CPU thread. Runs with and without the
optimization alternate, and the result is the median of their ratios in CPU seconds, so that other programs have little
influence. Chunks are the same share of a layer as in the real network at 512 and at 1024 pixels, 25 frames; more chunks
cost more. Moving tensors between devices takes no time here, so that part of `tensor_offload`, `unet_offload` and
`streaming_decode` can only be measured on a card.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.utils import logging

from sonic_guard.devtools.network_parts import (
    build_model,
    build_pipeline,
    build_test_data,
    build_unet,
    read_config,
    run_sampler,
)
from sonic_guard.devtools.sonic_checkout import Checkout, open_checkout
from sonic_guard.job import MIN_CHUNK_SIZE, Job, duration_of
from sonic_guard.low_vram import layer_orders, weight_streaming
from sonic_guard.low_vram.engine import LowVramSonic
from sonic_guard.optimizations import EVERY, Optimization

CPU = torch.device("cpu")
CHANNELS, HEADS = (64, 128, 256, 256), (2, 4, 8, 8)
WINDOW, SIDE = 8, 256
FRAMES = 10
"""Latent frames of the whole runs."""
ORDERS = (
    {Optimization.SEQUENTIAL_CFG},
    {Optimization.FEED_FORWARD_CHUNKING},
    {Optimization.LAYER_CHUNKING},
    {Optimization.TENSOR_OFFLOAD},
    {Optimization.SEQUENTIAL_CFG, Optimization.LAYER_CHUNKING, Optimization.TENSOR_OFFLOAD},
    {
        Optimization.SEQUENTIAL_CFG,
        Optimization.FEED_FORWARD_CHUNKING,
        Optimization.LAYER_CHUNKING,
        Optimization.TENSOR_OFFLOAD,
    },
    {Optimization.STREAM_WEIGHTS},
)


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.low_vram_speed", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("sonic", type=Path, metavar="SONIC", help="the folder of ComfyUI_Sonic")
    parser.add_argument("rounds", nargs="?", type=int, default=5)
    given = parser.parse_args()
    checkout, rounds = open_checkout(given.sonic), given.rounds
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    logging.set_verbosity_error()
    torch.manual_seed(0)
    config = checkout.unet_config | {"block_out_channels": CHANNELS, "num_attention_heads": HEADS}
    unet = build_unet(checkout, torch.float32, CPU, config)
    for real_side in (512, 1024):
        chunk_size = _chunk_size(real_side)
        print(f"a pass of the network, {SIDE}×{SIDE}, {WINDOW} frames, chunks as at {real_side}×{real_side}:")
        for optimizations in ORDERS:
            enabled = partial(_enabled, unet, optimizations, chunk_size)
            _print(optimizations, _ratios(partial(_window, unet), enabled, rounds))
    sonic, vae = _sonic(checkout, unet), _Vae(checkout)
    print(f"a whole run, {SIDE}×{SIDE}, {FRAMES} frames, one step:")
    for optimizations in ({Optimization.STREAMING_DECODE}, EVERY):
        model = LowVramSonic(sonic, optimizations, chunk_size=_chunk_size(512))
        _print(optimizations, _ratios(partial(_run, sonic, vae), partial(_run, model, vae), rounds))


def _chunk_size(real_side: int) -> int:
    """The chunk size that is the same share of a layer here as `MIN_CHUNK_SIZE` is in the real network."""
    real = 25 * (real_side // 8) ** 2 * 320
    return MIN_CHUNK_SIZE * WINDOW * (SIDE // 8) ** 2 * CHANNELS[0] // real


def _ratios(stock: Callable[[], object], other: Callable[[], object], rounds: int) -> list[float]:
    ratios = []
    for _ in range(rounds + 1):
        before = _seconds(stock)
        ratios.append(_seconds(other) / before)
    return ratios[1:]  # the first round warms up


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _print(optimizations: Any, ratios: list[float]) -> None:
    name = "+".join(sorted(optimizations))
    print(f"  {name:28} {statistics.median(ratios):.3f}  ({min(ratios):.3f} … {max(ratios):.3f})", flush=True)


def _enabled(unet: Any, optimizations: Any, chunk_size: int) -> None:
    with ExitStack() as undo:
        undo.callback(layer_orders.enable(unet, optimizations, chunk_size=chunk_size, device=CPU))
        if Optimization.STREAM_WEIGHTS in optimizations:
            undo.callback(weight_streaming.enable(unet, CPU))
        _window(unet)


def _window(unet: Any) -> None:
    positions = SIDE // 8
    unet(
        torch.randn(3, WINDOW, 8, positions, positions),
        torch.tensor(0.7),
        encoder_hidden_states=(torch.randn(3 * WINDOW, 1, 1024), [torch.randn(3 * WINDOW, 32, 1024)]),
        added_time_ids=torch.randn(3, 3),
        cross_attention_kwargs={"ip_adapter_masks": [torch.rand(1, 1, SIDE, SIDE)]},
        return_dict=False,
    )


def _sonic(checkout: Checkout, unet: Any) -> Any:
    scheduler = EulerDiscreteScheduler.from_config(read_config(checkout, "scheduler/scheduler_config.json"))
    rife = checkout.rife.RIFEModel(device=CPU)
    return build_model(checkout, build_pipeline(checkout, unet, scheduler), rife, CPU, interpolate=True)


class _Vae:
    """SVD's VAE with few channels."""

    device = CPU

    def __init__(self, checkout: Checkout) -> None:
        from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder

        few = {"block_out_channels": [32, 32, 64, 64]}
        self._network: Any = AutoencoderKLTemporalDecoder.from_config(read_config(checkout, "vae/config.json") | few)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self._network.decode(latents, num_frames=len(latents)).sample.movedim(1, -1)


def _run(model: Any, vae: _Vae) -> None:
    job = Job(SIDE, SIDE, duration_of(FRAMES), min_resolution=SIDE)
    prompts = [torch.randn(32, 1024) for _ in range(FRAMES)]
    data = {
        "test_data": build_test_data(job, CPU),
        "audio_tensor_list": prompts,
        "uncond_audio_tensor_list": list(prompts),
        "motion_buckets": [torch.full((2, 1), 16.0)] * FRAMES,
        "image_embeddings": torch.randn(1, 1024),
        "img_latent": torch.randn(1, 4, SIDE // 8, SIDE // 8),
    }
    settings: Any = SimpleNamespace(fps=float(WINDOW))
    run_sampler(model, settings, data, vae, 1)


if __name__ == "__main__":
    main()
