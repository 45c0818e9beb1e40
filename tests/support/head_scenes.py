"""Rendered scenes of which everything is known: a talking head in front of a wall, with jitter, pulses or neither.

A scene is rendered from continuous textures at the positions that each pixel sees, twice as fine as the picture. So a
shift of 0.3 pixels is one, and the clean clip is what an ideal filter gives back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

PORTRAIT = Path(__file__).parents[2] / "demo" / "portrait.jpg"
EYES = ((204.0, 102.0), (248.0, 104.0))
MOUTH = (224.0, 143.0)
"""In the portrait, in pixels."""
FPS = 25.0
FINE = 2
"""Samples of a pixel in each direction."""


@dataclass(frozen=True)
class Scene:
    """A head of the size of the demo portrait's that nods and speaks, in front of a wall with structure."""

    size: int = 256
    """Pixels of a side."""
    frames: int = 50
    nod: tuple[float, float] = (5.0, 3.0)
    """Pixels by which the head moves right and left, up and down, as parts of a picture of 256."""
    seed: int = 1

    def aperture(self, frame: int) -> float:
        """Height of the open mouth in pixels of a picture of 256: three to four syllables a second."""
        time_s = frame / FPS
        return 6 * (0.5 + 0.3 * np.sin(2 * np.pi * 3.3 * time_s) + 0.2 * np.sin(2 * np.pi * 1.1 * time_s + 1))

    def place(self, frame: int) -> tuple[float, float]:
        """Where the head is, relative to its place in the middle, in pixels of a picture of 256."""
        time_s = frame / FPS
        return self.nod[0] * np.sin(2 * np.pi * 0.5 * time_s), self.nod[1] * np.sin(2 * np.pi * 0.8 * time_s + 0.7)

    def mouth(self, frame: int) -> tuple[float, float]:
        """The middle of the mouth, in pixels of this picture."""
        x, y = self.place(frame)
        return (MOUTH[0] - 96 + x) * self.size / 256, (MOUTH[1] + 6 + y) * self.size / 256

    def render(self, shifts: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
        """The frames, uint8 [size, size, 3]; each pixel of frame n shows what `shifts[n]`, [size, size, 2], away is."""
        still = np.zeros((self.size, self.size, 2), np.float32)
        return [self._frame(n, still if shifts is None else shifts[n]) for n in range(self.frames)]

    def _frame(self, frame: int, shift: np.ndarray) -> np.ndarray:
        fine = self.size * FINE
        grid = np.stack(np.meshgrid(np.arange(fine), np.arange(fine)), -1).astype(np.float32)
        seen = (grid + 0.5) / FINE - 0.5 + cv2.resize(shift, (fine, fine), interpolation=cv2.INTER_LINEAR)
        seen = (seen + 0.5) * (256 / self.size) - 0.5
        picture = _at(_wall(self.seed), seen * 2 + 40)
        head = seen - np.float32(self.place(frame)) + np.float32((96, -6))
        face, alpha = _at(_portrait(), head), _at(_oval(), head)[..., None]
        opening = ((head - np.float32(MOUTH)) / np.float32((13, max(0.3, self.aperture(frame) / 2)))) ** 2
        open_mouth = np.clip((1 - opening.sum(-1)) * 2, 0, 1)[..., None]
        face = face * (1 - open_mouth) + np.float32((60, 20, 20)) * open_mouth
        picture = picture * (1 - alpha) + face * alpha
        small = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.clip(small + 0.5, 0, 255).astype(np.uint8)


def shake(count: int, size: int, pixels: float, seed: int = 2) -> list[np.ndarray]:
    """Shifts of whole frames, independent from frame to frame, `pixels` (rms) long: [size, size, 2] each."""
    random = np.random.default_rng(seed)
    return [np.full((size, size, 2), random.normal(0, pixels / 2**0.5, 2), np.float32) for _ in range(count)]


def shimmer(count: int, size: int, pixels: float, cell: float = 12.0, seed: int = 3) -> list[np.ndarray]:
    """Shifts that vary over `cell` pixels as well as from frame to frame, `pixels` (rms) long."""
    random = np.random.default_rng(seed)
    fields = (cv2.GaussianBlur(random.normal(size=(size, size, 2)), (0, 0), cell) for _ in range(count))
    return [(field * pixels / np.sqrt((field**2).sum(-1).mean())).astype(np.float32) for field in fields]


def pulsed(
    frames: Sequence[np.ndarray], gains: Sequence[float] = (1.03, 1.06, 1.04), first: int = 10, every: int = 25
) -> tuple[list[np.ndarray], list[float]]:
    """The frames with a pulse of these gains at `first` and every `every` frames, and the gain of each frame."""
    known = [gains[k] if n >= first and (k := (n - first) % every) < len(gains) else 1.0 for n in range(len(frames))]
    return [brightened(frame, gain) for frame, gain in zip(frames, known, strict=True)], known


def brightened(frame: np.ndarray, gain: float | np.ndarray) -> np.ndarray:
    """The frame times `gain`, a number or [H, W, 1 or 3], rounded and clipped."""
    return np.clip(frame * np.asarray(gain, np.float64) + 0.5, 0, 255).astype(np.uint8)


def opening(frame: np.ndarray, middle: tuple[float, float]) -> float:
    """The height of the dark of the mouth around `middle`, in pixels of a picture of 256: how far it is open.

    By the light that is missing in a strip: that changes neither with a shift by a part of a pixel nor with blur.
    """
    scale = frame.shape[0] / 256
    strip = cv2.getRectSubPix(frame, (round(7 * scale), round(30 * scale)), middle).astype(np.float64)
    return float(((170 - strip[..., 1]) / 150).sum(0).mean()) / scale


def psnr(frames: Sequence[np.ndarray], clean: Sequence[np.ndarray]) -> float:
    """Peak signal to noise in dB, over all pixels of all frames."""
    errors = [np.square(a.astype(np.float64) - b).mean() for a, b in zip(frames, clean, strict=True)]
    return float(10 * np.log10(255**2 / np.mean(errors)))


def gain_errors(frames: Sequence[np.ndarray], clean: Sequence[np.ndarray]) -> np.ndarray:
    """By how much each frame is brighter than its clean one, in per cent."""
    ratios = [
        (a.astype(np.float64) * b).sum() / np.square(b.astype(np.float64)).sum()
        for a, b in zip(frames, clean, strict=True)
    ]
    return 100 * (np.array(ratios) - 1)


def rms(values: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def _at(picture: np.ndarray, positions: np.ndarray) -> np.ndarray:
    x, y = cv2.split(np.ascontiguousarray(positions, np.float32))
    return cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


@lru_cache(maxsize=4)
def _wall(seed: int) -> np.ndarray:
    """A wall with structure of 2 to 60 pixels, float32 [640, 640, 3]; half a pixel of a picture of 256 each."""
    random = np.random.default_rng(seed)
    octaves = [(2.0, 14.0), (5.0, 16.0), (14.0, 20.0), (60.0, 25.0)]
    noise = [cv2.GaussianBlur(random.normal(size=(640, 640, 3)), (0, 0), blur) for blur, _ in octaves]
    noise = [layer + 2 * layer.mean(2, keepdims=True) for layer in noise]
    layers = [layer / layer.std() * level for layer, (_, level) in zip(noise, octaves, strict=True)]
    return (np.float32((150, 135, 120)) + sum(layers)).clip(10, 245).astype(np.float32)


@lru_cache(maxsize=1)
def _portrait() -> np.ndarray:
    picture = cv2.imread(str(PORTRAIT))
    assert picture is not None, PORTRAIT
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.float32)


@lru_cache(maxsize=1)
def _oval() -> np.ndarray:
    """The outline of head and hair in the portrait, 0 … 1, soft."""
    mask = np.zeros(_portrait().shape[:2], np.float32)
    cv2.ellipse(mask, (224, 110), (62, 84), 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(mask, (0, 0), 3)
