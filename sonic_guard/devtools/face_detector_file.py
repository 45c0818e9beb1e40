"""A face detector for tests: a TorchScript file with the interface of the wrapper's YOLO. It always finds one face."""

from pathlib import Path

import torch
from torch import Tensor, nn


class FixedFaceDetector(nn.Module):
    """Finds a face in the middle of every picture, half as wide and half as high as the picture.

    A row of its answer is a candidate, of which only the first is a face: centre x, y, width and height in pixels of
    the picture given, score, x and y of five landmarks, class score.
    """

    def forward(self, img: Tensor, grids: list[Tensor]) -> Tensor:
        """Picture [1, 3, h, w] and its grids → [1, 3, 16]."""
        height, width = float(img.shape[2]), float(img.shape[3])
        found = torch.zeros(1, 3, 16, device=img.device)
        found[0, 0, 0:4:2] = width / 2
        found[0, 0, 1:4:2] = height / 2
        found[0, 0, 5:15:2] = width / 2
        found[0, 0, 6:15:2] = height / 2
        found[0, 0, 4] = 0.95
        found[0, 0, 15] = 1.0
        return found


def save_face_detector(file: Path) -> None:
    """Write the detector as a TorchScript file, as the wrapper loads it."""
    torch.jit.script(FixedFaceDetector()).save(str(file))
