"""The denoising steps of a part on disk, so that a run that was stopped goes on behind the last whole one.

A step is a file: a line of JSON that tells what it holds and under which name, what the scheduler gave for its windows
(see `lean.steps`), one after the other as it is in memory, and the SHA-256 of all that. Its name tells of which part it
is and how many steps are done with it. It appears when it is whole, and then the one before goes.
"""

import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import Tensor

from ..atomic_files import begin, commit, discard, errors_about, fault, temp_for
from ..errors import OutputError
from .manifest import plain_size, why
from .part_store import STEP_SUFFIX, steps_of

log = logging.getLogger(__name__)

_BLOCK_BYTES = 1 << 24
_HEAD_BYTES = 1 << 12
"""More than the line of JSON at the beginning has."""


class _Head(BaseModel):
    """The line of JSON at the beginning of a step."""

    model_config = ConfigDict(strict=True)
    file: str
    """The step's name: copied or renamed, it would be another step's, or another part's."""
    windows: PositiveInt
    shape: Annotated[tuple[PositiveInt, ...], Field(max_length=8)]
    dtype: Literal["float16", "bfloat16", "float32", "float64"]


class _Step(NamedTuple):
    path: Path
    done: int
    windows: int
    shape: tuple[int, ...] = ()
    """Of a window's latents."""
    dtype: torch.dtype = torch.float16
    start: int = 0
    """Of the latents in the file."""

    @property
    def window_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def numbers_end(self) -> int:
        """Where in the file the digest of all before it begins."""
        return self.start + self.windows * self.window_bytes


class StepsOnDisk:
    """Keeps the last whole step of a part: see `lean.steps.Steps`.

    A disk that fails costs what would have been kept, and a line in the log; the run goes on.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Go on from what `folder` has under any of `names`, those of the part; keep what comes under the first."""
        self._folder, self._name = folder, names[0]
        found = [step for name in names for path in steps_of(folder, name) if (step := _read(path))]
        self._last = max(found, key=lambda step: step.done, default=None)
        self._next: _Step | None = None
        self._digest = hashlib.sha256()
        if self._last:
            log.info("The part goes on behind step %d, which an earlier attempt has made.", self._last.done)

    def __enter__(self) -> "StepsOnDisk":
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up()

    @property
    def done(self) -> int:
        """Steps that need not be made again."""
        return self._last.done if self._last else 0

    @property
    def windows(self) -> int:
        """How many windows the last whole step has."""
        return self._last.windows if self._last else 0

    def get(self, window: int, like: Tensor) -> Tensor:
        """What the scheduler gave for a window of the last whole step. Raises `OutputError` if it cannot be read."""
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
        """Step `number` begins."""
        path = self._folder / f"{self._name}-{number}{STEP_SUFFIX}"
        self._next, self._digest = _Step(path, number, windows), hashlib.sha256()
        with self._or_without():
            begin(path, overwrite=True)

    def put(self, latents: Tensor) -> None:
        """Take the next window of the step under way. Raises `OutputError` for NaN: no later step makes up for it."""
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
        """The step under way is whole."""
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
        """Where the disk fails, give up the step under way."""
        try:
            yield
        except OutputError as error:
            log.warning("This step is not kept, and a run that is stopped now makes it again: %s", error)
            self._give_up()

    def _give_up(self) -> None:
        if self._next:
            with suppress(OSError):  # the next run clears it, and a disk that fails has said so
                temp_for(self._next.path).unlink(missing_ok=True)
        self._next = None


def _head(step: _Step, latents: Tensor) -> bytes:
    dtype = str(latents.dtype).removeprefix("torch.")
    told = {"file": step.path.name, "windows": step.windows, "shape": tuple(latents.shape), "dtype": dtype}
    return _Head.model_validate(told).model_dump_json().encode() + b"\n"


def _read(path: Path) -> _Step | None:
    """The step in a file; None where it is not whole."""
    try:
        size = plain_size(path)
        with path.open("rb") as file:
            head = file.readline(_HEAD_BYTES)
            told = _Head.model_validate_json(head)
            done = int(path.stem.rpartition("-")[2])
            step = _Step(path, done, told.windows, told.shape, getattr(torch, told.dtype), len(head))
            digest = hashlib.sha256(head)
            if told.file == path.name and size == step.numbers_end + digest.digest_size:
                while block := file.read(min(_BLOCK_BYTES, step.numbers_end - file.tell())):
                    digest.update(block)
                if file.read(digest.digest_size) == digest.digest():
                    return step
        reason = "it has changed since it was written"
    except (OSError, ValueError) as error:
        reason = why(error)
    log.warning("%s cannot be read (%.200s); its steps are made again.", path, reason)
    return None
