"""Decode and interpolation in one stream: frames are finished a few at a time, in order.

The wrapper decodes by handing groups of latents to a VAE. A `FrameStream` stands in for that VAE: it has
the group decoded, interpolates across the border to the group before, gives the finished frames away,
and returns no frames, so that the wrapper has nothing to pile up.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import WrapperError

FrameCallback = Callable[[Tensor], None]
"""Takes finished frames [n, H, W, 3], fp32 in 0 … 1 in host memory, in the order of the clip."""
OnStage = Callable[[str, int, int], None]
"""Told a stage, and how much of it is done of how much: passes of the network in denoise, else latent frames.

It may raise, which ends the run.
"""


class FrameStream:
    """The VAE of a run, as the wrapper sees it."""

    def __init__(
        self, vae: Any, rife: Any | None, device: torch.device, frames: int, on_frames: FrameCallback, on_stage: OnStage
    ) -> None:
        """Stream `frames` latent frames from `vae` to `on_frames`, with `rife`'s middle frames between them if given."""
        # Past __setattr__, which belongs to the VAE.
        self.__dict__.update(
            _vae=vae, _rife=rife, _device=device, _frames=frames, _on_frames=on_frames, _on_stage=on_stage
        )
        self.__dict__.update(_finished=0, _last=None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_vae"], name)

    def __setattr__(self, name: str, value: object) -> None:
        # The wrapper tells the VAE its device so.
        setattr(self._vae, name, value)

    def decode(self, latents: Tensor) -> Tensor:
        """Finish the frames of `latents` [n, 4, h, w]; returns none: [0, H, W, 3]."""
        self._on_stage("decode", self._finished, self._frames)
        frames = self._vae.decode(latents).float().cpu()
        self._finish(frames)
        return frames.new_empty((0, *frames.shape[1:]))  # no view, which would keep them

    def end(self, video: Tensor) -> None:
        """Finish what the wrapper decoded by itself: [1, 3, n, H, W], where n should be 0.

        Raises `WrapperError` unless all frames have come by then.
        """
        if video.shape[2]:
            self._finish(video[0].movedim(0, -1))
        if self._finished < self._frames:
            raise self._miscounted()
        self._on_stage("interpolate" if self._rife else "decode", self._frames, self._frames)

    def _miscounted(self) -> WrapperError:
        return WrapperError(
            f"lean: {self._finished} latent frames were decoded, not {self._frames}; this Sonic wrapper decodes in a "
            "way that is not known here. Update this pack, or report it with the wrapper's version; Sonic Low VRAM "
            "does without if pairwise is off."
        )

    def _finish(self, frames: Tensor) -> None:
        self.__dict__["_finished"] += len(frames)
        if self._finished > self._frames:
            raise self._miscounted()
        if self._rife is None:
            self._on_frames(frames)
            return
        self._on_stage("interpolate", self._finished - len(frames), self._frames)
        right = None if self._last is None else self._picture(self._last)
        for frame in map(Tensor.contiguous, frames):
            left, right = right, self._picture(frame)
            if left is not None:
                middle = self._rife.inference(left, right).clamp(0, 1)
                self._on_frames(middle.movedim(1, -1).cpu().contiguous())
            self._on_frames(frame[None])
        self.__dict__["_last"] = frames[-1].clone(memory_format=torch.contiguous_format)

    def _picture(self, frame: Tensor) -> Tensor:
        """[H, W, 3] as RIFE gets it from the wrapper: [1, 3, H, W] on its device, in memory still channels last."""
        return frame[None].permute(0, 3, 1, 2).to(self._device)


class Whole:
    """A sink that keeps the clip in one piece of memory, made once its size is known."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._held = 0
        self._out: Tensor | None = None

    def __call__(self, frames: Tensor) -> None:
        """Take the next frames."""
        if self._out is None:
            self._out = frames.new_empty((self._frames, *frames.shape[1:]))
        self._out[self._held : self._held + len(frames)] = frames
        self._held += len(frames)

    def video(self) -> Tensor:
        """The clip as Sonic returns it: [1, 3, frames, H, W]."""
        assert self._out is not None, "no frame has come"  # noqa: S101
        return self._out.movedim(-1, 0)[None]
