"""Makes a long video part by part, resumes unfinished ones, and enables fallbacks when memory runs out.

The caller's `MakePart` runs Sonic; this module does everything around it. Finished parts, and the denoising steps of
the current part, are saved in a folder named after a digest of their content. After a cancellation, an error or a power
cut, the next run with the same content resumes there.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from ..atomic_files import try_out
from ..devices.out_of_memory import give_back_memory, is_too_much_at_once
from ..errors import NoFallbackLeftError
from ..job import LATENT_FPS, duration_of
from ..media.audio import Sound
from ..media.video_file import VideoInfo
from ..memory.stage_model import predict
from ..optimizations import Optimization
from ..planning.part_length import shortest_part
from ..resume.manifest import content_key
from .joining import join_parts
from .part_bundle import write_bundle
from .part_plan import Part, part_sound
from .part_store import PartStore, opened
from .video_request import VideoRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Task:
    """One part to make."""

    part: Part
    parts: int
    """Number of parts in the video."""
    sound: Sound
    """Sonic's input: it makes ``part.latent_frames`` latent frames from it."""
    optimizations: tuple[str, ...]
    """The fallback optimizations enabled so far."""
    folder: Path
    """Folder for saved denoising steps: see `saved_steps.StepsOnDisk`."""
    step_name: str
    """Name under which the steps of this part are stored there."""


Emit = Callable[[Any], None]
"""Takes the next output frames, a group at a time, as in `media.video_writer.pictures`."""


class OnProgress(Protocol):
    """Receives the progress of a part after every step. Raises if the user has cancelled."""

    def __call__(self, share: float, *, kept: bool = False) -> None:
        """`share` of the part's work is done, 0 … 1; `kept` is set if an earlier attempt did that."""
        ...


MakePart = Callable[[Task, Emit, OnProgress], None]
"""Runs Sonic for one part."""


@dataclass(frozen=True)
class Progress:
    """How much of the video is done."""

    part: int
    """Index of the current part."""
    parts: int
    share: float
    """Share of the whole video, 0 … 1. It decreases if a part is restarted."""
    seconds_left: float | None
    """Estimated from the speed of this run; None before its first step."""


@dataclass(frozen=True)
class PartKept:
    """An earlier run had finished this part."""

    part: int


@dataclass(frozen=True)
class FallbackEnabled:
    """Memory ran out; the same part is made again with one more optimization."""

    part: int
    optimization: str
    error: str
    """The text of the GPU runtime's error."""


class Preparing(Enum):
    """What takes seconds before the first step. Sent by the caller of `run` and by the `MakePart`, if they do it."""

    MODELS = "models"
    """The networks are read, to know later whether a video was made with the same ones."""
    PICTURE = "picture"
    """SONIC_PreData loads its networks and encodes the picture."""


@dataclass(frozen=True)
class EncodingAudio:
    """SONIC_PreData encodes the sound of a part. Sent by the `MakePart`, if it does."""

    share: float
    """Share of that sound, 0 … 1."""


@dataclass(frozen=True)
class Joining:
    """All parts are finished and are being joined."""

    share: float
    """Share of the frames, 0 … 1."""


Event = Preparing | EncodingAudio | Progress | PartKept | FallbackEnabled | Joining


@dataclass(frozen=True)
class LongVideo:
    """A finished video."""

    path: Path
    info: VideoInfo
    parts: int
    kept: int
    """Number of parts that an earlier run had finished."""
    optimizations: tuple[str, ...]
    """The fallback optimizations that were enabled during the run."""


@dataclass(frozen=True)
class _Run:
    """What all steps of one run share."""

    request: VideoRequest
    parts: Sequence[Part]
    """Those that are made: all, or one."""
    store: PartStore
    make_part: MakePart
    fallbacks: Sequence[str]
    notify: Callable[[Event], None]
    check: Callable[[], None]
    tracker: "_ProgressTracker"


