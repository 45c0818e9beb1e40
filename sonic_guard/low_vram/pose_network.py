"""The network that encodes a picture for every frame before the denoising loop, one frame at a time.

DICE Talk gives it the mask of the face once for each frame of the clip, all the same, and takes all frames in one
batch, whose memory is proportional to the length of the clip. Frames do not influence each other, so that neither their
order nor their number changes a result.
"""

from typing import Any

import torch
from torch import Tensor, nn

from .host_tensors import HOST


class PoseNetwork(nn.Module):
    """The network for the pipeline. Attributes that are not defined here are those of the network."""

    def __init__(self, network: nn.Module, device: torch.device, *, host: bool) -> None:
        """Run `network` on `device`; with `host` its input and output are in host memory, and it is on the GPU briefly.

        Otherwise it runs as the pipeline calls it.
        """
        super().__init__()
        self.__dict__["network"] = network  # not as a submodule: it must not be moved with this module
        self._device, self._host = device, host
        self.device = HOST if host else device

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["network"], name)

    def forward(self, pictures: Tensor) -> Tensor:
        """[1, 3, frames, H, W] → [1, C, frames, h, w]."""
        network = self.__dict__["network"].to(self._device)
        if not self._host:
            return network(pictures)
        out = torch.cat([network(each.to(self._device)).to(HOST) for each in pictures.split(1, dim=2)], dim=2)
        network.to(HOST)
        return out


def without_repetitions(pictures: list[Tensor]) -> tuple[list[Tensor], bool]:
    """`pictures` for the frames of a clip, and whether all of them are one: then it is there once.

    The pipeline repeats the last one beyond the clip's end, and takes for a frame that of its number modulo theirs.
    """
    same = all(each is pictures[0] for each in pictures)
    return (pictures[:1] if same else pictures), same
