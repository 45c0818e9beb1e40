"""What a step of finishing is: pictures in, pictures out, one after the other."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, is_dataclass
from functools import reduce
from math import ceil, prod
from typing import Any, Protocol

import numpy as np

Frame = np.ndarray
"""A picture: uint8 [H, W, 3], RGB."""


class FrameFilter(Protocol):
    """A step, as a frozen dataclass with its settings.

    A picture that comes out depends on a bounded number of neighbours of that which goes in, and on nothing else. So a
    run that was stopped is resumed in the middle of a video with the same pictures.
    """

    @property
    def before(self) -> int:
        """Number of pictures before one that it depends on."""
        ...

    @property
    def after(self) -> int:
        """Number of pictures after one that it depends on."""
        ...

    @property
    def multiple(self) -> int:
        """Pictures that come out for each that goes in."""
        ...

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what comes out."""
        ...

    def run(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The pictures, as a generator that holds few of them. One that is unchanged is the same object."""
        ...


class Notes(Protocol):
    """What a filter sees of the frames and a report tells: it is kept with the frames, for a run that is resumed."""

    def of(self, first: int, end: int) -> Any:
        """A list of JSON values: what was noted of the frames `first` … `end` − 1 of the video."""
        ...

    def resume(self, kept: Iterable[Any], again: int) -> None:
        """Begin with `kept`, what `of` gave in an earlier run. The first `again` frames to come are among them."""
        ...


def run_all(filters: Sequence[FrameFilter], frames: Iterator[Frame]) -> Iterator[Frame]:
    """`frames` through all `filters`."""
    return reduce(lambda passed, step: step.run(passed), filters, frames)


def multiple_of(filters: Sequence[FrameFilter]) -> int:
    """Pictures that come out of all filters for each that goes in."""
    return prod(step.multiple for step in filters)


def size_after(filters: Sequence[FrameFilter], width: int, height: int) -> tuple[int, int]:
    """Width and height of what comes out of all filters."""
    return reduce(lambda size, step: step.size(*size), filters, (width, height))


def before_of(filters: Sequence[FrameFilter]) -> int:
    """Number of pictures before one that its results depend on, through all filters."""
    needed, made = 0, 1
    for step in filters:
        needed += ceil(step.before / made)
        made *= step.multiple
    return needed


def settings_of(step: FrameFilter) -> list[Any]:
    """What determines the pictures of a filter, as JSON values: its `key` if it has one, else its fields."""
    key = getattr(step, "key", None)
    if key is None:
        assert is_dataclass(step) and not isinstance(step, type)  # noqa: S101
        key = asdict(step)
    return [type(step).__name__, key]
