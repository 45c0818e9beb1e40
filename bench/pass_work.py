"""The work of one pass of the network: operations, memory traffic and launches, counted while its shapes are traced.

``python -m bench.pass_work SONIC`` prints them beside the formulas of `planning.pass_time`: of the stock order, of the
orders that take more launches, and of streamed weights, whose copies are set against the work of each layer. Matrix
products, convolutions and attention count as operations; every operator that is no view reads its inputs, writes its
outputs and is a launch.
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from sonic_guard.devices.card_catalogue import find_card
from sonic_guard.devtools.allocation_tracker import DEVICE, fake_gpu
from sonic_guard.devtools.network_parts import TORCH_DTYPES, build_unet, forget_grids
from sonic_guard.devtools.sonic_checkout import open_checkout
from sonic_guard.job import MIN_CHUNK_SIZE, Job
from sonic_guard.low_vram import layer_orders
from sonic_guard.low_vram.weight_streaming import streamed_layers
from sonic_guard.optimizations import Optimization
from sonic_guard.planning.pass_time import MEASURED, Work, exposed_s, launches, work_of_pass

SHAPES = ((256, 256, 25), (512, 512, 12), (512, 512, 25), (512, 512, 50), (768, 512, 25), (1024, 1024, 25))
BRANCH, FF, LAYERS = (
    Optimization.SEQUENTIAL_CFG,
    Optimization.FEED_FORWARD_CHUNKING,
    Optimization.LAYER_CHUNKING,
)
ORDERS = (
    ({BRANCH}, 1),
    ({BRANCH, FF}, 1),
    *(({LAYERS}, factor) for factor in (1, 2, 4, 8)),
    *(({LAYERS, BRANCH}, factor) for factor in (1, 2, 4, 8)),
)
"""Optimizations, and chunks in units of the smallest."""
SIDES = (512, 1024)
CARDS = ("H200", "RTX 4090", "RTX 3060 12GB", "Tesla T4")
BUSES = (25.0, 12.0, 6.0)
"""10**9 bytes a second from host memory to a GPU."""
FREE = ("empty", "_unsafe_view", "detach")
"""Operators that are no views and launch nothing."""


class Count(NamedTuple):
    """What a pass, or a layer in it, does."""

    operations: int
    moved_bytes: int
    launches: int

    def minus(self, before: "Count") -> "Count":
        """What was done since."""
        return Count(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def work(self) -> Work:
        """In the units of the formula."""
        return Work(self.operations / 1e12, self.moved_bytes / 1e9)


class WorkCounter(TorchDispatchMode):
    """Counts what the operators under it do, and attention, of which shape tracing has the shapes only."""

    def __init__(self) -> None:
        super().__init__()
        self._operations = self._moved_bytes = self._launches = 0

    @property
    def count(self) -> Count:
        """All of it until now."""
        return Count(self._operations, self._moved_bytes, self._launches)

    def __enter__(self) -> "WorkCounter":
        self._attention = functional.scaled_dot_product_attention
        functional.scaled_dot_product_attention = self._count_attention
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        functional.scaled_dot_product_attention = self._attention
        super().__exit__(*error)

    def _count_attention(self, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **named: Any) -> Tensor:
        out = self._attention(query, key, value, *rest, **named)
        self._operations += 2 * query.numel() * key.shape[-2] + 2 * out.numel() * key.shape[-2]
        self._moved_bytes += _bytes((query, key, value, out))
        self._launches += 1
        return out

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        out = func(*args, **given)
        if func.namespace != "aten":  # `prim::device` and the like only ask a tensor
            return out
        count = flop_registry.get(func._overloadpacket)
        if count:
            self._operations += count(*args, **given, out_val=out)
        if not func.is_view and not any(name in func.name() for name in FREE):
            self._moved_bytes += _bytes((args, given, out))
            self._launches += 1
        return out


def _bytes(tensors: Any) -> int:
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(tensors) if isinstance(leaf, Tensor))


def main() -> None:
    """Print the work of a pass for each of `SHAPES`, its launches for `ORDERS`, and the exposed copies for `CARDS`."""
    parser = argparse.ArgumentParser("python -m bench.pass_work", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("sonic", type=Path, metavar="SONIC", help="the folder of ComfyUI_Sonic")
    checkout, dtype = open_checkout(parser.parse_args().sonic), TORCH_DTYPES[Job(512, 512, 1.0).dtype]
    forget_grids(checkout)
    with fake_gpu(checkout.path), torch.no_grad():
        unet = build_unet(checkout, dtype, DEVICE)
        for shape in SHAPES:
            _print_work(unet, *shape)
        for side in SIDES:
            for optimizations, factor in ORDERS:
                _print_launches(unet, side, frozenset(optimizations), factor)
        for side in SIDES:
            _print_copies(unet, side)


def _job(width: int, height: int, frames: int, **more: Any) -> Job:
    return Job(width, height, 10.0, min_resolution=min(width, height), fps=float(frames), **more)


def _print_work(unet: Any, width: int, height: int, frames: int) -> None:
    (count,), work = _counts(unet, width, height, frames), work_of_pass(_job(width, height, frames))
    print(
        f"{width}×{height}, {frames} frames: {count.work.tflop:.1f} TFLOP, {count.work.gbytes:.0f} GB, "
        f"{count.launches} launches; formula: {work.tflop:.1f} TFLOP, {work.gbytes:.0f} GB",
        flush=True,
    )


def _print_launches(unet: Any, side: int, optimizations: frozenset[Optimization], factor: int) -> None:
    undo = layer_orders.enable(unet, optimizations, chunk_size=factor * MIN_CHUNK_SIZE)
    (count,) = _counts(unet, side, side, 25)
    undo()
    job = _job(side, side, 25, optimizations=optimizations, chunk_size=factor * MIN_CHUNK_SIZE)
    names = "+".join(sorted(optimizations))
    print(f"{side}², {names} × {factor}: {count.launches} launches; formula: {launches(job):.0f}", flush=True)


def _print_copies(unet: Any, side: int) -> None:
    layers = list(streamed_layers(unet))
    sizes = [sum(weight.nbytes for weight in layer.parameters()) for layer in layers]
    work = _counts(unet, side, side, 25, layers)
    for name in CARDS:
        speed = find_card(name).speed
        assert speed is not None  # noqa: S101
        for branches in (1, 3):
            busy = [each.work.seconds(speed.fp16_tflops, speed.gbps, MEASURED) / branches for each in work]
            whole = branches * sum(busy)
            for gbps in BUSES:
                copies = [size / gbps / 1e9 for size in sizes]
                waited = branches * _waited(busy, copies)
                formula = exposed_s(branches * sum(copies), whole)
                print(
                    f"{side}², {name}, {gbps:g} GB/s, {branches} × {sum(copies):.2f} s of copies beside "
                    f"{whole:.2f} s: {waited / whole:.1%} of the pass exposed; formula: {formula / whole:.1%}",
                    flush=True,
                )


def _waited(busy: Sequence[float], copies: Sequence[float]) -> float:
    """Seconds for which layers wait for their weights, if each one's are copied while the layer before it computes."""
    beside = zip(busy, [*copies[1:], 0.0], strict=True)
    return copies[0] + sum(max(0.0, copy - work) for work, copy in beside)


