"""Whether a finished file is what was ordered."""

from pathlib import Path

from ..atomic_files import fault
from ..media.cancellation import Check, nothing
from ..media.video_contents import contents
from .video_request import Order

_SLACK_S = 0.2
"""Sound may end so much before or behind the pictures: an encoder fills up its last packet."""


def hold_against(order: Order, path: Path, target: Path, check: Check = nothing) -> None:
    """Count what the video `path` holds, which is to become `target`. Raises `OutputError` if `order` is another."""
    frames, sound_s = contents(path, target, check)
    wanted = order.job.output_frames
    if frames == wanted and abs(sound_s - wanted / order.fps) <= _SLACK_S:
        return
    raise fault(
        target,
        f"the finished file had {frames} frames and {sound_s:.2f} s of sound. {wanted} frames, "
        f"{float(wanted / order.fps):.2f} s, were ordered. Something may have changed the parts meanwhile. The file is "
        "removed and the parts are kept: run again, and those that are not right are made again.",
    )
