"""Renders the video of Sonic Talking Head: as Sonic makes it, or finished in the same encode.

With finishing, Sonic's frames are kept without loss until the finished file is there, so that a run which is stopped
while it is finished does not run Sonic again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...sonic_guard.atomic_files import discard
from ...sonic_guard.comfy.talking_head_prompt import AskedPart
from ...sonic_guard.errors import PartError
from ...sonic_guard.finishing.finish_all import FinishAllRequest, FinishedAll
from ...sonic_guard.long_video.rendering import Event, LongVideo, MakePart, run, run_part
from ...sonic_guard.long_video.video_request import VideoRequest
from ...sonic_guard.media.video_file import VideoInfo, verify
from ...sonic_guard.media.video_writer import FFV1, Encoding
from ...sonic_guard.operations.input_values import one_of
from ...sonic_guard.resume.manifest import content_key
from ...sonic_guard.resume.work_folder import KEY_LENGTH
from . import finishing_nodes, host
from .finish_all_inputs import PRESETS_SHOWN, finish_request, finish_steps

OFF = "off"
FINISH = (OFF, *PRESETS_SHOWN)
"""Values of the input ``finish``."""
LOSSLESS = Encoding(FFV1.name)


@dataclass(frozen=True, eq=False)
class Rendering:
    """Sonic's part of the work."""

    request: VideoRequest
    make_part: MakePart
    fallbacks: Sequence[str]
    notify: Callable[[Event], None]

    def to(self, target: Path, work: Path) -> LongVideo:
        """Make the video in the file `target`; raises as `run` does."""
        return run(
            self.request, self.make_part, target, work,
            fallbacks=self.fallbacks, notify=self.notify, check=host.stop_if_interrupted,
        )  # fmt: skip


@dataclass(frozen=True)
class FinishingChoice:
    """What is done to Sonic's frames before they are encoded."""

    preset: str
    upscale_model: Any

    def request(self, source: Path, encoding: Encoding) -> FinishAllRequest:
        """The request for the file `source`. Raises `SonicGuardError`."""
        return finish_request(source, finish_steps(self.preset), encoding, self.upscale_model)


def read_finishing(finish: Any, upscale_model: Any) -> FinishingChoice | None:
    """The inputs ``finish`` and ``upscale_model``; None for "off". Raises `SonicGuardError` for impossible ones."""
    chosen = one_of("finish", finish, FINISH)
    return None if chosen == OFF else FinishingChoice(chosen, upscale_model)


def render(
    rendering: Rendering, finishing: FinishingChoice | None, encoding: Encoding, target: Path, language: str
) -> tuple[LongVideo, FinishedAll | None]:
    """Make the video in the file `target`, which is encoded once. Raises what `run` and `finish_all` raise."""
    work = host.user_folder() / "long"
    if finishing is None:
        return rendering.to(target, work), None
    # Swept with the unfinished work of its folder, where it lies under a key of its own.
    folder = finishing_nodes.work_folder() / content_key("frames", rendering.request.key)[:KEY_LENGTH]
    folder.mkdir(parents=True, exist_ok=True)
    frames = folder / f"frames{FFV1.suffix}"
    video = _as_made(rendering, frames) if frames.exists() else rendering.to(frames, work)
    done = finishing_nodes.finish_all_file(finishing.request(frames, encoding), target, language)
    discard(folder)  # with the mark that a sweep may have left in it
    info = VideoInfo(done.finished.frames, video.info.rate)
    return replace(video, path=target, info=info), done


def render_part(rendering: Rendering, asked: AskedPart, target: Path) -> None:
    """Make one part of the video in the file `target`, for a farm that joins it with those of other servers.

    Raises `PartError` where this server would cut the video otherwise, and what `run` raises.
    """
    request = rendering.request
    if (len(request.parts), request.longest) != (asked.parts, asked.longest) or not 0 <= asked.part < asked.parts:
        raise PartError(
            f"part {asked.part + 1}: this server would now make the video in {len(request.parts)} parts, and "
            f"{asked.parts} were asked for. Its memory is in use, or its pack is of another version."
        )
    run_part(
        request, asked.part, rendering.make_part, target, host.user_folder() / "long",
        fallbacks=rendering.fallbacks, notify=rendering.notify, check=host.stop_if_interrupted,
    )  # fmt: skip


def _as_made(rendering: Rendering, frames: Path) -> LongVideo:
    """The video that an earlier run has made, and whose finishing was stopped."""
    parts = len(rendering.request.parts)
    return LongVideo(frames, verify(frames), parts, parts, ())
