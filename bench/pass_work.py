"""The work of one pass of the network: operations and memory traffic, counted while its shapes are traced.

``python -m bench.pass_work SONIC`` prints them beside the formula of `planning.pass_time`. Matrix products,
convolutions and attention count as operations; every operator that computes reads its inputs and writes its outputs.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from sonic_guard.devtools.allocation_tracker import DEVICE, fake_gpu
from sonic_guard.devtools.network_parts import TORCH_DTYPES, build_unet, forget_grids
from sonic_guard.devtools.sonic_checkout import open_checkout
from sonic_guard.job import Job
from sonic_guard.planning.pass_time import Work, work_of_pass

SHAPES = ((256, 256, 25), (512, 512, 12), (512, 512, 25), (512, 512, 50), (768, 512, 25), (1024, 1024, 25))


FREE = ("empty", "_unsafe_view", "detach")
"""Operators that are no views and move nothing."""


class WorkCounter(TorchDispatchMode):
    """Counts what the operators under it do, and attention, of which shape tracing has the shapes only."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self.moved_bytes = 0

    def __enter__(self) -> "WorkCounter":
        self._attention = functional.scaled_dot_product_attention
        functional.scaled_dot_product_attention = self._count_attention
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        functional.scaled_dot_product_attention = self._attention
        super().__exit__(*error)

    def _count_attention(self, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **named: Any) -> Tensor:
        out = self._attention(query, key, value, *rest, **named)
        self.operations += 2 * query.numel() * key.shape[-2] + 2 * out.numel() * key.shape[-2]
        self.moved_bytes += _bytes((query, key, value, out))
        return out

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        out = func(*args, **given)
        count = flop_registry.get(func._overloadpacket)
        if count:
            self.operations += count(*args, **given, out_val=out)
        if not func.is_view and not any(name in func.name() for name in FREE):
            self.moved_bytes += _bytes((args, given, out))
        return out


def _bytes(tensors: Any) -> int:
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(tensors) if isinstance(leaf, Tensor))


def main(sonic: str) -> None:
    """Print the work of a pass for each of `SHAPES`."""
    checkout, dtype = open_checkout(Path(sonic)), TORCH_DTYPES[Job(512, 512, 1.0).dtype]
    forget_grids(checkout)
    with fake_gpu(checkout.path), torch.no_grad():
        unet = build_unet(checkout, dtype, DEVICE)
        for width, height, frames in SHAPES:
            job = Job(width, height, 10.0, min_resolution=min(width, height), fps=float(frames))
            counted, formula = _count(unet, width, height, frames), work_of_pass(job)
            print(f"{width}×{height}, {frames} frames: {_text(counted)}; formula: {_text(formula)}", flush=True)


def _count(unet: Any, width: int, height: int, frames: int) -> Work:
    dtype = next(unet.parameters()).dtype
    with DEVICE:
        sample = torch.empty(3, frames, 8, height // 8, width // 8, dtype=dtype)
        image = torch.empty(3 * frames, 1, 1024, dtype=dtype)
        sound = torch.empty(3 * frames, 32, 1024, dtype=dtype)
        mask = torch.empty(1, 1, height, width, dtype=dtype)
        time, time_ids = torch.empty(()), torch.empty(3, 3, dtype=dtype)
    with WorkCounter() as counter:
        unet(
            sample, time, encoder_hidden_states=(image, [sound]), added_time_ids=time_ids,
            cross_attention_kwargs={"ip_adapter_masks": [mask]}, return_dict=False,
        )  # fmt: skip
    return Work(counter.operations / 1e12, counter.moved_bytes / 1e9)


def _text(work: Work) -> str:
    return f"{work.tflop:.1f} TFLOP, {work.gbytes:.0f} GB"


if __name__ == "__main__":
    main(sys.argv[1])
