"""Fits the constants of the memory model to shape traces: which code locations set the peak, and how it grows.

The live bytes at one location of the code are a sum of tensor sizes, so they are an exact linear form in a few
products of the job's numbers. Each form is solved from a number of traces. Forms that never set the peak are dropped,
and the rest is checked against all traces.
"""

import datetime
import gc
import itertools
import json
import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import WrapperError
from ..job import MIN_CHUNK_SIZE, Dtype, Job, duration_of
from ..low_vram import weight_streaming
from ..memory.constants import FEATURES, features, variant
from ..optimizations import Optimization
from ..quiet_logs import quiet
from ..relatives import ADAPTERS, Adapter
from .allocation_tracker import DEVICE, fake_gpu
from .comfy_vae import vae_builder
from .network_parts import TORCH_DTYPES, build_unet
from .relative_parts import PARTS
from .shape_trace import ENTRY, PREPARE, trace_predata, trace_run, trace_windows
from .sonic_checkout import Checkout, open_checkout, relative_at

Progress = Callable[[str], None]
Shape = tuple[int, int, int]

ORDERS = (
    Optimization.SEQUENTIAL_CFG,
    Optimization.STREAM_WEIGHTS,
    Optimization.FEED_FORWARD_CHUNKING,
    Optimization.LAYER_CHUNKING,
)
DTYPES = (Dtype.FP16, Dtype.FP32)
"""One format for each number size: bf16 has the bytes of fp16."""

WINDOW_SHAPES = (
    *((256, 256, 25), (512, 512, 25), (1024, 1024, 25), (128, 192, 40)),
    *((512, 512, 12), (768, 768, 10), (320, 320, 50), (768, 1280, 14), (384, 384, 5)),
    *((128, 128, 10), (192, 192, 25), (192, 256, 12)),
)
"""(width, height, window) from which the terms can be determined."""
BLOCK_SHAPES = (
    *WINDOW_SHAPES,
    *((256, 512, 80), (448, 448, 16), (640, 640, 25), (1024, 576, 25), (896, 640, 30)),
    *((704, 1216, 12), (1280, 1280, 8), (1536, 1024, 20), (1152, 1152, 33)),
)
"""The shapes for layer chunking, below and above the size of every group."""
RUN_SHAPES = (
    *((256, 256, 6, 25), (256, 256, 30, 7), (512, 384, 10, 25), (512, 512, 60, 30), (768, 512, 14, 7)),
    *((256, 192, 400, 25), (128, 128, 400, 50), (1024, 768, 8, 12), (192, 192, 800, 120)),
)
"""(width, height, latent frames of the sound, window) for everything outside the network."""
HOST_SHAPES = (*RUN_SHAPES[:5], (1024, 768, 8, 12))
"""The shapes with `TENSOR_OFFLOAD`, where the length of the clip has almost no influence."""
SHORT_SHAPES = ((256, 256, 2, 5), (384, 256, 3, 7), (512, 512, 1, 5))
"""More of both for relatives that make a window beyond the sound: else no clip would be shorter than a decode group."""
PREDATA_SHAPES = (
    *((256, 256, 6), (512, 384, 10), (512, 512, 60), (768, 512, 14), (1024, 768, 8)),
    *((256, 192, 400), (128, 128, 750), (192, 192, 800), (128, 192, 1500), (128, 128, 2600)),
)
"""(width, height, latent frames of the sound) for predata, where whisper takes 375 frames at a time."""
ENTRY_OPTIMIZATIONS = ((), (Optimization.TENSOR_OFFLOAD,), (Optimization.SEQUENTIAL_CFG, Optimization.TENSOR_OFFLOAD))
CLIP_OPTIMIZATIONS = (
    (),
    (Optimization.TENSOR_OFFLOAD,),
    (Optimization.STREAMING_DECODE,),
    (Optimization.TENSOR_OFFLOAD, Optimization.STREAMING_DECODE),
)
INTERPOLATE_SHAPES = (
    *((128, 128, 6, 25), (256, 256, 9, 7), (512, 384, 12, 25), (512, 512, 6, 14)),
    *((1024, 768, 7, 5), (128, 192, 24, 12)),
)

