"""Memory of long videos as a function of their length: 10, 60 and 600 seconds by default.

``python -m bench.long_video_memory write [format …]``
    Host memory and time of writing and joining a video.
``python -m bench.long_video_memory run SONIC [seconds …]``
    Host memory of a whole run: the wrapper's own `Sonic`, pipeline and RIFE, a VAE with few channels, and a UNet that
    returns at once; 64×64 pixels, 25 frames in a window, one step, frames to a file. Two linear terms are subtracted:
    the clip's own small tensors (`clip_host_bytes`), and the sound (the original, and Sonic's input).
``python -m bench.long_video_memory gpu SONIC COMFYUI [seconds …]``
    Bytes on the GPU at 1024×1024 in fp16 with all optimizations, from shape tracing: the wrapper's own code and
    ComfyUI's VAE in full size, compared with the model. The network is entered for every window, and traced once.
    Needs ComfyUI's own Python; 600 seconds take an hour.

Each length is measured in a process of its own. The target: peaks within 5 % of those of the shortest.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.host_peak import peak_bytes
from sonic_guard.job import Dtype, Job, duration_of, latent_frames
from sonic_guard.media.audio import Sound
from sonic_guard.media.video_file import join, verify
from sonic_guard.media.video_writer import Encoding, VideoWriter
from sonic_guard.memory.constants import LATENT_SIDE
from sonic_guard.memory.stage_model import (
    EMBEDDING_NUMBERS,
    LATENT_CHANNELS,
    PROMPT_NUMBERS,
    clip_host_bytes,
    predict,
    stage_bytes,
)
from sonic_guard.optimizations import EVERY

LENGTHS_S = (10, 60, 600)
SIDE, GROUP, FPS, RATE = 128, 14, 25, 16_000
RUN_SIDE, GPU_SIDE, WINDOW = 64, 1024, 25
MIB = 2**20


def main() -> None:
    kinds = {"write": _print_write, "run": _print_run, "gpu": _print_gpu}
    parser = argparse.ArgumentParser(
        "python -m bench.long_video_memory", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("what", nargs="?", choices=kinds, default="write")
    parser.add_argument("words", nargs="*", metavar="FOLDER|SECONDS", help="of ComfyUI_Sonic, for run and gpu; lengths")
    given = parser.parse_args()
    names = [word for word in given.words if not word.isdigit()]
    lengths_s = [int(word) for word in given.words if word.isdigit()] or LENGTHS_S
    kinds[given.what](lengths_s, *names)


def _print_write(lengths_s: Sequence[int], *kinds: str) -> None:
    for kind in kinds or ["h264"]:
        shortest = 0
        for seconds in lengths_s:
            peak, wrote_s, joined_s = _in_process(write, seconds, kind)
            shortest = shortest or peak
            print(
                f"{kind} {seconds:4d} s: peak {peak / MIB:.0f} MiB ({peak / shortest:.3f}), {wrote_s:.1f} s "
                f"({seconds * FPS / wrote_s:.0f} frames a second), joined in {joined_s:.1f} s",
                flush=True,
            )


def _print_run(lengths_s: Sequence[int], sonic: str) -> None:
    print("    s  stage    resident MiB  of it clip  rest  ratio   tensors MiB  of it clip  rest  ratio")
    shortest: dict[tuple[str, str], float] = {}
    for seconds in lengths_s:
        for stage, (resident, tensors, clip) in _in_process(whole_run, seconds, sonic).items():
            cells = ""
            for kind, size in (("resident", resident), ("tensors", tensors)):
                rest = size - clip
                ratio = rest / shortest.setdefault((stage, kind), rest)
                cells += f"  {size / MIB:11.1f}  {clip / MIB:10.1f}  {rest / MIB:6.1f}  {ratio:.3f}"
            print(f"{seconds:5d}  {stage:8}{cells}", flush=True)


def _print_gpu(lengths_s: Sequence[int], sonic: str, comfyui: str) -> None:
    for seconds in lengths_s:
        job = _job(seconds, GPU_SIDE, Dtype.FP16)
        model, floor = _model(job)
        for stage, size in _in_process(gpu, seconds, sonic, comfyui).items():
            predicted = {**model, **floor}.get(stage)
            comparison = f"model {predicted:14,d} ({predicted / size:.4f})" if predicted else ""
            print(f"{seconds:5d} s  {stage:32} {size:14,d}  {comparison}", flush=True)


def _in_process(work: Callable[..., Any], *args: Any) -> Any:
    """The result of `work` in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, args)


def _job(seconds: float, side: int, dtype: Dtype) -> Job:
    return Job(
        side, side, seconds, min_resolution=side, fps=float(WINDOW), dtype=dtype, optimizations=EVERY, to_file=True
    )


# Writing


