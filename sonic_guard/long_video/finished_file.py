"""Checks that a finished file holds the requested frames and sound."""

from pathlib import Path

from ..atomic_files import fault
from ..media.cancellation import Check, nothing
from ..media.video_contents import contents
from .video_request import VideoRequest

_SLACK_S = 0.2
"""Largest difference in seconds between the ends of sound and pictures: an encoder pads its last packet."""


def check_finished(request: VideoRequest, path: Path, target: Path, check: Check = nothing) -> None:
    """Count the frames and the sound of the video `path`, which will be renamed to `target`.

    Raises `OutputError`, about `target`, if they are not those of `request`. Exceptions of `check` propagate.
    """
    frames, sound_s = contents(path, target, check)
    expected = request.job.output_frames
    if frames == expected and abs(sound_s - expected / request.fps) <= _SLACK_S:
        return
    raise fault(
        target,
        f"the finished file had {frames} frames and {sound_s:.2f} s of sound, but {expected} frames, "
        f"{float(expected / request.fps):.2f} s, were expected. The parts may have been changed meanwhile. The file is "
        "removed and the parts are kept: run again, and damaged parts are made again.",
    )
