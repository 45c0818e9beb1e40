"""Hides the seam between two parts of a video, by a motion-compensated cross-fade with matched brightness.

Both parts have pictures of the same few moments that differ a little: the head is displaced by some pixels, the
brightness differs. A hard cut jumps, and a plain cross-fade shows both pictures at once. Here both are warped along
the optical flow between them, so that their contents coincide, before they are blended.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

MAX_GAIN = 1.25
"""Largest factor by which contrast is corrected: a larger difference is not drift but another picture."""

_BRIGHTNESS = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Luma weights of red, green and blue: ITU-R BT.709."""

Picture = np.ndarray
"""uint8 [H, W, 3], RGB."""


def hide_seam(old: Sequence[Picture], new: Iterable[Picture], settle: int) -> Iterator[np.ndarray]:
    """The transition from one part to the next: float32 [H, W, 3] in 0 … 1, as many pictures as `new` has.

    `old` are the last pictures of the earlier part. The first ``len(old)`` pictures of `new` show the same moments.
    Over them the result changes from `old` to `new`, whose brightness and contrast are matched to `old` per colour;
    over the next `settle` pictures this correction fades out.
    Where both parts agree the result is `new`, exactly in 8 bits. Memory: a few pictures more than `old` has,
    however long `new` is.
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
    """Gain and offset per colour that give `new` the mean and standard deviation of `old`: float32 [3] each."""
    moments = []
    for before, after in zip(old, new, strict=True):
        one, other = _unit(before), _unit(after)
        # Measured on aligned pictures, so that motion does not count as a change of brightness.
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
    """The picture interpolated between `old` (`way` 0) and `new` (1), both float32 [H, W, 3]."""
    forward, backward = _flow(old, new), _flow(new, old)
    # Flow from the interpolated picture to either end, approximated from both flows for linear motion (Jiang et al.,
    # Super SloMo, 2018, eq. 4).
    from_old = way * ((way - 1) * forward + way * backward)
    from_new = (1 - way) * ((1 - way) * forward - way * backward)
    return np.clip((1 - way) * _moved(old, from_old) + way * _moved(new, from_new), 0, 1)


def _flow(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Optical flow from `one` to `other` by dense inverse search: float32 [H, W, 2] in pixels."""
    import cv2

    no_motion: Any = np.zeros((*one.shape[:2], 2), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return search.calc(_grey(one), _grey(other), no_motion)


def _moved(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """`image` warped by `flow`: every pixel is taken from where the flow points."""
    import cv2

    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _grey(image: np.ndarray) -> np.ndarray:
    """The image's luma, uint8 [H, W], as the optical flow takes it."""
    return np.rint(image @ _BRIGHTNESS * 255).astype(np.uint8)


def _unit(picture: Picture) -> np.ndarray:
    return picture.astype(np.float32) / 255


def _smooth(way: float) -> float:
    """Smoothstep: 0 … 1 with slope 0 at both ends."""
    return way * way * (3 - 2 * way)