def run(
    request: VideoRequest,
    make_part: MakePart,
    target: Path,
    work: Path,
    *,
    fallbacks: Sequence[str] = (),
    notify: Callable[[Event], None] = lambda event: None,
    check: Callable[[], None] = lambda: None,
    overwrite: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> LongVideo:
    """Make the video `request` in the file `target`; finished parts are kept below the folder `work` until then.

    Args:
        request: the video.
        make_part: runs Sonic for one part.
        target: the video file, in an existing folder.
        work: a folder, created if missing.
        fallbacks: optimizations to enable in addition to the job's, one after the other, when memory runs out. None
            may change the frame size.
        notify: receives the events of the run.
        check: called between steps and frames; an exception from it ends the run.
        overwrite: whether an existing `target` is replaced.
        clock: seconds, for the estimate of the time left.

    Raises `NoFallbackLeftError` if memory runs out with all fallbacks enabled; `OutputError` if files cannot be written
    (name and folder of `target` and its encoder are tried first); `WrapperError` if `make_part` makes another number of
    frames than Sonic should. Exceptions of `make_part` and `check` propagate. Finished parts are kept in all these
    cases, and removed after a success. A success is a file that has all frames of the request and its sound.

    If two runs have the same request or target at a time, the second ends at once with an `OutputError`.
    """
    size = request.job.frame_size
    request.encoding.try_out(size.width, size.height, request.fps)
    with opened(request, request.key, work, target, check) as store:
        try_out(target, overwrite=overwrite)  # under the lock, because it removes unfinished files of that name
        tracker = _ProgressTracker(request.parts, notify, clock)
        everything = _Run(request, request.parts, store, make_part, fallbacks, notify, check, tracker)
        kept, optimizations = _make_parts(everything)

        def joined(frames: int) -> None:
            check()
            notify(Joining(frames / request.job.output_frames))

        joined(0)
        info = join_parts(
            store.made(), request.sound, target, store.folder, notify=joined, check=check, overwrite=overwrite
        )
        store.clear()
    return LongVideo(target, info, len(request.parts), kept, optimizations)


def run_part(
    request: VideoRequest,
    index: int,
    make_part: MakePart,
    target: Path,
    work: Path,
    *,
    fallbacks: Sequence[str] = (),
    notify: Callable[[Event], None] = lambda event: None,
    check: Callable[[], None] = lambda: None,
) -> tuple[str, ...]:
    """Make part `index` of the video alone, in the file `target` (`part_bundle`). Returns the fallbacks enabled.

    No part needs another: each has margins of its own (`part_plan`), and a seam is made when two parts are joined. So
    several machines make them at a time. Arguments and errors are those of `run`.
    """
    size, part = request.job.frame_size, request.parts[index]
    request.encoding.try_out(size.width, size.height, request.fps)
    # In a folder of its own: another process may make another part of the video there.
    with opened(request, content_key("part", request.part_keys[index]), work, target, check) as store:
        try_out(target)
        tracker = _ProgressTracker([part], notify, time.monotonic)
        _, optimizations = _make_parts(_Run(request, [part], store, make_part, fallbacks, notify, check, tracker))
        write_bundle(target, part, {role: store.path(part, role) for role in part.counts})
        store.clear()
    return optimizations


def _make_parts(run: _Run) -> tuple[int, tuple[str, ...]]:
    """Make the parts that the store does not have: how many it had, and the fallback optimizations enabled."""
    optimizations: list[str] = []
    kept = 0
    for part in run.parts:
        run.check()
        if _is_kept(run, part):
            kept += 1
            continue
        while failure := _attempt(run, part, tuple(optimizations)):
            give_back_memory()
            if len(optimizations) == len(run.fallbacks):
                raise NoFallbackLeftError(_no_fallback_left(run, part, failure))
            enabled = run.fallbacks[len(optimizations)]
            optimizations.append(enabled)
            log.warning("Part %d ran out of memory (%s); once more with %s.", part.index + 1, failure, enabled)
            run.notify(FallbackEnabled(part.index, enabled, failure))
        run.tracker.finish(part)
    return kept, tuple(optimizations)


def _is_kept(run: _Run, part: Part) -> bool:
    """Whether an earlier run has finished `part`; if so, this is reported."""
    if not run.store.has(part):
        return False
    run.notify(PartKept(part.index))
    run.tracker.skip(part)
    return True


def _attempt(run: _Run, part: Part, optimizations: tuple[str, ...]) -> str:
    """Make `part` and store it. Returns the error's text if memory ran out, otherwise an empty text."""
    sound, name = part_sound(run.request.sound, part), run.store.step_name(part)
    task = Task(part, len(run.request.parts), sound, optimizations, run.store.folder, name)

    def tick(share: float, *, kept: bool = False) -> None:
        run.check()
        run.tracker.report(part, share, kept=kept)

    try:
        with run.store.writing(part) as sorter:

            def emit(group: Any) -> None:
                run.check()
                sorter.take(group)

            run.make_part(task, emit, tick)
    except Exception as error:
        if not is_too_much_at_once(error):
            raise
        return str(error) or type(error).__name__  # not the error: its traceback keeps tensors of the calls alive
    run.store.add(part)
    return ""


def _no_fallback_left(run: _Run, part: Part, failure: str) -> str:
    """The text of the error: where memory ran out, and what the user can do."""
    request = run.request
    enabled = request.job.optimizations.union(map(Optimization, run.fallbacks))
    longest, least = max(part.latent_frames for part in request.parts), shortest_part(request.job.window)
    needs = [
        predict(replace(request.job, optimizations=enabled, duration_s=duration_of(frames))).after_load_bytes
        for frames in (least, longest)
    ]
    ways = ["lower min_resolution"]
    if needs[0] < needs[1]:
        ways.append(f"choose parts shorter than {longest / LATENT_FPS:.0f} s")
    kept = f" The {part.index} before it are kept and not made again." if part.index else ""
    return (
        f"The GPU ran out of memory in part {part.index + 1} of {len(request.parts)}, with every memory optimization "
        f"enabled.{kept} Close other programs that use the GPU and run again. If that does not help, "
        f"{', or '.join(ways)}. ({failure})"
    )


class _ProgressTracker:
    """Computes the progress of the whole video from that of its parts, and reports it to `notify`."""

    def __init__(self, parts: Sequence[Part], notify: Callable[[Event], None], clock: Callable[[], float]) -> None:
        self._parts, self._notify, self._clock = len(parts), notify, clock
        self._total = sum(part.latent_frames for part in parts)
        self._begun = clock()
        self._finished = 0
        """Latent frames of the finished parts."""
        self._skipped = 0.0
        """Latent frames that this run did not have to make."""
        self._part = -1

    def skip(self, part: Part) -> None:
        """`part` was finished by an earlier run."""
        self._finished += part.latent_frames
        self._skipped += part.latent_frames

    def report(self, part: Part, share: float, *, kept: bool = False) -> None:
        """`share` of the work on `part` is done, 0 … 1; `kept` is set if an earlier attempt did that."""
        done = min(1.0, max(0.0, share)) * part.latent_frames
        if part.index != self._part:
            self._part = part.index
            self._skipped += done if kept else 0  # from an earlier run: this one has not tried the part before
        now = self._finished + done
        made = now - self._skipped
        left = (self._clock() - self._begun) * (self._total - now) / made if made > 0 else None
        self._notify(Progress(part.index, self._parts, now / self._total, left))

    def finish(self, part: Part) -> None:
        """All of `part` is done."""
        self.report(part, 1.0)
        self._finished += part.latent_frames
