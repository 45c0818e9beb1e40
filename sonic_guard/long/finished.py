"""Whether a finished file is what was ordered."""

from pathlib import Path

from ..media.output import discard, fault
from ..media.video import sound_end_s
from ..media.videofile import VideoInfo, verify
from .order import Order

_SLACK_S = 0.2
"""Sound may end so much before or behind the pictures: an encoder fills up its last packet."""


def hold_against(order: Order, path: Path) -> VideoInfo:
    """What the finished video `path` holds, counted. Raises `OutputError`, and removes it, if `order` is another."""
    wanted = VideoInfo(order.job.output_frames, order.fps)
    info, sound_s = verify(path), sound_end_s(path)
    lengths_s = (info.seconds, sound_s)
    if info.frames == wanted.frames and all(abs(length_s - wanted.seconds) <= _SLACK_S for length_s in lengths_s):
        return info
    discard(path)
    raise fault(
        path,
        f"the finished file had {info.frames} frames, {info.seconds:.2f} s, and {sound_s:.2f} s of sound. "
        f"{wanted.frames} frames, {wanted.seconds:.2f} s, were ordered. Something has changed the parts meanwhile. "
        "The file is removed and the parts are kept: run again, and those that are not right are made again.",
    )
