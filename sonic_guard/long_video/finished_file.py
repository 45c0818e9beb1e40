"""Checks that a finished file holds the requested frames and sound."""

from fractions import Fraction
from pathlib import Path

from ..atomic_files import fault
from ..media.cancellation import Check, nothing
from ..media.video_contents import contents

_SLACK_S = 0.2
"""Largest difference in seconds between the ends of sound and pictures: an encoder pads its last packet."""


def check_finished(frames: int, fps: Fraction, path: Path, target: Path, check: Check = nothing) -> None:
    """Count the frames and the sound of the video `path`, which will be renamed to `target`.

    Raises `OutputError`, about `target`, if there are not `frames` at `fps`, with sound as long. Exceptions of `check`
    propagate.
    """
    found, sound_s = contents(path, target, check)
    if found == frames and abs(sound_s - frames / fps) <= _SLACK_S:
        return
    raise fault(
        target,
        f"the finished file had {found} frames and {sound_s:.2f} s of sound, but {frames} frames, "
        f"{float(frames / fps):.2f} s, were expected. The parts may have been changed meanwhile. The file is "
        "removed and the parts are kept: run again, and damaged parts are made again.",
    )
