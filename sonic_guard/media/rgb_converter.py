"""Converts decoded frames of a video to RGB without a bias of the colours."""

from typing import Any

import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

_HD_LINES = 720
"""Lines from which players take a video without colour tags for BT.709; below it for BT.601."""
_JPEG_RANGE = 2
"""Full range in the colour tags of streams (ITU-T H.273)."""


class RgbConverter:
    """Converts the frames of a video to RGB, by their own colour tags, or as players do where there are none."""

    def __init__(self) -> None:
        self._upsample, self._convert = VideoReformatter(), VideoReformatter()  # reused: their setup is slow

    def __call__(self, frame: Any) -> np.ndarray:
        """The frame as uint8 [H, W, 3]."""
        options = {}
        if not frame.format.is_rgb:
            matrix = _matrix(frame)
            full = int(frame.color_range or 0) == _JPEG_RANGE or frame.format.name.startswith("yuvj")
            # In two steps: in one, libav rounds every colour down.
            wide = "yuvj444p" if full else "yuv444p"
            frame = self._upsample.reformat(
                frame, format=wide, interpolation=Interpolation.BICUBIC, src_colorspace=matrix, dst_colorspace=matrix
            )
            # RGB has no matrix, so the second name is ignored; but if both are the same, older PyAV converts nothing.
            other = Colorspace.ITU601 if matrix == Colorspace.ITU709 else Colorspace.ITU709
            options = {"src_colorspace": matrix, "dst_colorspace": other}
        return self._convert.reformat(frame, format="rgb24", **options).to_ndarray()


def _matrix(frame: Any) -> Colorspace:
    """The matrix between luma and chroma and RGB."""
    tag = int(frame.colorspace or 0)
    if tag == 1:
        return Colorspace.ITU709
    if tag in (5, 6):
        return Colorspace.ITU601
    return Colorspace.ITU709 if frame.height >= _HD_LINES else Colorspace.ITU601
