"""Make a long video part by part: resume what was begun, and stay alive when memory runs out.

What Sonic itself does is the caller's `MakePart`; here is all around it. A finished part is kept in a folder named
after the content it was made from, and so are the denoising steps of the part under way. Whatever ends a run, the
user, an error or a power cut, the next one with the same content goes on behind them.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ..atomic_files import try_out
from ..devices.out_of_memory import give_back_memory, is_out_of_memory
from ..errors import NoFallbackLeftError
from ..job import LATENT_FPS, duration_of
from ..media.audio import Sound
from ..media.video_file import VideoInfo, join
from ..memory.stage_model import predict
from ..optimizations import Optimization
from ..planning.part_length import shortest_part
from .finished_file import hold_against
from .part_plan import Part, part_sound
from .part_store import Store, opened
from .video_request import Order

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Task:
    """What `MakePart` is to make."""

    part: Part
    parts: int
    sound: Sound
    """What Sonic hears: it makes ``part.latent_frames`` latent frames of it."""
    optimizations: tuple[str, ...]
    """Those of the ladder that are pulled by now."""
    folder: Path
    """Where denoising steps may be kept: see `steps.StepsOnDisk`."""
    step_names: Sequence[str]
    """What they go by there."""


Emit = Callable[[Any], None]
"""Takes the next output frames, a group at a time: see `media.video.pictures`."""


class Tick(Protocol):
    """Wants to hear after every step; an interrupt comes out here."""

    def __call__(self, share: float, *, kept: bool = False) -> None:
        """`share` of the part's work is done, 0 … 1; `kept` says that it is what an earlier attempt has left."""
        ...


MakePart = Callable[[Task, Emit, Tick], None]
"""Runs Sonic once."""


@dataclass(frozen=True)
class Progress:
    """How far the whole is."""

    part: int
    """Index of the part under way."""
    parts: int
    share: float
    """Of the whole, 0 … 1. It steps back where a part is begun again."""
    seconds_left: float | None
    """At the pace of this run; None before its first step."""


@dataclass(frozen=True)
class PartKept:
    """An earlier run had finished this part."""

    part: int


@dataclass(frozen=True)
class FallbackEnabled:
    """Memory ran out; the same part is made again with one lever more."""

    part: int
    optimization: str
    error: str
    """What the GPU's runtime said."""


@dataclass(frozen=True)
class EncodingAudio:
    """Sonic hears the sound of a part; whoever makes the part may tell."""

    share: float
    """Of that sound, 0 … 1."""


@dataclass(frozen=True)
class Joining:
    """All parts are finished and become one file."""

    share: float
    """Of the frames, 0 … 1."""


Event = EncodingAudio | Progress | PartKept | FallbackEnabled | Joining


@dataclass(frozen=True)
class LongVideo:
    """A finished video."""

    path: Path
    info: VideoInfo
    parts: int
    kept: int
    """Parts that an earlier run had finished."""
    optimizations: tuple[str, ...]
    """Levers that had to be pulled on the way."""