def write(seconds: int, kind: str) -> tuple[int, float, float]:
    """Write and join a video: the peak in bytes without the sound, and the seconds of writing and joining.

    The frames are written 14 at a time, as from Sonic's decoder. The sound is as long as the video.
    """
    encoding, frames, ground = Encoding(kind), seconds * FPS, _picture()
    sound = _sound(seconds)
    with tempfile.TemporaryDirectory() as folder:
        part, target = Path(folder, f"part{encoding.kind.suffix}"), Path(folder, "video")
        begun = time.perf_counter()
        with VideoWriter(part, Fraction(FPS), encoding) as video:
            for first in range(0, frames, GROUP):
                numbers = range(first, min(first + GROUP, frames))
                video.write(np.stack([ground[..., at % SIDE : at % SIDE + SIDE] for at in numbers]))
        written = time.perf_counter()
        join([part], target, encoding, Fraction(FPS), sound)
        joined = time.perf_counter()
        assert verify(target).frames == frames  # noqa: S101
    return peak_bytes() - sound.waveform.nbytes, written - begun, joined - written


def _picture() -> np.ndarray:
    """A smooth picture with some noise, wider than the frames: float32 [3, SIDE, 2 * SIDE]."""
    y, x = np.mgrid[0:SIDE, 0 : 2 * SIDE] / SIDE
    soft = [0.5 + 0.4 * np.sin(2 * np.pi * (n * x + y)) * np.cos(2 * np.pi * n * y) for n in (1, 2, 3)]
    return (np.array(soft) + np.random.default_rng(0).normal(0, 0.02, (3, SIDE, 2 * SIDE))).astype(np.float32)


def _sound(seconds: int) -> Sound:
    noise = np.random.default_rng(0).standard_normal((1, seconds * RATE), np.float32)
    noise *= np.float32(0.1)  # in place: a second copy would be the peak
    return Sound(noise, RATE)


def _forget_peak() -> None:
    """Reset the peak memory; on Linux."""
    Path("/proc/self/clear_refs").write_text("5")


# A whole run


