"""A CLIP_VISION that encodes one picture, once, before SONIC_PreData loads its own networks.

The wrapper has the image encoder, 1.3 GB, on the GPU together with its networks for the voice, and encodes the same
picture for every part of a long video. The embedding is the same.
"""

from typing import Any


class EncodedPicture:
    """Attributes that are not defined here are those of the CLIP_VISION."""

    def __init__(self, clip_vision: Any, picture: Any) -> None:
        """`picture`: the tensor [1, H, W, 3] that SONIC_PreData will be given."""
        self._clip_vision, self._picture = clip_vision, picture
        self._output: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_clip_vision"], name)

    def encode(self) -> bool:
        """Encode the picture, unless that is done already. Returns whether the encoder has run."""
        if self._output is not None:
            return False
        self._output = self._clip_vision.encode_image(self._picture)
        return True

    def encode_image(self, image: Any, *args: Any, **kwargs: Any) -> Any:
        """The CLIP_VISION's output for `image`."""
        if image is self._picture and self._output is not None and not args and not kwargs:
            return self._output
        return self._clip_vision.encode_image(image, *args, **kwargs)