def _counts(unet: Any, width: int, height: int, frames: int, layers: Sequence[Any] = ()) -> list[Count]:
    """The work of a pass from each of `layers`, which run in this order, to the next; without them, of all of it."""
    marks: list[Count] = []
    positional, named = _inputs(unet, width, height, frames)
    with WorkCounter() as counter:
        hooks = [each.register_forward_pre_hook(lambda *_: marks.append(counter.count)) for each in layers]
        unet(*positional, **named)
    for hook in hooks:
        hook.remove()
    return [after.minus(before) for before, after in pairwise([*(marks or [Count(0, 0, 0)]), counter.count])]


def _inputs(unet: Any, width: int, height: int, frames: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    dtype = next(unet.parameters()).dtype
    with DEVICE:
        sample = torch.empty(3, frames, 8, height // 8, width // 8, dtype=dtype)
        image = torch.empty(3 * frames, 1, 1024, dtype=dtype)
        sound = torch.empty(3 * frames, 32, 1024, dtype=dtype)
        mask = torch.empty(1, 1, height, width, dtype=dtype)
        time, time_ids = torch.empty(()), torch.empty(3, 3, dtype=dtype)
    return (sample, time), {
        "encoder_hidden_states": (image, [sound]),
        "added_time_ids": time_ids,
        "cross_attention_kwargs": {"ip_adapter_masks": [mask]},
        "return_dict": False,
    }


if __name__ == "__main__":
    main()
