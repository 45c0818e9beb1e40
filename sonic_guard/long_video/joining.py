"""Joins the finished parts of a long video: their bodies are copied, their seams are blended from tails and heads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

from ..media.audio import Sound
from ..media.cancellation import Check, nothing
from ..media.seams import hide_seam
from ..media.video_file import VideoInfo, frames, join
from ..media.video_writer import Encoding, VideoWriter
from .finished_file import check_finished
from .part_plan import Part


@dataclass(frozen=True, eq=False)
class FinishedParts:
    """The parts of a video, all of them made, in order."""

    parts: Sequence[Part]
    path: Callable[[Part, str], Path]
    """The file of a part by its role: head, body, tail."""
    encoding: Encoding
    """Of the bodies and of the video."""
    fps: Fraction

    @property
    def frames(self) -> int:
        """Frames of the video."""
        return sum(part.head + part.body for part in self.parts)


def join_parts(
    made: FinishedParts,
    sound: Sound,
    target: Path,
    folder: Path,
    *,
    notify: Callable[[int], None] = lambda frames: None,
    check: Check = nothing,
    overwrite: bool = False,
) -> VideoInfo:
    """Write the video of the parts with `sound` to the file `target`. Which machine made a part changes no byte of it.

    `folder` receives the files of the seams. `notify` receives the number of frames written so far. Exceptions of
    `notify` and `check` propagate. Raises `OutputError`, also where the finished file lacks frames or sound.
    """
    files = [made.path(made.parts[0], "body")]
    for before, after in pairwise(made.parts):
        files += [_seam(made, before, after, folder, check), made.path(after, "body")]
    return join(
        files, target, made.encoding, made.fps, sound, notify=notify, overwrite=overwrite,
        accept=lambda file: check_finished(made.frames, made.fps, file, target, check),
    )  # fmt: skip


def _seam(made: FinishedParts, before: Part, after: Part, folder: Path, check: Check) -> Path:
    path = folder / f"seam-{after.index}{made.encoding.kind.suffix}"
    old = list(islice(frames(made.path(before, "tail")), before.tail))
    with VideoWriter(path, made.fps, made.encoding, overwrite=True, faststart=False) as video:
        for picture in hide_seam(old, frames(made.path(after, "head")), after.head - before.tail):
            check()
            video.write(picture[None])
    return path
