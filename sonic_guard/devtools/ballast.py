"""Fills a card from another process, so that this one has only so much of it left, whatever its allocator counts.

torch's own limit counts reserved memory with the native allocator, and only live tensors with cudaMallocAsync: that
pool would grow beyond it. A full card limits both.
"""

import multiprocessing
from multiprocessing.connection import Connection
from types import TracebackType

from ..errors import SonicGuardError

GRAIN_BYTES = 2 << 20
"""The driver gives memory in pieces of this size."""
START_S = 120.0
"""Longest time for a change: the first one starts a process that imports torch."""


class Ballast:
    """Holds memory of a card in a process of its own until it is closed."""

    def __init__(self, device_index: int = 0) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_hold, args=(other, device_index), daemon=True)
        self._process.start()
        other.close()

    def __enter__(self) -> "Ballast":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pipe.close()
        self._process.join(START_S)

    def leave(self, free_bytes: int) -> int:
        """Fill the card until `free_bytes` are left to others, to a `GRAIN_BYTES` or two; returns what is left.

        Raises `SonicGuardError` if the process does not answer or the card has less.
        """
        left = self._ask(free_bytes)
        if left < free_bytes - 2 * GRAIN_BYTES:
            raise SonicGuardError(
                f"measure: only {left} bytes are free on the card, not {free_bytes}; end what uses it."
            )
        return left

    def drop(self) -> None:
        """Give the memory back."""
        self._ask(None)

    def _ask(self, free_bytes: int | None) -> int:
        try:
            self._pipe.send(free_bytes)
            if self._pipe.poll(START_S):
                return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise SonicGuardError("measure: the process that fills the card has ended.") from error
        raise SonicGuardError("measure: the process that fills the card does not answer.")


def surplus(free_bytes: int, target_bytes: int | None) -> int:
    """Bytes to take so that of `free_bytes` the target is left, in whole pieces; 0 to leave all (None)."""
    return 0 if target_bytes is None else max(0, free_bytes - target_bytes) // GRAIN_BYTES * GRAIN_BYTES


def _hold(pipe: Connection, index: int) -> None:
    """Take what is asked for, until the other end is closed."""
    import torch

    device = torch.device("cuda", index)
    while True:
        try:
            target = pipe.recv()
        except EOFError:
            return
        held = None  # noqa: F841  (the last one is freed)
        torch.cuda.empty_cache()
        size = surplus(torch.cuda.mem_get_info(device)[0], target)
        held = torch.empty(size, dtype=torch.uint8, device=device) if size else None  # noqa: F841
        pipe.send(torch.cuda.mem_get_info(device)[0])
