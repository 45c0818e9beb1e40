"""Records shape traces of random jobs with the model's predictions: residuals of the memory model without a card.

Run as ``python -m bench.shape_trace_residuals SONIC COMFYUI FILE [jobs]`` with ComfyUI's own Python. The wrapper's own
code runs with tensors that have shapes and no data (see `sonic_guard.devtools`), so the figures are bytes of tensors,
without context and allocator. `tests/unit/test_calibration_coverage.py` reads the file. A job takes about half a
minute; the file is written after each.
"""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from sonic_guard.cli.json_report import job_dict
from sonic_guard.devtools.comfy_vae import vae_builder
from sonic_guard.devtools.gpu_setup import read_commit
from sonic_guard.devtools.shape_trace import PREPARE, trace_run
from sonic_guard.devtools.sonic_checkout import open_checkout
from sonic_guard.job import Dtype, Job
from sonic_guard.memory.stage_model import stage_bytes
from sonic_guard.optimizations import Optimization

SEED = 3
SIDES = (256, 320, 384, 448, 512, 576, 640, 768)


def random_job(random: np.random.Generator) -> Job:
    """A random job of small to medium size, with any of the settings that the model covers."""
    side = int(random.choice(SIDES))
    width, height = side, round(side * random.uniform(1, 16 / 9))
    if random.random() < 0.5:
        width, height = height, width
    dtype = Dtype(random.choice(["fp16", "fp16", "fp16", "bf16", "fp32"]))
    optimizations = [optimization for optimization in Optimization if random.random() < 0.25]
    return Job(
        width,
        height,
        round(random.uniform(0.6, 6.0), 2),
        min_resolution=side,
        fps=float(random.choice([25, 25, 25, 12, 16, 30])),
        dtype=dtype,
        interpolate=bool(random.random() < 0.7),
        optimizations=frozenset(optimizations),
        vae_dtype=Dtype(random.choice(["bf16", "fp32"])),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m bench.shape_trace_residuals", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("sonic", type=Path, metavar="SONIC")
    parser.add_argument("comfyui", type=Path, metavar="COMFYUI")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("count", nargs="?", type=int, default=80)
    given = parser.parse_args()
    sonic, comfyui, file, count = given.sonic, given.comfyui, given.file, given.count
    random = np.random.default_rng(SEED)
    checkout, make_vae = open_checkout(sonic), vae_builder(comfyui)
    source = {
        "what": "peak bytes of tensors by stage, from shape tracing without a card, and the model's predictions",
        "wrapper": f"ComfyUI_Sonic {read_commit(sonic)[:7]}",
        "torch": torch.__version__,
        "seed": SEED,
        "date": datetime.now(UTC).date().isoformat(),
    }
    rows = []
    for _ in range(count):
        job = random_job(random)
        traced = {name: peaks.peak_bytes for name, peaks in trace_run(checkout, job, make_vae).items()}
        traced.pop(PREPARE, None)
        model = stage_bytes(job)
        rows.append({"job": job_dict(job), "model": {stage: model[stage] for stage in traced}, "traced": traced})
        lines = ",\n  ".join(json.dumps(row) for row in rows)
        file.write_text(f'{{\n "source": {json.dumps(source)},\n "rows": [\n  {lines}\n ]\n}}\n', encoding="utf-8")
        print(len(rows), job.frame_size, job.latent_frames, *sorted(job.optimizations), flush=True)


if __name__ == "__main__":
    main()