def run(
    order: Order,
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
    """Make the video `order` in the file `target`, keeping finished parts below the folder `work` meanwhile.

    `fallbacks` names the levers to pull beside the job's, one after the other, when memory runs out; none may change a
    frame's size.
    `tell` hears what happens; `check` is called between steps and frames, and what it raises ends the run.

    Raises `NoFallbackLeftError` when memory runs out with all levers pulled, `OutputError` where files cannot be written
    (name and folder of `target` and its encoder are tried first), `WrapperError` if `make_part` makes another number
    of frames than Sonic should, and whatever `make_part` and `check` raise. Finished parts are kept in every case;
    after a success they are removed. A success is a file that has all frames of the order and its sound.

    Of two runs of one order, or into one file, at a time the second ends at once with an `OutputError`.
    """
    size = order.job.frame_size
    order.encoding.try_out(size.width, size.height, order.fps)
    with opened(order, work, target, check) as store:  # first: to try the name out clears what another run writes
        try_out(target, overwrite=overwrite)
        made = _made(order, store, make_part, fallbacks, notify, check, clock)

        def joined(frames: int) -> None:
            check()
            notify(Joining(frames / order.job.output_frames))

        joined(0)
        info = join(
            store.pieces(), target, order.encoding, order.fps, order.sound, notify=joined, overwrite=overwrite,
            accept=lambda file: hold_against(order, file, target, check),
        )  # fmt: skip
        store.clear()
    return LongVideo(target, info, len(order.parts), *made)


def _made(
    order: Order,
    store: Store,
    make_part: MakePart,
    fallbacks: Sequence[str],
    notify: Callable[[Event], None],
    check: Callable[[], None],
    clock: Callable[[], float],
) -> tuple[int, tuple[str, ...]]:
    """Make the parts that `store` does not have: how many it had, and the levers that had to be pulled."""
    tracker = _Tracker(order.parts, notify, clock)
    optimizations: list[str] = []
    kept = 0
    for part in order.parts:
        check()
        if store.has(part, optimizations):
            kept += 1
            notify(PartKept(part.index))
            tracker.skip(part)
            continue
        while said := _attempt(order, store, part, make_part, tuple(optimizations), check, tracker):
            give_back_memory()
            if len(optimizations) == len(fallbacks):
                raise NoFallbackLeftError(_out_of_optimizations(order, part, fallbacks, said))
            optimizations.append(fallbacks[len(optimizations)])
            log.warning("Part %d ran out of memory (%s); once more with %s.", part.index + 1, said, optimizations[-1])
            notify(FallbackEnabled(part.index, optimizations[-1], said))
            if store.has(part, optimizations):  # an earlier run had come as far
                kept += 1
                notify(PartKept(part.index))
                tracker.skip(part)
                break
        else:
            tracker.finish(part)
    return kept, tuple(optimizations)


def _attempt(
    order: Order,
    store: Store,
    part: Part,
    make_part: MakePart,
    optimizations: tuple[str, ...],
    check: Callable[[], None],
    tracker: "_Tracker",
) -> str:
    """Make `part` and keep it. Returns what was said if memory ran out, else nothing."""
    sound, names = part_sound(order.sound, part), store.step_names(part, optimizations)
    task = Task(part, len(order.parts), sound, optimizations, store.folder, names)

    def tick(share: float, *, kept: bool = False) -> None:
        check()
        tracker.at(part, share, kept=kept)

    try:
        with store.writing(part, optimizations) as sorter:

            def emit(group: Any) -> None:
                check()
                sorter.take(group)

            make_part(task, emit, tick)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return str(error) or type(error).__name__  # not the error: it holds the frames of the calls, and their tensors
    store.add(part)
    return ""


def _out_of_optimizations(order: Order, part: Part, fallbacks: Sequence[str], said: str) -> str:
    enabled = order.job.optimizations.union(map(Optimization, fallbacks))
    longest, least = max(part.latent_frames for part in order.parts), shortest_part(order.job.window)
    needs = [
        predict(replace(order.job, optimizations=enabled, duration_s=duration_of(frames))).after_load_bytes
        for frames in (least, longest)
    ]
    ways = ["lower min_resolution"]
    if Optimization.FP8_WEIGHTS not in enabled:
        ways.append("set fp8 to auto on Sonic Low VRAM in front, which changes pixels a little")
    if needs[0] < needs[1]:
        ways.append(f"choose parts shorter than {longest / LATENT_FPS:.0f} s")
    kept = f" The {part.index} before it are kept and not made again." if part.index else ""
    return (
        f"The GPU ran out of memory in part {part.index + 1} of {len(order.parts)}, with every lever pulled.{kept} "
        f"Close other programs that use the GPU and run again. If that does not help, {', or '.join(ways)}. "
        f"({said})"
    )


class _Tracker:
    """Turns steps of parts into the progress of the whole."""

    def __init__(self, parts: Sequence[Part], notify: Callable[[Event], None], clock: Callable[[], float]) -> None:
        self._parts, self._notify, self._clock = len(parts), notify, clock
        self._total = sum(part.latent_frames for part in parts)
        self._begun = clock()
        self._behind = 0
        self._skipped = 0.0
        self._part = -1

    def skip(self, part: Part) -> None:
        """Nothing has to be done for `part`."""
        self._behind += part.latent_frames
        self._skipped += part.latent_frames

    def at(self, part: Part, share: float, *, kept: bool = False) -> None:
        """`share` of the work on `part` is done; `kept` says that it is what an earlier attempt has left."""
        done = min(1.0, max(0.0, share)) * part.latent_frames
        if part.index != self._part:
            self._part = part.index
            self._skipped += done if kept else 0  # by an earlier run: this one has not tried the part yet
        now = self._behind + done
        made = now - self._skipped
        left = (self._clock() - self._begun) * (self._total - now) / made if made > 0 else None
        self._notify(Progress(part.index, self._parts, now / self._total, left))

    def finish(self, part: Part) -> None:
        """All of `part` is done."""
        self.at(part, 1.0)
        self._behind += part.latent_frames