def whole_run(seconds: int, folder: str) -> dict[str, tuple[int, int, int]]:
    """By stage: peak resident bytes, peak bytes of tensors, and the predicted bytes of the clip's own tensors.

    The stages are: before the first pass of the network, the passes, and decode with everything after it.
    """
    import torch

    from sonic_guard.devtools.allocation_tracker import AllocationTracker
    from sonic_guard.devtools.network_parts import run_sampler
    from sonic_guard.devtools.sonic_checkout import open_checkout
    from sonic_guard.long_video.part_maker import make_part
    from sonic_guard.long_video.rendering import run
    from sonic_guard.long_video.video_request import VideoRequest

    torch.set_num_threads(1)
    checkout, job, tracker = open_checkout(folder), _job(seconds, RUN_SIDE, Dtype.BF16), AllocationTracker(Path("/"))
    clip, peaks = clip_host_bytes(job), {}

    def stage(name: str, size: int) -> None:
        peaks[name] = peak_bytes() - 2 * request.sound.waveform.nbytes, tracker.host_peak_bytes, size
        _forget_peak()
        tracker.begin()

    # Before the loop: the original prompts, stacked twice and once for each branch; four embeddings; the noise.
    numbers = 6 * PROMPT_NUMBERS + 4 * EMBEDDING_NUMBERS + LATENT_CHANNELS * (RUN_SIDE // LATENT_SIDE) ** 2
    prepared = job.latent_frames * numbers * job.dtype.size
    sonic = _small_sonic(checkout, lambda: stage("prepare", prepared))
    vae = _SmallVae(checkout, lambda: stage("denoise", clip.denoise))
    settings: Any = SimpleNamespace(fps=float(WINDOW))
    make = make_part(sonic, EVERY, _predata, lambda model, data: run_sampler(model, settings, data, vae, 1))
    request = VideoRequest(job, np.zeros((RUN_SIDE, RUN_SIDE, 3), np.uint8), _sound(seconds), "bench")
    with tempfile.TemporaryDirectory() as temporary, tracker, torch.no_grad():
        _forget_peak()
        video = run(request, make, Path(temporary, "video.mp4"), Path(temporary, "work"))
        assert video.info.frames == job.output_frames  # noqa: S101
        stage("decode", clip.decode)
    return peaks


def _small_sonic(checkout: Any, begin: Callable[[], None]) -> Any:
    """The wrapper's `Sonic` in bf16 with a UNet that returns at once and calls `begin` when it is first called."""
    import torch
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    from sonic_guard.devtools.network_parts import build_model, build_pipeline, build_unet, read_config

    cpu = torch.device("cpu")
    few = {"block_out_channels": [32] * 4, "num_attention_heads": [2] * 4, "layers_per_block": 1}
    unet: Any = build_unet(checkout, torch.bfloat16, cpu, checkout.unet_config | few)
    calls = count()

    def forward(sample: Any, *_: Any, **__: Any) -> tuple[Any]:
        if not next(calls):
            begin()
        return (0.5 * sample[:, :, :4],)

    unet.forward = forward
    scheduler = EulerDiscreteScheduler.from_config(read_config(checkout, "scheduler/scheduler_config.json"))
    rife = checkout.rife.RIFEModel(device=cpu)
    return build_model(checkout, build_pipeline(checkout, unet, scheduler), rife, cpu, interpolate=True)


class _SmallVae:
    """SVD's VAE with few channels; calls `begin` when it is first called."""

    def __init__(self, checkout: Any, begin: Callable[[], None]) -> None:
        import torch
        from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder

        from sonic_guard.devtools.network_parts import read_config

        few = {"block_out_channels": [32] * 4, "layers_per_block": 1}
        self._network: Any = AutoencoderKLTemporalDecoder.from_config(read_config(checkout, "vae/config.json") | few)
        self.device = torch.device("cpu")
        self._begin: Callable[[], None] | None = begin

    def decode(self, latents: Any) -> Any:
        """[n, 4, h, w] → [n, H, W, 3]."""
        if self._begin:
            self._begin()
            self._begin = None
        frames = self._network.decode(latents.float(), num_frames=len(latents)).sample
        return frames.add(1).div(2).clamp(0, 1).movedim(1, -1)


def _predata(sound: Sound) -> dict[str, Any]:
    """The output of SONIC_PreData with its prompts in host memory, in fp32; silence is stored once."""
    import torch

    from sonic_guard.devtools.network_parts import build_test_data
    from sonic_guard.low_vram.host_tensors import HostTensorPool

    frames = latent_frames(sound.duration_s)
    half: Any = {"dtype": torch.bfloat16}
    silence, pool = torch.zeros(32, 1024), HostTensorPool()
    job = Job(RUN_SIDE, RUN_SIDE, duration_of(frames), min_resolution=RUN_SIDE)
    pictures = {"ref_img": torch.zeros(1, 3, RUN_SIDE, RUN_SIDE), "audio_feature": torch.zeros(1)}
    return {
        "test_data": build_test_data(job, torch.device("cpu")) | pictures,
        "audio_tensor_list": [pool.put(torch.randn(32, 1024).double(), torch.float32) for _ in range(frames)],
        "uncond_audio_tensor_list": [silence] * frames,
        "motion_buckets": [torch.full((2, 1), 16.0)] * frames,
        "image_embeddings": torch.randn(1, 1024, **half),
        "img_latent": torch.randn(1, 4, RUN_SIDE // 8, RUN_SIDE // 8, **half),
    }


# On the GPU


def gpu(seconds: int, folder: str, comfyui: str) -> dict[str, int]:
    """Peak bytes by stage; for decode also with a single frame, as ComfyUI decodes with little memory."""
    import torch

    from sonic_guard.devtools.allocation_tracker import DEVICE, fake_gpu
    from sonic_guard.devtools.comfy_vae import vae_builder
    from sonic_guard.devtools.network_parts import TORCH_DTYPES
    from sonic_guard.devtools.shape_trace import ENTRY, trace_run, trace_windows
    from sonic_guard.devtools.sonic_checkout import open_checkout
    from sonic_guard.low_vram import vae_blocks

    checkout, make_vae, job = open_checkout(folder), vae_builder(Path(comfyui)), _job(seconds, GPU_SIDE, Dtype.FP16)
    peaks = trace_run(checkout, job, make_vae, network=False)
    entry = peaks["denoise"].locations[ENTRY]
    ((bare, window),) = trace_windows(checkout, job.dtype, job.optimizations, [(GPU_SIDE, GPU_SIDE, WINDOW)])
    found = {name: stage.peak_bytes for name, stage in peaks.items()}
    found["denoise"] = max(found["denoise"], entry + window.peak_bytes - bare)
    with fake_gpu(checkout.path) as tracker, torch.no_grad():
        before = tracker.live_bytes
        number = TORCH_DTYPES[job.vae_dtype]
        vae = make_vae().to(DEVICE, number).eval()
        vae_blocks.enable(SimpleNamespace(first_stage_model=vae))  # as in `trace_run`
        tracker.begin()
        vae.decode(torch.empty(1, 4, GPU_SIDE // 8, GPU_SIDE // 8, device=DEVICE, dtype=number))
        found["decode, a frame at a time"] = tracker.peak_bytes - before
    return found


def _model(job: Job) -> tuple[dict[str, int], dict[str, int]]:
    """The predicted bytes by stage, and those of decode with a single frame."""
    return stage_bytes(job), {"decode, a frame at a time": predict(job).floors["decode"]}


if __name__ == "__main__":
    main()
