"""From rehearsals to constants: which places set the peak, and how their bytes grow.

The live bytes at one place of the code are a sum of tensors, so they are an exact linear form in a few
products of the job's numbers. Each form is solved from a handful of rehearsals; forms that never set the
peak are dropped; what is left is checked against every rehearsal it came from.
"""

import datetime
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import WrapperError
from ..job import Dtype, Job, Lever
from ..vram.constants import FEATURES, features, variant
from .checkout import Checkout
from .rehearsal import ENTRY, PREPARE, rehearse, rehearse_windows

Progress = Callable[[str], None]

UNET_LEVERS = (Lever.BRANCH, Lever.FF, Lever.BLOCK)
DTYPES = (Dtype.FP16, Dtype.FP32)
"""One format for each number size: bf16 has the bytes of fp16."""

WINDOW_SHAPES = tuple(
    itertools.chain(
        ((256, 256, 25), (512, 512, 25), (1024, 1024, 25), (128, 192, 40)),
        ((512, 512, 12), (768, 768, 10), (320, 320, 50), (768, 1280, 14), (384, 384, 5)),
        ((128, 128, 10), (192, 192, 25), (192, 256, 12)),
    )
)
"""(width, height, window) that tell the terms apart, on both sides of every group's size."""
RUN_SHAPES = (
    *((256, 256, 6, 25), (256, 256, 30, 7), (512, 384, 10, 25), (512, 512, 60, 30), (768, 512, 14, 7)),
    *((256, 192, 400, 25), (128, 128, 400, 50), (1024, 768, 8, 12), (192, 192, 800, 120)),
)
"""(width, height, latent frames, window) for everything outside the network."""
INTERPOLATE_SHAPES = ((128, 128, 6), (256, 256, 9), (512, 384, 12), (512, 512, 6), (1024, 768, 7), (128, 192, 24))

TOLERANCE = 0.005
"""Largest relative distance allowed between a rehearsal and the rows fitted to it."""


@dataclass
class _Table:
    """Rehearsed peaks of one variant: a row of features and the bytes by place, for every shape."""

    features: list[tuple[int, ...]] = field(default_factory=list)
    places: list[dict[str, int]] = field(default_factory=list)

    def add(self, row: tuple[int, ...], places: dict[str, int], minus: int) -> None:
        self.features.append(row)
        self.places.append({name: size - minus for name, size in places.items()})


def derive(checkout: Checkout, make_vae: Callable[[], Any], progress: Progress, source: dict[str, str]) -> str:
    """The text of a new `constants.json` for this checkout."""
    tables: dict[str, _Table] = {}
    parameters = checkout_parameters(checkout)
    for dtype in DTYPES:
        _rehearse_windows(checkout, dtype, tables, progress)
    rife = 0
    for dtype, vae_dtype in itertools.product(DTYPES, DTYPES):
        _rehearse_runs(checkout, make_vae, dtype, vae_dtype, parameters, tables, progress)
    for vae_dtype, levers in itertools.product(DTYPES, ((), (Lever.PAIRWISE,))):
        rife = _rehearse_interpolation(checkout, make_vae, vae_dtype, levers, parameters, tables, progress)
    rows = {key: _fit(key, table) for key, table in sorted(tables.items())}
    stamp = {**source, "date": datetime.datetime.now(datetime.UTC).date().isoformat()}
    data = {"source": stamp, "unet_parameters": parameters, "rife_bytes": rife, "rows": rows}
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def checkout_parameters(checkout: Checkout) -> int:
    """Number of the UNet's parameters, audio adapters included, from the wrapper's own constructor."""
    import torch

    from .meter import DEVICE, fake_gpu
    from .parts import build_unet

    with fake_gpu(checkout.path):
        return sum(tensor.numel() for tensor in build_unet(checkout, torch.float16, DEVICE).parameters())


def _rehearse_windows(checkout: Checkout, dtype: Dtype, tables: dict[str, _Table], progress: Progress) -> None:
    for count in range(len(UNET_LEVERS) + 1):
        for levers in itertools.combinations(UNET_LEVERS, count):
            key = variant("window", dtype, levers=levers)
            progress(f"{key}: {len(WINDOW_SHAPES)} windows")
            table = tables[key] = _Table()
            rehearsals = rehearse_windows(checkout, dtype, frozenset(levers), WINDOW_SHAPES)
            for (width, height, window), (entry, peaks) in zip(WINDOW_SHAPES, rehearsals, strict=True):
                table.add(features(0, width, height, window), peaks.places, entry)


def _rehearse_runs(
    checkout: Checkout,
    make_vae: Callable[[], Any],
    dtype: Dtype,
    vae_dtype: Dtype,
    parameters: int,
    tables: dict[str, _Table],
    progress: Progress,
) -> None:
    keys = {
        "predata": variant("predata", dtype, vae_dtype),
        "decode": variant("decode", dtype, vae_dtype),
        PREPARE: variant("prepare", dtype),
    }
    entry = tables.setdefault(variant("entry", dtype), _Table())
    weights = parameters * dtype.size
    for width, height, frames, window in RUN_SHAPES:
        progress(f"{keys['decode']}: {width}×{height}, {frames} frames, window {window}")
        job = _job(width, height, frames, dtype=dtype, vae_dtype=vae_dtype, fps=window, interpolate=False)
        stages = rehearse(checkout, job, make_vae, network=False)
        row = features(frames, width, height, window)
        entry.add(row, {ENTRY: stages["denoise"].places[ENTRY]}, weights)
        for stage, key in keys.items():
            minus = 0 if stage == "decode" else weights
            tables.setdefault(key, _Table()).add(row, stages[stage].places, minus)


