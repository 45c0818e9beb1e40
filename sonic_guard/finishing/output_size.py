"""The size of an upscaled video."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import FinishError

LONGEST_SIDE = 16_384
"""Most pixels of a side of the result: no encoder takes more."""


@dataclass(frozen=True)
class OutputSize:
    """A height in pixels, or a factor; one of the two.

    Raises `FinishError` for both, none, or a value that is not positive.
    """

    height: int | None = None
    factor: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.height, self.factor) if value is not None]
        if len(given) != 1:
            raise FinishError("size: give a height or a factor, one of the two.")
        if not 0 < given[0] < float("inf"):
            raise FinishError(f"size: {given[0]} is no size. Use a height such as 1080, or a factor such as 2.")

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the result: even, and of the same shape to the nearest even number.

        Raises `FinishError` for a side of more than `LONGEST_SIDE`.
        """
        ratio = self.height / height if self.height is not None else self.factor or 1.0
        wide, high = (max(2, 2 * round(side * ratio / 2)) for side in (width, height))
        if max(wide, high) > LONGEST_SIDE:
            raise FinishError(
                f"size: {wide}×{high} is more than {LONGEST_SIDE} pixels a side, which no encoder takes. Choose less."
            )
        return wide, high


SIZES: Mapping[str, OutputSize] = {
    "1080p": OutputSize(height=1080), "1440p": OutputSize(height=1440), "2160p": OutputSize(height=2160),
    "720p": OutputSize(height=720), "2x": OutputSize(factor=2), "3x": OutputSize(factor=3), "4x": OutputSize(factor=4),
}  # fmt: skip
"""The sizes in a menu, by their names: a height, or a factor."""
