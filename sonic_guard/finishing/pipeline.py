"""Finishes a video: file to file, in bounded memory, resumable, without encoding what is not changed.

The pictures go through the filters one by one and are encoded in segments of some seconds; at the end their packets
are put into one file, each picture at its own time, beside the sound's packets. If no filter has changed a picture, the
source's own packets are taken.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..atomic_files import discard, errors_about, fault, same_file, try_out
from ..errors import FinishError
from ..media.footage import Footage, Shot, open_footage, shots
from ..media.video_writer import FFV1, H264, Encoding, VideoWriter
from ..resume.manifest import content_key, file_digest
from ..resume.work_folder import work_folder
from .assembly import CONTAINERS, assemble, can_copy
from .frames import FrameFilter, Notes, before_of, multiple_of, run_all, settings_of, size_after
from .segments import Segment, SegmentStore

log = logging.getLogger(__name__)

SEGMENT_S = 4
"""Seconds of video in a segment: what is done again at most after a run was stopped."""
_VERSION = 2
"""Increased when the same settings no longer make the same pictures."""


@dataclass(frozen=True)
class FinishRequest:
    """A video and what is done to it."""

    source: Path
    filters: tuple[FrameFilter, ...] = ()
    encoding: Encoding = field(default_factory=Encoding)
    sound_shift_s: float = 0.0
    """By which the sound comes later; negative: earlier."""
    notes: tuple[Notes, ...] = ()
    """What the filters note: kept with the pictures, so that those of a resumed run are of the whole video."""


class Finishing(NamedTuple):
    """How far the work is: an event for `notify`."""

    share: float
    """0 … 1."""
    seconds_left: float | None
    """By the speed of this run; None before its first picture."""


@dataclass(frozen=True)
class Finished:
    """A finished video."""

    path: Path
    source: Footage
    width: int
    height: int
    frames: int
    changed: int
    """Pictures that differ from the source's, or that were added."""
    kept: int
    """Pictures that an earlier run had made."""
    is_copy: bool
    """Whether the source's packets were taken, so that nothing was encoded again."""
    sound_encoded_again: tuple[str, ...]
    """Codecs of audio tracks that do not go into the file as they are."""