def _rehearse_interpolation(
    checkout: Checkout,
    make_vae: Callable[[], Any],
    vae_dtype: Dtype,
    levers: Iterable[Lever],
    parameters: int,
    tables: dict[str, _Table],
    progress: Progress,
) -> int:
    key = variant("interpolate", vae_dtype, levers=levers)
    rife = 0
    for width, height, frames in INTERPOLATE_SHAPES:
        progress(f"{key}: {width}×{height}, {frames} frames")
        job = _job(width, height, frames, vae_dtype=vae_dtype, levers=frozenset(levers))
        stages = rehearse(checkout, job, make_vae, network=False)
        rife = stages["load"].peak_bytes - parameters * job.dtype.size
        tables.setdefault(key, _Table()).add(
            features(frames, width, height, job.window), stages["interpolate"].places, rife
        )
    return rife


def _job(width: int, height: int, frames: int, **settings: Any) -> Job:
    return Job(width, height, (frames + 0.25) / 12.5, min_resolution=min(width, height), **settings)


STAGE_FEATURES = {
    "window": ("one", "window", "pixels", "window*pixels"),
    "entry": ("one", "frames", "pixels", "frames*pixels", "window", "window*pixels", "mel_windows"),
    "prepare": ("one", "frames", "pixels", "frames*pixels", "mel_windows"),
    "predata": ("one", "frames", "pixels", "mel_windows"),
    "decode": ("one", "frames", "pixels", "frames*pixels", "decode_group*pixels", "mel_windows"),
    "interpolate": ("one", "frames", "pixels", "frames*pixels"),
}
"""What can matter in a stage."""
_DEPTH_OF_BLOCK = {"down_blocks": (0, 1, 2, 3), "up_blocks": (3, 2, 1, 0), "mid_block": (3,)}


def _names(key: str, place: str) -> tuple[str, ...]:
    stage, *options = key.split("/")
    names = STAGE_FEATURES[stage]
    if Lever.BLOCK not in options:
        return names
    _, block, index, *_ = (*place.split("."), "", "", "0")
    depths = _DEPTH_OF_BLOCK.get(block, (0,))
    depth = depths[int(index)] if index.isdigit() and len(depths) > 1 else depths[0]
    return (*names, f"group{depth}", f"window*group{depth}")


def _fit(key: str, table: _Table) -> list[dict[str, float]]:
    """The rows that set the peak of a variant, as {feature: bytes}."""
    peaks = [max(places.values()) for places in table.places]
    # A place that is far from the peak everywhere cannot set it in between.
    names = [
        name
        for name in sorted(set.intersection(*map(set, table.places)))
        if any(places[name] > 0.9 * peak for places, peak in zip(table.places, peaks, strict=True))
    ]
    solved = [_solve(_names(key, name), table.features, [places[name] for places in table.places]) for name in names]
    rows = _outermost(solved, _dense(key))
    _check(key, rows, table.features, peaks)
    return [{name: round(float(value), 3) for name, value in zip(FEATURES, row, strict=True) if value} for row in rows]


def _solve(names: Sequence[str], rows: Sequence[Sequence[int]], sizes: Sequence[int]) -> np.ndarray:
    columns = [FEATURES.index(name) for name in names]
    matrix = np.array(rows, float)[:, columns]
    # Weighted by size, so that small shapes count as much as large ones; scaled, so that it is well posed.
    weights = 1.0 / np.array(sizes, float)
    scale = np.abs(matrix).max(axis=0)
    scale[scale == 0] = 1.0
    solution, *_ = np.linalg.lstsq(matrix / scale * weights[:, None], np.ones(len(sizes)), rcond=None)
    # What adds less than a hundred-thousandth anywhere is the rounding to 512 bytes, not a tensor.
    share = np.abs(matrix / scale * solution) / np.array(sizes, float)[:, None]
    solution[share.max(axis=0) < 1e-5] = 0.0
    row = np.zeros(len(FEATURES))
    row[columns] = solution / scale
    return row


def _dense(key: str) -> np.ndarray:
    """Features of many jobs, from tiny to huge, on which rows compete for the peak."""
    long = (1,) if key.startswith("window") else (1, 3, 14, 100, 1000, 10_000, 150_000)
    sides = (128, 192, 256, 320, 384, 512, 640, 768, 1024, 1536, 2048)
    windows = (5, 12, 25, 50, 120)
    return np.array([features(n, w, h, f) for n in long for w in sides for h in sides for f in windows], float)


def _outermost(rows: list[np.ndarray], jobs: np.ndarray) -> list[np.ndarray]:
    """The fewest rows whose maximum stays within 0.02 % of the maximum of all."""
    values = np.array(rows) @ jobs.T
    target = values.max(axis=0) * (1 - 2e-4)
    chosen: list[int] = []
    covered = np.zeros(jobs.shape[0], bool)
    while not covered.all():
        gain = ((values >= target) & ~covered).sum(axis=1)
        chosen.append(int(gain.argmax()))
        covered |= values[chosen[-1]] >= target
    return [rows[index] for index in chosen]


def _check(key: str, rows: list[np.ndarray], shapes: Sequence[Sequence[int]], peaks: Sequence[int]) -> None:
    predicted = (np.array(rows) @ np.array(shapes, float).T).max(axis=0)
    apart = np.abs(predicted / np.array(peaks) - 1)
    if apart.max() > TOLERANCE:
        worst = int(apart.argmax())
        raise WrapperError(
            f"trace: {key} is not linear in what is known of it: {apart.max():.2%} apart at "
            f"{dict(zip(FEATURES, shapes[worst], strict=True))}. The wrapper's code has changed; extend the model."
        )