WINDOW = 25
"""The window of shapes that have none."""
TOLERANCE = 0.005
"""Largest relative difference allowed between a trace and the rows fitted to it."""


@dataclass
class _Table:
    """Traced peaks of one variant: for every shape a row of features, and the bytes by location."""

    features: list[tuple[int, ...]] = field(default_factory=list)
    locations: list[dict[str, int]] = field(default_factory=list)

    def add(self, row: tuple[int, ...], locations: dict[str, int], minus: int) -> None:
        self.features.append(row)
        self.locations.append({name: size - minus for name, size in locations.items()})

    def extend(self, other: "_Table") -> None:
        self.features += other.features
        self.locations += other.locations


Tables = dict[str, _Table]
"""Tables by variant key."""


def derive(sonic: Path, comfyui: Path, progress: Progress, source: dict[str, str]) -> str:
    """The text of a new `constants.json` for the wrapper in `sonic` and the VAE of `comfyui`.

    The traces are distributed to as many processes as there are processors. `progress` receives a line for each.
    Raises `WrapperError` if the memory is not linear in the features.
    """
    weights, adapter = {dtype: _weights(sonic, dtype) for dtype in DTYPES}, ADAPTERS[relative_at(sonic)]
    tables: dict[str, _Table] = {}
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(_trace, sonic, comfyui, *task) for task in _tasks(adapter)]
        for count, done in enumerate(as_completed(running), 1):
            progress(f"{count} of {len(running)}: {', '.join(done.result())}")
            for key, table in done.result().items():
                tables.setdefault(key, _Table()).extend(table)
    rows = {key: _fit(key, table, adapter) for key, table in tables.items()}
    for key in rows:
        if key.startswith("decode/") and Optimization.STREAMING_DECODE in key.split("/"):
            rows[key] = _with_rife_grid(rows[key])
    data = {
        "source": {**source, "date": datetime.datetime.now(datetime.UTC).date().isoformat()},
        "unet_parameters": weights[Dtype.FP16].bytes // Dtype.FP16.size,
        "rife_bytes": weights[Dtype.FP16].rife_bytes,
        **({"pose_bytes": weights[Dtype.FP16].pose_bytes} if adapter.pose else {}),
        "streamed_bytes": {str(dtype.size): weights[dtype].streamed_bytes for dtype in DTYPES},
        "rows": dict(sorted(rows.items())),
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _tasks(adapter: Adapter) -> Iterator[tuple[Any, ...]]:
    """Functions with their arguments (without the wrapper's and ComfyUI's folders), the slowest first."""
    # How large a group is follows from the window: where that is fixed, the groups of others need not be known.
    blocks = tuple(dict.fromkeys((width, height, adapter.window or window) for width, height, window in BLOCK_SHAPES))
    for optimizations, shapes in (
        (optimizations, blocks if Optimization.LAYER_CHUNKING in optimizations else WINDOW_SHAPES)
        for optimizations in _orders()
    ):
        for dtype in DTYPES:
            # Large pictures have more groups and take longer, so the shapes are distributed in turn.
            yield from ((_trace_windows, dtype, optimizations, shapes[turn::3]) for turn in range(3))
    prompts = ((), (Optimization.TENSOR_OFFLOAD,)) if adapter.talking_head else ((),)
    for dtype, vae_dtype in itertools.product(DTYPES, DTYPES):
        yield from ((_trace_interpolation, dtype, vae_dtype, optimizations) for optimizations in CLIP_OPTIMIZATIONS)
        yield from ((_trace_decode, dtype, vae_dtype, optimizations) for optimizations in CLIP_OPTIMIZATIONS)
        yield from ((_trace_predata, dtype, vae_dtype, optimizations) for optimizations in prompts)
    for dtype in DTYPES:
        yield from ((_trace_entry, dtype, optimizations) for optimizations in ENTRY_OPTIMIZATIONS)


def _orders() -> Iterator[tuple[Optimization, ...]]:
    for count in reversed(range(len(ORDERS) + 1)):
        yield from itertools.combinations(ORDERS, count)


@quiet(logging.ERROR, "diffusers")
def _trace(sonic: Path, comfyui: Path, task: Callable[..., Tables], *args: Any) -> Tables:
    return task(sonic, comfyui, *args)


@cache
def _checkout(sonic: Path) -> Checkout:
    return open_checkout(sonic)


@dataclass(frozen=True)
class _Weights:
    """The networks' weights, from the wrapper's own constructors."""

    bytes: int
    """The UNet's, audio adapters included."""
    streamed_bytes: int
    """Of them, what streaming keeps in host memory."""
    rife_bytes: int
    pose_bytes: int
    """The pose network's, as the loader leaves it; 0 where there is none."""


@cache
def _weights(sonic: Path, dtype: Dtype) -> _Weights:
    checkout = _checkout(sonic)
    with fake_gpu(checkout.path) as tracker:
        rife = checkout.rife.RIFEModel(device=DEVICE)
        gc.collect()
        rife_bytes = tracker.live_bytes
        unet = build_unet(checkout, TORCH_DTYPES[dtype], DEVICE)
        total = sum(tensor.numel() * dtype.size for tensor in unet.parameters())
        assert rife is not None  # noqa: S101 - it must live until here
        return _Weights(total, weight_streaming.streamed_bytes(unet), rife_bytes, _pose_bytes(checkout, unet))


def _pose_bytes(checkout: Checkout, unet: Any) -> int:
    pose = ADAPTERS[checkout.relative].pose
    if pose is None:
        return 0
    network = getattr(PARTS[checkout.relative].build_pipeline(checkout, unet, None), pose.network)
    return sum(tensor.nbytes for tensor in network.parameters())


def _trace_windows(
    sonic: Path, _: Path, dtype: Dtype, optimizations: Iterable[Optimization], shapes: Iterable[Shape]
) -> Tables:
    table = _Table()
    shape_traces = trace_windows(_checkout(sonic), dtype, frozenset(optimizations), shapes)
    for (width, height, window), (entry, peaks) in zip(shapes, shape_traces, strict=True):
        table.add(features(0, width, height, window), peaks.locations, entry)
    return {variant("window", dtype, optimizations=optimizations): table}


def _trace_entry(sonic: Path, _: Path, dtype: Dtype, optimizations: Iterable[Optimization]) -> Tables:
    """Denoise without the network: the peak before the loop, and the live bytes when the network is entered."""
    unet_bytes, prepare, entry = _weights(sonic, dtype).bytes, _Table(), _Table()
    checkout = _checkout(sonic)
    for shape in _run_shapes(checkout, optimizations):
        job = _job(checkout, *shape, dtype=dtype, optimizations=frozenset(optimizations), interpolate=False)
        stages = trace_run(checkout, job, None, network=False, window=shape[3])
        row = _row(checkout, *shape)
        prepare.add(row, stages[PREPARE].locations, 0 if Optimization.TENSOR_OFFLOAD in optimizations else unet_bytes)
        entry.add(row, {ENTRY: stages["denoise"].locations[ENTRY]}, unet_bytes)
    tables = {variant("entry", dtype, optimizations=optimizations): entry}
    if Optimization.SEQUENTIAL_CFG not in optimizations:  # it makes no difference before the loop
        tables[variant("prepare", dtype, optimizations=optimizations)] = prepare
    return tables


def _trace_decode(
    sonic: Path, comfyui: Path, dtype: Dtype, vae_dtype: Dtype, optimizations: Iterable[Optimization]
) -> Tables:
    table, checkout = _Table(), _checkout(sonic)
    for shape in _run_shapes(checkout, optimizations):
        settings = {"dtype": dtype, "vae_dtype": vae_dtype, "optimizations": frozenset(optimizations)}
        job = _job(checkout, *shape, interpolate=False, **settings)
        stages = trace_run(checkout, job, vae_builder(comfyui), network=False, window=shape[3])
        table.add(_row(checkout, *shape), stages["decode"].locations, 0)
    return {variant("decode", dtype, vae_dtype, optimizations=optimizations): table}


def _trace_predata(
    sonic: Path, comfyui: Path, dtype: Dtype, vae_dtype: Dtype, optimizations: Iterable[Optimization]
) -> Tables:
    """Predata. `TENSOR_OFFLOAD` stands for prompts in host memory here; no other optimization affects it."""
    table, checkout, to_file = _Table(), _checkout(sonic), Optimization.TENSOR_OFFLOAD in optimizations
    for shape in PREDATA_SHAPES:
        job = _job(checkout, *shape, dtype=dtype, vae_dtype=vae_dtype, to_file=to_file)
        peaks = trace_predata(checkout, job, vae_builder(comfyui))
        table.add(_row(checkout, *shape), peaks.locations, 0)
    return {variant("predata", dtype, vae_dtype, optimizations=optimizations): table}


def _run_shapes(checkout: Checkout, optimizations: Iterable[Optimization]) -> Sequence[tuple[int, int, int, int]]:
    shapes = HOST_SHAPES if Optimization.TENSOR_OFFLOAD in optimizations else RUN_SHAPES
    return (*shapes, *SHORT_SHAPES) if ADAPTERS[checkout.relative].padded else shapes


def _trace_interpolation(
    sonic: Path, comfyui: Path, dtype: Dtype, vae_dtype: Dtype, optimizations: Iterable[Optimization]
) -> Tables:
    table, rife_bytes, checkout = _Table(), _weights(sonic, dtype).rife_bytes, _checkout(sonic)
    for shape in INTERPOLATE_SHAPES:
        job = _job(checkout, *shape, dtype=dtype, vae_dtype=vae_dtype, optimizations=frozenset(optimizations))
        stages = trace_run(checkout, job, vae_builder(comfyui), network=False, window=shape[3])
        table.add(_row(checkout, *shape), stages["interpolate"].locations, rife_bytes)
    return {variant("interpolate", dtype, vae_dtype, optimizations=optimizations): table}


def _with_rife_grid(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """`rows` for a stage in which RIFE has run before: it keeps its sampling grid, two fp32 numbers per pixel."""
    return [{**row, "pixels": row.get("pixels", 0.0) + 8.0} for row in rows]


def _job(checkout: Checkout, width: int, height: int, frames: int, window: int = WINDOW, **settings: Any) -> Job:
    """The job of a shape. A relative that has only one window is told another one beside it."""
    seconds, shorter = duration_of(frames), min(width, height)
    return Job(width, height, seconds, shorter, float(window), relative=checkout.relative, **settings)


def _row(checkout: Checkout, width: int, height: int, frames: int, window: int = WINDOW) -> tuple[int, ...]:
    """The features of a shape."""
    padding = window if ADAPTERS[checkout.relative].padded else 0
    return features(frames + padding, width, height, window, padding=padding)


STAGE_FEATURES = {
    "window": ("one", "window", "pixels", "window*pixels"),
    "entry": ("one", "frames", "pixels", "frames*pixels", "window", "window*pixels", "mel_windows"),
    "prepare": ("one", "frames", "pixels", "frames*pixels", "mel_windows"),
    "predata": ("one", "frames", "pixels", "mel_windows"),
    "decode": ("one", "frames", "pixels", "frames*pixels", "decode_group*pixels", "mel_windows"),
    "interpolate": ("one", "frames", "pixels", "frames*pixels"),
}
"""The features that can have an influence in a stage."""
PADDED_FEATURES = {
    **STAGE_FEATURES,
    "prepare": (*STAGE_FEATURES["prepare"], "sound_frames"),
    "predata": ("one", "sound_frames", "pixels", "mel_windows"),
    "decode": (*STAGE_FEATURES["decode"], "sound_frames"),
    "interpolate": (*STAGE_FEATURES["interpolate"], "sound_frames"),
}
"""The same for relatives that make a window beyond the sound. In entry the sound is the clip without a window."""
_DEPTH_OF_BLOCK = {"down_blocks": (0, 1, 2, 3), "up_blocks": (3, 2, 1, 0), "mid_block": (3,)}


def _names(key: str, location: str, adapter: Adapter) -> tuple[str, ...]:
    stage, *options = key.split("/")
    names = (PADDED_FEATURES if adapter.padded else STAGE_FEATURES)[stage]
    if Optimization.TENSOR_OFFLOAD in options and stage != "predata":  # whisper's input is not on the GPU then
        names = tuple(name for name in names if name != "mel_windows")
    if Optimization.LAYER_CHUNKING not in options:
        return names
    _, block, index, *_ = (*location.partition("|")[0].split("."), "", "", "0")
    depths = _DEPTH_OF_BLOCK.get(block, (0,))
    depth = depths[int(index)] if index.isdigit() and len(depths) > 1 else depths[0]
    if adapter.window:  # the other features are these times a constant
        names, groups = ("one", "pixels"), ("spatial", "temporal", "window*band")
    else:
        groups = ("spatial", "temporal", "window*temporal", "window*band")
    return (*names, *(f"{group}{depth}" for group in groups))


def _fit(key: str, table: _Table, adapter: Adapter) -> list[dict[str, float]]:
    """The rows that set the peak of a variant, as {feature: bytes}."""
    peaks = [max(locations.values()) for locations in table.locations]
    # A location far below the peak for all shapes cannot set it for others. Of predata the shapes are small, and with
    # larger chunks than the traced ones the peak is elsewhere.
    near = 0.2 if key.startswith("predata") else 0.6 if Optimization.LAYER_CHUNKING in key.split("/") else 0.9
    names = [
        name
        for name in sorted(set.intersection(*map(set, table.locations)))
        if any(locations[name] > near * peak for locations, peak in zip(table.locations, peaks, strict=True))
    ]
    solved = [
        _solve(_names(key, name, adapter), table.features, [locations[name] for locations in table.locations])
        for name in names
    ]
    rows = _outermost(solved, _dense(key, adapter))
    _check(key, solved, table.features, peaks)
    if adapter.window is None:  # else the other windows are traced to tell it from what is constant: no job has them
        _check(key, rows, table.features, peaks)
    return [{name: round(float(value), 3) for name, value in zip(FEATURES, row, strict=True) if value} for row in rows]


def _solve(names: Sequence[str], rows: Sequence[Sequence[int]], sizes: Sequence[int]) -> np.ndarray:
    columns = [FEATURES.index(name) for name in names]
    matrix = np.array(rows, float)[:, columns]
    # Weighted by size, so that small shapes count as much as large ones; scaled, so that it is well conditioned.
    weights = 1.0 / np.array(sizes, float)
    scale = np.abs(matrix).max(axis=0)
    scale[scale == 0] = 1.0
    solution, *_ = np.linalg.lstsq(matrix / scale * weights[:, None], np.ones(len(sizes)), rcond=None)
    # A term of less than 1e-5 of the total for all shapes is the rounding to 512 bytes, not a tensor.
    share = np.abs(matrix / scale * solution) / np.array(sizes, float)[:, None]
    solution[share.max(axis=0) < 1e-5] = 0.0
    row = np.zeros(len(FEATURES))
    row[columns] = solution / scale
    return row


def _dense(key: str, adapter: Adapter) -> np.ndarray:
    """Features of many jobs, from tiny to huge, for which it is determined which rows set the peak."""
    long = (1,) if key.startswith("window") else (1, 3, 14, 100, 1000, 10_000, 150_000)
    sides = (128, 192, 256, 320, 384, 512, 640, 768, 1024, 1536, 2048)
    windows = (adapter.window,) if adapter.window else (5, 12, 25, 50, 120)
    chunk_sizes = (
        (MIN_CHUNK_SIZE, 4 * MIN_CHUNK_SIZE, 16 * MIN_CHUNK_SIZE)
        if Optimization.LAYER_CHUNKING in key.split("/")
        else (MIN_CHUNK_SIZE,)
    )
    jobs = itertools.product(long, sides, sides, windows, chunk_sizes)
    padding = adapter.padding
    return np.array([features(frames + padding, *job, padding=padding) for frames, *job in jobs], float)


def _outermost(rows: list[np.ndarray], jobs: np.ndarray) -> list[np.ndarray]:
    """A greedy choice of few rows whose maximum is within 0.02 % of the maximum of all rows, for all `jobs`."""
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
