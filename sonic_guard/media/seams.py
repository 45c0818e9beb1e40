"""Hide the seam between two parts of a video: one picture is turned into the other while brightness is evened out.

Both parts have pictures of the same few moments, alike but not the same: the head is elsewhere by some pixels, the
light a little other. A hard cut jumps; a plain cross-fade shows both at once. Here both pictures are first moved to
where their contents meet on the way from one to the other, along the optical flow between them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

MAX_GAIN = 1.25
"""Contrast is evened out by at most this factor: more is no drift of brightness but another picture."""

_BRIGHTNESS = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""How bright the eye finds red, green and blue."""

Picture = np.ndarray
"""uint8 [H, W, 3], RGB."""


def hide_seam(old: Sequence[Picture], new: Iterable[Picture], settle: int) -> Iterator[np.ndarray]:
    """The pictures that lead from one part into the next: float32 [H, W, 3], 0 … 1, as many as `new` has.

    `old` are the last pictures of the earlier part; `new` begins at the same moment as `old`, and its first
    ``len(old)`` pictures show the same moments. Over them `old` turns into `new`, whose brightness and contrast, colour
    by colour, are matched to `old`; over the next `settle` pictures they go back to its own.
    Where both agree the result is `new`, to the last of 8 bits. Memory: a few pictures more than `old` has, however
    long `new` is.
    """
    coming = iter(new)
    overlap = [picture for _, picture in zip(old, coming, strict=False)]
    gain, offset = _levels(old, overlap)
    for index, (before, after) in enumerate(zip(old, overlap, strict=True)):
        way = _smooth((index + 1) / (len(old) + 1))
        yield _between(_unit(before), np.clip(_unit(after) * gain + offset, 0, 1), way)
    for index, picture in enumerate(coming):
        rest = 1 - _smooth(min(1.0, (index + 1) / (settle + 1)))
        yield np.clip(_unit(picture) * (1 + rest * (gain - 1)) + rest * offset, 0, 1)


def _levels(old: Sequence[Picture], new: Sequence[Picture]) -> tuple[np.ndarray, np.ndarray]:
    """Gain and offset, a number a colour, that give `new` the mean and spread of `old`; float32 [3]."""
    moments = []
    for before, after in zip(old, new, strict=True):
        one, other = _unit(before), _unit(after)
        # Measured where contents meet: what comes in at a border or moves over the ground is no change of brightness.
        moments.append((_moments(one), _moments(_moved(other, _flow(one, other)))))
    (old_mean, old_square), (new_mean, new_square) = np.mean(moments, axis=0)
    old_spread, new_spread = np.sqrt(np.maximum(0, [old_square - old_mean**2, new_square - new_mean**2]))
    ratio = np.divide(old_spread, new_spread, out=np.ones(3), where=new_spread > 0)
    gain = np.clip(ratio, 1 / MAX_GAIN, MAX_GAIN)
    return gain.astype(np.float32), (old_mean - gain * new_mean).astype(np.float32)


def _moments(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of every colour, and of its square: float64 [3]."""
    return image.mean(axis=(0, 1), dtype=np.float64), np.square(image).mean(axis=(0, 1), dtype=np.float64)


def _between(old: np.ndarray, new: np.ndarray, way: float) -> np.ndarray:
    """The picture at `way` (0 … 1) on the way from `old` to `new`, both float32 [H, W, 3]."""
    there, back = _flow(old, new), _flow(new, old)
    # Where a pixel of the result comes from, seen from either end: the flow of both, as if it were even on the way.
    from_old = way * ((way - 1) * there + way * back)
    from_new = (1 - way) * ((1 - way) * there - way * back)
    return np.clip((1 - way) * _moved(old, from_old) + way * _moved(new, from_new), 0, 1)


def _flow(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far each pixel of `one` has moved in `other`: float32 [H, W, 2] in pixels, by dense inverse search."""
    import cv2

    still: Any = np.zeros((*one.shape[:2], 2), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return search.calc(_grey(one), _grey(other), still)


def _moved(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """`image` with every pixel taken from where `flow` points."""
    import cv2

    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _grey(image: np.ndarray) -> np.ndarray:
    """The image's brightness, uint8 [H, W]: what the search for the flow takes."""
    return np.rint(image @ _BRIGHTNESS * 255).astype(np.uint8)


def _unit(picture: Picture) -> np.ndarray:
    return picture.astype(np.float32) / 255


def _smooth(way: float) -> float:
    """0 … 1 with a gentle start and end."""
    return way * way * (3 - 2 * way)
