"""Scenes whose picture is known at every moment, also between frames."""

from collections.abc import Callable

import cv2
import numpy as np

from sonic_guard.finishing.frames import Frame

Scene = Callable[[float], Frame]
"""The picture at a time in frames, uint8 [H, W, 3]."""
SIDE = 160


def textured(seed: int, side: int = 2 * SIDE, grain: float = 2.0) -> np.ndarray:
    """A random texture of a `grain` in pixels, float32 [side, side, 3] around 128."""
    noise = np.random.default_rng(seed).standard_normal((side, side, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), grain)
    return smooth / smooth.std() * 40 + 128


def moved(texture: np.ndarray, shift: tuple[float, float], angle: float = 0.0, zoom: float = 1.0) -> np.ndarray:
    """A texture shifted by pixels, turned by degrees and zoomed around its middle, float32 [SIDE, SIDE, 3]."""
    middle = texture.shape[1] / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), angle, zoom)
    matrix[:, 2] += np.subtract(shift, middle - SIDE / 2)
    return cv2.warpAffine(texture, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def as_frame(values: np.ndarray) -> Frame:
    """Rounded and clipped to uint8."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def disc_mask(time: float) -> np.ndarray:
    """How far the disc of `disc` covers each pixel, 0 … 1."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.clip(38.5 - np.hypot(x - 60 - 6 * time, y - 75 - 2 * time), 0, 1)


def disc(time: float) -> Frame:
    """A textured disc that passes over a texture which moves the other way."""
    behind, front = moved(textured(1), (-time, 0)), moved(textured(2) + 20, (6 * time, 2 * time))
    cover = disc_mask(time)[..., None]
    return as_frame(behind * (1 - cover) + front * cover)


def noisy(scene: Scene, sigma: float) -> Scene:
    """A scene with noise, another one in each frame."""

    def picture(time: float) -> Frame:
        noise = np.random.default_rng(round(2 * time)).standard_normal((SIDE, SIDE, 3))
        return as_frame(scene(time).astype(float) + sigma * noise)

    return picture


SCENES: dict[str, Scene] = {
    "still": lambda time: as_frame(moved(textured(3), (0, 0))),
    "pan": lambda time: as_frame(moved(textured(3, grain=4), (5.3 * time, -2.2 * time))),
    "slow pan": lambda time: as_frame(moved(textured(3), (0.4 * time, 0.3 * time))),
    "turn": lambda time: as_frame(moved(textured(4, grain=3), (0, 0), angle=2 * time)),
    "zoom": lambda time: as_frame(moved(textured(5, grain=3), (0, 0), zoom=1.03**time)),
    "disc": disc,
    "light": lambda time: as_frame(moved(textured(6), (0, 0)) * (1 + 0.05 * time)),
    "too fast": lambda time: as_frame(moved(textured(7, 4 * SIDE), (70 * time, 31 * time))),
    "only noise": lambda time: as_frame(textured(round(2 * time), SIDE, 0.7)),
}


def psnr(first: Frame, second: Frame) -> float:
    """Peak signal to noise in dB; 99 for equal pictures."""
    error = float(np.mean(np.square(first.astype(np.float32) - second.astype(np.float32))))
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)
