"""Saves the denoising steps of a part on disk, so that a stopped run resumes after the last completed one.

A step is a file: a line of JSON that describes it, the scheduler's outputs for its windows (see
`low_vram.completed_steps`) in order as raw numbers, and the SHA-256 of all of that. The file's name holds the part's
name and the number of completed steps. It is renamed into place when it is complete; then the one before is removed.
"""

import hashlib
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import Tensor

from ..atomic_files import begin, commit, discard, errors_about, fault, temp_for
from ..errors import OutputError
from ..resume.manifest import plain_size, why
from .part_store import STEP_SUFFIX, steps_of

log = logging.getLogger(__name__)

_BLOCK_BYTES = 1 << 24
_HEAD_BYTES = 1 << 12
"""Upper bound of the length of the line of JSON."""


class _Head(BaseModel):
    """The line of JSON at the beginning of a step."""

    model_config = ConfigDict(strict=True)
    file: str
    """The file's own name, so that a copied or renamed file is not taken for another step or part."""
    windows: PositiveInt
    shape: Annotated[tuple[PositiveInt, ...], Field(max_length=8)]
    dtype: Literal["float16", "bfloat16", "float32", "float64"]


class _Step(NamedTuple):
    path: Path
    done: int
    windows: int
    shape: tuple[int, ...] = ()
    """Shape of a window's latents."""
    dtype: torch.dtype = torch.float16
    start: int = 0
    """Offset of the latents in the file."""

    @property
    def window_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def numbers_end(self) -> int:
        """Offset of the digest, which follows the latents."""
        return self.start + self.windows * self.window_bytes


class StepsOnDisk:
    """`low_vram.completed_steps.Steps` in a file; use as a context manager.

    If the disk fails while a step is written, that step is not saved, with a warning in the log; the run continues.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Load the latest step in `folder` under the part's `name`; save new ones there."""
        self._folder, self._name = folder, name
        found = [step for path in steps_of(folder, name) if (step := _read(path))]
        self._last = max(found, key=lambda step: step.done, default=None)
        self._next: _Step | None = None
        self._digest = hashlib.sha256()
        if self._last:
            log.info("The part is resumed after step %d, which an earlier attempt completed.", self._last.done)

    def __enter__(self) -> "StepsOnDisk":
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up()

    @property
    def done(self) -> int:
        """Number of completed steps."""
        return self._last.done if self._last else 0

    @property
    def windows(self) -> int:
        """Number of windows in the last completed step."""
        return self._last.windows if self._last else 0

    def get(self, window: int, like: Tensor) -> Tensor:
        """The scheduler's output for `window` of the last completed step, on the device of `like`.

        Raises `OutputError` if it cannot be read.
        """
        assert self._last, "there is no step"  # noqa: S101
        step = self._last
        with errors_about(step.path), step.path.open("rb") as file:
            file.seek(step.start + window * step.window_bytes)
            numbers = bytearray(file.read(step.window_bytes))
        if len(numbers) != step.window_bytes or step.shape != like.shape:
            discard(step.path)
            raise fault(step.path, "it has changed since it was written, and is removed. Run again.")
        return torch.frombuffer(numbers, dtype=step.dtype).view(step.shape).to(like.device)

    def begin(self, number: int, windows: int) -> None:
        """Begin step `number`."""
        path = self._folder / f"{self._name}-{number}{STEP_SUFFIX}"
        self._next, self._digest = _Step(path, number, windows), hashlib.sha256()
        with self._or_without():
            begin(path, overwrite=True)

    def put(self, latents: Tensor) -> None:
        """Save the next window of the current step. Raises `OutputError` for NaN, which no later step can remove."""
        if not torch.isfinite(latents).all():
            advice = "Load Sonic with dtype bf16 or fp32." if latents.dtype is torch.float16 else "Check its weights."
            raise OutputError(f"Sonic's network made NaN while denoising, in {latents.dtype}. {advice}")
        if self._next is None:
            return
        head = b""
        if not self._next.start:
            head = _head(self._next, latents)
            self._next = self._next._replace(shape=tuple(latents.shape), dtype=latents.dtype, start=len(head))
        numbers = latents.contiguous().cpu().view(torch.uint8).numpy()
        with self._or_without(), errors_about(self._next.path), temp_for(self._next.path).open("ab") as file:
            for data in (head, numbers.data):
                file.write(data)
                self._digest.update(data)

    def end(self) -> None:
        """Mark the current step as completed."""
        if self._next is None:
            return
        with self._or_without():
            with errors_about(self._next.path), temp_for(self._next.path).open("ab") as file:
                file.write(self._digest.digest())
            commit(self._next.path, overwrite=True)
            last, self._last, self._next = self._last, self._next, None
            if last and last.path != self._last.path:
                discard(last.path)

    @contextmanager
    def _or_without(self) -> Iterator[None]:
        """If the disk fails, give up the current step."""
        try:
            yield
        except OutputError as error:
            log.warning("This step is not saved; a run that is stopped now has to repeat it: %s", error)
            self._give_up()

    def _give_up(self) -> None:
        if self._next:
            with suppress(OSError):  # the next run removes it, and a failing disk was reported already
                temp_for(self._next.path).unlink(missing_ok=True)
        self._next = None


def _head(step: _Step, latents: Tensor) -> bytes:
    dtype = str(latents.dtype).removeprefix("torch.")
    fields = {"file": step.path.name, "windows": step.windows, "shape": tuple(latents.shape), "dtype": dtype}
    return _Head.model_validate(fields).model_dump_json().encode() + b"\n"


def _read(path: Path) -> _Step | None:
    """The step in a file; None, with a warning, if it is incomplete or damaged."""
    try:
        size = plain_size(path)
        with path.open("rb") as file:
            line = file.readline(_HEAD_BYTES)
            head = _Head.model_validate_json(line)
            done = int(path.stem.rpartition("-")[2])
            step = _Step(path, done, head.windows, head.shape, getattr(torch, head.dtype), len(line))
            digest = hashlib.sha256(line)
            if head.file == path.name and size == step.numbers_end + digest.digest_size:
                while block := file.read(min(_BLOCK_BYTES, step.numbers_end - file.tell())):
                    digest.update(block)
                if file.read(digest.digest_size) == digest.digest():
                    return step
        reason = "it has changed since it was written"
    except (OSError, ValueError) as error:
        reason = why(error)
    log.warning("%s cannot be read (%.200s); its steps are made again.", path, reason)
    return None
