"""Decodes and interpolates in one stream: frames are finished a few at a time, in order.

The wrapper decodes by giving groups of latents to a VAE. A `FrameStream` replaces that VAE: it decodes each group,
interpolates also between the last frame of the group before and the first of this one, passes the finished frames to a
callback, and returns no frames, so that the wrapper does not accumulate them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import WrapperError
from .overlapped_decode import OverlappedDecode

FrameCallback = Callable[[Tensor], None]
"""Receives finished frames [n, H, W, 3], fp32 in 0 … 1 in host memory, in the order of the clip."""
OnStage = Callable[[str, int, int], None]
"""Receives a stage, and how much of it is done of how much: passes of the network in denoise, else latent frames.

An exception ends the run.
"""


class FrameStream:
    """A proxy of the VAE that finishes frames while the wrapper decodes. Other attributes are those of the VAE."""

    def __init__(
        self, vae: Any, rife: Any | None, device: torch.device, frames: int, on_frames: FrameCallback,
        on_stage: OnStage, decode_context: int = 0,
    ) -> None:  # fmt: skip
        """Decode `frames` latent frames with `vae`, interpolate with `rife` if given, and pass them to `on_frames`.

        With `decode_context` the groups overlap (see `overlapped_decode`), which changes the frames at their seams.
        """
        # Bypasses __setattr__, which sets attributes of the VAE.
        self.__dict__.update(
            _vae=vae, _rife=rife, _device=device, _frames=frames, _on_frames=on_frames, _on_stage=on_stage
        )
        self.__dict__.update(_finished=0, _last=None)
        overlapped = OverlappedDecode(vae.decode, frames, decode_context)
        self.__dict__.update(_decode=overlapped if decode_context else lambda latents: [vae.decode(latents)])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_vae"], name)

    def __setattr__(self, name: str, value: object) -> None:
        # The wrapper sets the VAE's device.
        setattr(self._vae, name, value)

    def decode(self, latents: Tensor) -> Tensor:
        """Finish the frames of `latents` [n, 4, h, w]; returns an empty tensor [0, H, W, 3]."""
        self._on_stage("decode", self._finished, self._frames)
        shape = (8 * latents.shape[-2], 8 * latents.shape[-1], 3)
        for decoded in self._decode(latents):
            frames = decoded.float().cpu()
            shape = frames.shape[1:]
            self._finish(frames)
        return torch.empty((0, *shape))  # not a view, which would keep the frames in memory

    def end(self, video: Tensor) -> None:
        """Finish the frames that the wrapper returned, [1, 3, n, H, W]; usually n is 0.

        Raises `WrapperError` unless all frames have been decoded by then.
        """
        if video.shape[2]:
            self._finish(video[0].movedim(0, -1))
        if self._finished < self._frames:
            raise self._miscounted()
        self._on_stage("interpolate" if self._rife else "decode", self._frames, self._frames)

    def _miscounted(self) -> WrapperError:
        return WrapperError(
            f"low VRAM: {self._finished} latent frames were decoded, not {self._frames}; this Sonic wrapper decodes "
            "in a way that is not known here. Update this pack, or report it with the wrapper's version; Sonic Low "
            "VRAM does not need this if streaming_decode is off."
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
        """[H, W, 3] as RIFE receives it from the wrapper: [1, 3, H, W] on the device, channels last in memory."""
        return frame[None].permute(0, 3, 1, 2).to(self._device)


class ClipBuffer:
    """A `FrameCallback` that collects the clip in one tensor, allocated with the first frames."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._held = 0
        self._out: Tensor | None = None

    def __call__(self, frames: Tensor) -> None:
        """Append the next frames."""
        if self._out is None:
            self._out = frames.new_empty((self._frames, *frames.shape[1:]))
        self._out[self._held : self._held + len(frames)] = frames
        self._held += len(frames)

    def video(self) -> Tensor:
        """The clip as Sonic returns it: [1, 3, frames, H, W]."""
        assert self._out is not None, "no frame has come"  # noqa: S101
        return self._out.movedim(-1, 0)[None]
