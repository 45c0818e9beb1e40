"""What the nodes of finishing share: a VIDEO or an IMAGE comes in, and the same goes out.

A VIDEO is finished file to file, in bounded memory. The result is a file in ComfyUI's temporary folder, with little
loss, for Save Video or the next node. An IMAGE is in memory already, and so is the result.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comfy_api.latest import InputImpl, io

from ...sonic_guard.errors import FinishError
from ...sonic_guard.finishing.finish_all import FinishAllRequest, FinishedAll, finish_all
from ...sonic_guard.finishing.frames import FrameFilter, Notes, multiple_of, run_all, size_after
from ...sonic_guard.finishing.pipeline import Finished, Finishing, FinishRequest, finish
from ...sonic_guard.media import audio as media_audio
from ...sonic_guard.media.video_writer import FFV1, Encoding, VideoWriter
from ...sonic_guard.messages.finish_messages import finish_report
from ...sonic_guard.messages.run_messages import progress_text
from ...sonic_guard.resume.work_folder import KEPT_DAYS, sweep
from . import host, images
from .node_progress import BAR, show_done

CATEGORY = "Sonic Guard/Finishing"
BETWEEN_NODES = Encoding(crf=12, preset="fast")
"""For a file that another node may encode again: no loss that can be seen is added."""
_NO_IMAGES = "images: there are no pictures here, because a VIDEO came in. Use the output video."
_NO_VIDEO = "video: there is no video here, because an IMAGE came in. Use the output images."


def video_input(tooltip: str) -> io.MultiType.Input:
    """An input that takes a VIDEO or an IMAGE."""
    return io.MultiType.Input("video", types=[io.Video, io.Image], tooltip=tooltip)


def outputs() -> list[io.Output]:
    """A VIDEO, an IMAGE and a report; of the first two, the one that came in."""
    return [
        io.Video.Output(display_name="video", tooltip="The finished video, if a VIDEO came in."),
        io.Image.Output(display_name="images", tooltip="The finished pictures, if an IMAGE came in."),
        io.String.Output(display_name="report", tooltip="What was done."),
    ]


@dataclass(frozen=True)
class Result:
    """What a node of finishing hands out."""

    video: Any
    images: Any
    report: str
    finished: Finished | None = None
    """Of a VIDEO."""

    @property
    def outputs(self) -> tuple[Any, Any, str]:
        """Values for `outputs`."""
        video = host.blocked(_NO_VIDEO) if self.video is None else self.video
        pictures = host.blocked(_NO_IMAGES) if self.images is None else self.images
        return video, pictures, self.report


def run_filters(
    video: Any, filters: Sequence[FrameFilter], language: str, *, shift_s: float = 0.0, notes: Sequence[Notes] = ()
) -> Result:
    """Put a VIDEO or an IMAGE through `filters`; the sound of a VIDEO comes `shift_s` later.

    Raises `FinishError` for anything else, and what `finish` raises.
    """
    if isinstance(video, torch.Tensor):
        return Result(None, _run_in_memory(images.as_batch(images.as_tensor(video)), filters), "")
    source = as_file(video)
    target = host.new_temporary("finished", ".mp4")
    finished = finish_file(
        FinishRequest(source, tuple(filters), BETWEEN_NODES, shift_s, tuple(notes)), target, language
    )
    return Result(InputImpl.VideoFromFile(str(target)), None, finish_report(finished, language), finished)


def finish_file(request: FinishRequest, target: Path, language: str) -> Finished:
    """`finish` with its progress on the executing node; Cancel ends it, and what is done is kept."""
    finished = finish(request, target, work_folder(), notify=_shown(language), check=host.stop_if_interrupted)
    show_done(language)
    return finished


def finish_all_file(request: FinishAllRequest, target: Path, language: str) -> FinishedAll:
    """`finish_all`, with its progress on the executing node, as `finish_file`."""
    finished = finish_all(request, target, work_folder(), notify=_shown(language), check=host.stop_if_interrupted)
    show_done(language)
    return finished


def work_folder() -> Path:
    """The folder for unfinished work, swept."""
    work = host.user_folder() / "finish"
    sweep(work, KEPT_DAYS)
    return work


def _shown(language: str) -> Callable[[Finishing], None]:
    """Shows the progress on the executing node."""
    bar = host.progress_bar(BAR)

    def show(event: Finishing) -> None:
        bar(round(BAR * event.share))
        host.show_text(progress_text(event.share, event.seconds_left, language))

    return host.seldom(show)


def as_file(video: Any) -> Path:
    """The file of a VIDEO. One that is in memory, or is a section of a file, is written without loss first.

    Raises `FinishError` for what is no VIDEO.
    """
    if not hasattr(video, "get_components") or not hasattr(video, "get_stream_source"):
        raise FinishError(
            f"video: expected a VIDEO or an IMAGE, got {type(video).__name__}. Connect Load Video, or the output of "
            "another node that has one."
        )
    source = video.get_stream_source() if isinstance(video, InputImpl.VideoFromFile) else None
    if isinstance(source, str | Path) and not _is_section(video):
        return Path(source)
    parts = video.get_components()
    sound = media_audio.from_dict(parts.audio) if parts.audio is not None else None
    target = host.new_temporary("source", FFV1.suffix)
    with VideoWriter(target, parts.frame_rate, Encoding(FFV1.name), sound) as writer:
        for picture in images.as_batch(images.as_tensor(parts.images)):
            host.stop_if_interrupted()
            writer.write(picture[None])
    return target


def _is_section(video: Any) -> bool:
    """Whether a VIDEO is part of its file; ComfyUI 0.3.64 has none that are."""
    window = getattr(video, "get_active_trim_window", None)
    return window is not None and tuple(window()) != (0.0, 0.0)


def _run_in_memory(batch: torch.Tensor, filters: Sequence[FrameFilter]) -> torch.Tensor:
    """An IMAGE through `filters`; pictures that no filter changes keep their floats."""
    count, multiple = len(batch), multiple_of(filters)
    height, width = batch.shape[1:3]
    wide, high = size_after(filters, width, height)
    result = torch.empty((count * multiple, high, wide, 3))
    bar = host.progress_bar(count * multiple)
    sources: list[np.ndarray] = []

    def frames() -> Iterator[np.ndarray]:
        for picture in batch:
            host.stop_if_interrupted()
            pixels = images.as_rgb(picture)
            sources.append(pixels)
            yield pixels

    for index, pixels in enumerate(run_all(filters, frames())):
        number, part = divmod(index, multiple)
        is_same = part == 0 and pixels is sources[0]
        result[index] = batch[number] if is_same else torch.from_numpy(pixels).float().div(255)
        if part == multiple - 1:
            sources.pop(0)
        bar(index + 1)
    return result