def finish(
    request: FinishRequest,
    target: Path,
    work: Path,
    *,
    notify: Callable[[Finishing], None] = lambda event: None,
    check: Callable[[], None] = lambda: None,
    overwrite: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Finished:
    """Put the video of `request` through its filters into the file `target`.

    Args:
        request: the video and what is done to it.
        target: the file, in an existing folder; its suffix chooses the container: .mp4, .mov, .mkv.
        work: a folder for unfinished work, created if missing. A run of the same request is resumed from there.
        notify: receives the progress.
        check: called between pictures; an exception from it ends the run, and what is done is kept.
        overwrite: whether an existing `target` is replaced. The source itself never is.
        clock: seconds, for the time left.

    Raises `FootageError` for a video that cannot be read, `FinishError` for settings that do not go with it, and
    `OutputError` if files cannot be written.
    """
    _refuse_target(request, target)
    with errors_about(target):
        target.parent.stat()  # before the folder of the work, which may be in it, is created
    footage = open_footage(request.source, check)
    width, height = size_after(request.filters, footage.width, footage.height)
    rate = footage.rate * multiple_of(request.filters)
    if request.filters:
        request.encoding.try_out(*_encoded_size(request.encoding, width, height), rate)
    busy = f"{target.name}: another run is finishing the same video right now. Wait for it, or cancel it there."
    with work_folder(work, _key(request, check), target, busy) as folder:
        try_out(target, overwrite=overwrite)
        store = SegmentStore(folder, request.encoding.kind.suffix, check)
        if request.filters:
            _make_segments(request, footage, store, _Progress(footage, request, store, notify, clock), check)
        is_copy = not store.changed and (width, height) == (footage.width, footage.height)
        is_copy = is_copy and can_copy(footage, target)
        if not is_copy and not request.filters:
            raise FinishError(
                f"{target.name}: a {target.suffix} file does not take the pictures of {footage.path.name} as they are. "
                "Choose the source's own suffix, or .mkv."
            )
        again = assemble(
            footage, () if is_copy else store.segments, target,
            time_base=_time_base(request, footage), encoding=request.encoding, overwrite=overwrite, check=check,
            sound_shift_s=Fraction(request.sound_shift_s).limit_denominator(10**6),
        )  # fmt: skip
        discard(folder)
    frames = footage.frames if is_copy else store.frames
    return Finished(target, footage, width, height, frames, store.changed, store.kept_frames, is_copy, again)


def _refuse_target(request: FinishRequest, target: Path) -> None:
    if target.suffix.lower() not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise FinishError(f"{target.name}: the suffix of a video that is written is one of {known}.")
    if target.exists() and same_file(target, request.source):
        raise FinishError(f"{target.name}: this is the source itself, which is never replaced. Choose another name.")
    if request.encoding.format != H264.name and target.suffix.lower() != request.encoding.kind.suffix:
        suffix = request.encoding.kind.suffix
        raise FinishError(f"{target.name}: {request.encoding.format} goes into {suffix} files. Choose that suffix.")


def _key(request: FinishRequest, check: Callable[[], None]) -> str:
    filters = [settings_of(step) for step in request.filters]
    try:
        source = file_digest(request.source, check)
    except OSError as error:
        raise fault(request.source, f"cannot be read ({error.strerror or error}).") from error
    return content_key(_VERSION, source, filters, asdict(request.encoding), len(request.notes))


def _make_segments(
    request: FinishRequest, footage: Footage, store: SegmentStore, progress: "_Progress", check: Callable[[], None]
) -> None:
    """Make the segments that the store does not have yet."""
    multiple = multiple_of(request.filters)
    size = max(1, round(SEGMENT_S * footage.rate)) * multiple
    start = store.frames // multiple
    for number, notes in enumerate(request.notes):
        kept = chain.from_iterable(segment.notes[number] for segment in store.segments)
        notes.resume(kept, start - _first(request.filters, start))
    made = _made(request.filters, footage, start, check)
    while first := next(made, None):
        segment = Segment(store.next_path(), first.moment, 0, 0)
        writer = VideoWriter(
            segment.path, footage.rate * multiple, request.encoding, overwrite=True, faststart=False,
            time_base=_time_base(request, footage), pixel_aspect=footage.pixel_aspect,
        )  # fmt: skip
        with writer:
            for picture in chain((first,), islice(made, size - 1)):
                writer.write(_padded(request.encoding, picture.pixels)[None], picture.moment - first.moment)
                changed = segment.changed + picture.is_changed
                segment = replace(segment, frames=segment.frames + 1, changed=changed)
                progress.report(store.frames + segment.frames)
        begin, end = (count // multiple for count in (store.frames, store.frames + segment.frames))
        store.add(replace(segment, notes=tuple(notes.of(begin, end) for notes in request.notes)))


def _first(filters: Sequence[FrameFilter], start: int) -> int:
    """Number of the picture from which a run begins that makes what comes of picture `start`."""
    return max(0, start - before_of(filters))


class _Made(NamedTuple):
    pixels: np.ndarray
    moment: int
    """When it is shown, in units of the result's time base, counted from its beginning."""
    is_changed: bool


def _made(filters: Sequence[FrameFilter], footage: Footage, start: int, check: Callable[[], None]) -> Iterator[_Made]:
    """What comes out of `filters`, from what comes of picture number `start` of the source on."""
    if start >= footage.frames:
        return
    multiple, first = multiple_of(filters), _first(filters, start)
    origin, begin = footage.moments[0], footage.moments[start]
    waiting: deque[Shot] = deque()  # what has gone in and not yet come out
    step = round(1 / (footage.rate * footage.time_base))

    def source() -> Iterator[np.ndarray]:
        for shot in shots(footage, first, check):
            check()
            waiting.append(shot)
            yield shot.picture

    for index, pixels in enumerate(run_all(filters, source())):
        shot, part = waiting[0], index % multiple
        if len(waiting) > 1:
            step = waiting[1].moment - shot.moment
        if shot.moment >= begin:
            moment = (shot.moment - origin) * multiple + step * part
            yield _Made(pixels, moment, part > 0 or pixels is not shot.picture)
        if part == multiple - 1:
            waiting.popleft()


def _time_base(request: FinishRequest, footage: Footage) -> Fraction:
    """Seconds in a unit of the result's moments: a picture that is added is shown at a fraction of the source's."""
    return footage.time_base / multiple_of(request.filters)


def _encoded_size(encoding: Encoding, width: int, height: int) -> tuple[int, int]:
    """The next size that the encoder takes: with colours at half the resolution, sides are even."""
    step = 1 if encoding.format == FFV1.name else 2
    return -(-width // step) * step, -(-height // step) * step


def _padded(encoding: Encoding, pixels: np.ndarray) -> np.ndarray:
    """`pixels` with the last row or column twice where the encoder takes no odd side: nothing is cut off."""
    height, width = pixels.shape[:2]
    wide, high = _encoded_size(encoding, width, height)
    if (wide, high) == (width, height):
        return pixels
    return np.pad(pixels, ((0, high - height), (0, wide - width), (0, 0)), mode="edge")


class _Progress:
    def __init__(
        self, footage: Footage, request: FinishRequest, store: SegmentStore,
        notify: Callable[[Finishing], None], clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._total = footage.frames * multiple_of(request.filters)
        self._kept, self._notify, self._clock, self._begun = store.frames, notify, clock, clock()

    def report(self, done: int) -> None:
        """`done` pictures are written."""
        made = done - self._kept
        left = (self._clock() - self._begun) * max(0, self._total - done) / made if made > 0 else None
        self._notify(Finishing(min(1.0, done / self._total), left))
