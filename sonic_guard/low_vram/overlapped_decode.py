"""Decodes latents in groups that overlap, so that every frame but the clip's first and last has neighbours.

SVD's decoder mixes neighbouring frames: 29 convolutions over time, each of three frames with zeros beyond the ends.
The wrapper decodes 14 latent frames a call, so that the first and last ones of each group see zeros instead of their
neighbours, and come out brighter or darker than the others: the pulse about once a second. Here the groups are as
large, so that they need no more memory, but overlap, and their outer frames are dropped.

This changes the frames: they are no longer those of the wrapper. The decoder takes `cost` times as long.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

CONTEXT = 3
"""Latent frames that are decoded again on either side of a seam: a ninth of the pulse is left."""
Decode = Callable[[Tensor], Tensor]
"""[n, 4, h, w] → [n, …]."""


class OverlappedDecode:
    """Takes a clip's latents in the wrapper's groups, and gives its frames in order, each once."""

    def __init__(self, decode: Decode, frames: int, context: int) -> None:
        """Decode a clip of `frames` latent frames with `decode`, dropping `context` of them at each seam of a group.

        `context` is less where the wrapper's groups are too small for it: of a group, at least one frame is kept.
        """
        self._decode, self._frames, self._context = decode, frames, context
        self._group = 0
        self._held: Tensor | None = None
        self._start = self._done = self._received = 0

    def __call__(self, latents: Tensor) -> Iterator[Tensor]:
        """What is finished with the next group, `latents` [n, 4, h, w]; with the last one of the clip, all the rest."""
        self._group = self._group or len(latents)  # the first group is a whole one, or the clip
        self._held = latents if self._held is None else torch.cat([self._held, latents])
        self._received += len(latents)
        step = self._group - 2 * min(self._context, (self._group - 1) // 2)
        while self._done < self._received:
            end = self._start + self._group
            is_last = self._received >= self._frames and end >= self._received
            if not is_last and end > self._received:
                return
            frames = self._decode(self._held[: self._group])
            kept = self._received if is_last else end - (self._group - step) // 2
            yield frames[self._done - self._start : kept - self._start]
            self._done = kept
            if not is_last:
                self._start += step
                self._held = self._held[step:]


def decode_context(overlapped: bool) -> int:
    """Latent frames of context on either side of a seam: `CONTEXT` where the groups overlap, else none."""
    return CONTEXT if overlapped else 0


def cost(group: int, context: int) -> float:
    """Time of the decoder with `context`, relative to that without, for groups of `group` frames in a long clip."""
    return group / (group - 2 * min(context, (group - 1) // 2))
