"""10 s against 10 min: with tensors and frames off the card the peak does not grow with the clip."""

import time
from collections.abc import Generator, Sequence

import torch

from sonic_guard.devtools.network_parts import run_config
from sonic_guard.optimizations import Optimization

from .results import Row
from .session import Session

OPTIMIZATIONS = frozenset((Optimization.TENSOR_OFFLOAD, Optimization.STREAMING_DECODE, Optimization.UNET_OFFLOAD))


def run(session: Session, done: Sequence[Row]) -> Generator[Row]:
    """A row a clip: the peak of its tensors, and its frames; the last one compares the two."""
    rows = {row["key"]: row for row in done}
    for frames in session.scale.clips:
        key = f"{frames} latent frames"
        if key not in rows:
            rows[key] = {"key": key, **_clip(session, frames)}
            yield rows[key]
    if "growth" not in rows:
        peaks = [rows[f"{frames} latent frames"]["peak_gib"] for frames in session.scale.clips]
        yield {"key": "growth", "share": peaks[1] / peaks[0] - 1 if all(peaks) else None}


def _clip(session: Session, frames: int) -> Row:
    case = session.case(session.scale.clip_side, OPTIMIZATIONS, frames=frames)
    session.bench.settle()
    vae, data, made = session.bench.vae(case), session.bench.random_data(case.job), 0
    model = session.bench.model(case)
    session.reset_peak()

    def count(group: torch.Tensor) -> None:
        nonlocal made
        made += group.shape[0]

    start = time.perf_counter()
    with torch.no_grad():
        model.stream(
            count, data["audio_tensor_list"], data["uncond_audio_tensor_list"], data["motion_buckets"],
            data["test_data"], run_config(), image_embeds=data["image_embeddings"], img_latent=data["img_latent"],
            fps=case.job.fps, vae=vae, inference_steps=1, seed=1,
        )  # fmt: skip
    return {"frames": made, "seconds": time.perf_counter() - start, "peak_gib": session.peak_gib()}
