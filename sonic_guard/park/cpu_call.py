"""What a worker without a card makes, in a process of its own: a video of its parts, or a finished video of a video.

File to file, resumed by whoever comes after a process that died. Nothing is asked of a server.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from ..atomic_files import discard, errors_about
from ..errors import FarmError, OutputError, PartError, SonicGuardError
from ..finishing.finish_presets import PRESETS, FinishPreset
from ..media.video_writer import Encoding
from ..plain_files import printable
from ..resume.exclusive_lock import locked
from .call_pipe import on_cancel, reporter
from .content import file_digest, input_file, keep, made_before, object_file, objects_folder, remove, work_folder
from .files import Location
from .outcomes import Ended, Outcome

FOLDER = "cpu"
"""Below the farm's own folder, with the unfinished work of each task."""
WAIT_S = 1.0
"""Between two looks at a task that another process is making."""
_BUSY = "another process is making it"


@dataclass(frozen=True)
class MadeFile:
    """The output of another task."""

    digest: str
    size_bytes: int
    suffix: str


@dataclass(frozen=True)
class Join:
    """A video is made of its parts, and of the voice."""

    audio: Path
    audio_digest: str
    track: int
    cut_silence: bool


@dataclass(frozen=True)
class Finish:
    """A video is finished by a preset."""

    preset: FinishPreset


@dataclass(frozen=True)
class CpuCall:
    """What is to be made."""

    task: str
    files: tuple[MadeFile, ...]
    """Of what: the parts in order, or the video."""
    work: Join | Finish
    encoding: Encoding
    out: Location
    """The farm's outputs: a folder, which this machine sees as well, or a bucket."""
    suffix: str
    """Of the video's file, with the dot."""


class _CancelledError(Exception):
    """The farm no longer wants it."""


def make(call: CpuCall, pipe: Connection) -> None:
    """The process: sends shares of the work done, and an `Ended` last. Ends at once when its parent is gone."""
    cancelled = threading.Event()
    on_cancel(pipe, cancelled.set)

    def check() -> None:
        if cancelled.is_set():
            raise _CancelledError

    try:
        ended = _make(call, reporter(pipe), check)
    except _CancelledError:
        ended = Ended(Outcome.CANCELLED, "cancelled")
    except OutputError as error:
        ended = Ended(Outcome.OUTPUT_FAILED, error.text)
    except FarmError as error:
        ended = Ended(Outcome.SERVER_FAILED, error.text)
    except SonicGuardError as error:
        ended = Ended(Outcome.JOB_FAILED, error.text)
    except (OSError, MemoryError) as error:
        ended = Ended(Outcome.SERVER_FAILED, printable(str(error) or type(error).__name__))
    with contextlib.suppress(OSError):
        pipe.send(ended)


def _make(call: CpuCall, notify: Callable[[float], None], check: Callable[[], None]) -> Ended:
    objects, folder = objects_folder(call.out), work_folder(call.out) / FOLDER / call.task
    with _alone(folder, check):
        if known := made_before(call.out, call.task, call.suffix):
            return Ended(Outcome.DONE, "", *known)
        sources = [_source(call, file) for file in call.files]
        with errors_about(folder):
            folder.mkdir(parents=True, exist_ok=True)
        made = folder / f"video{call.suffix}"
        discard(made)
        if isinstance(call.work, Join):
            _join(call, call.work, sources, made, notify, check)
        else:
            _finish(call, call.work, sources[0], made, notify, check)
        digest, size = file_digest(made), made.stat().st_size
        temp = objects / f".{call.task}.{os.getpid()}.part"
        os.replace(made, temp)
        keep(call.out, temp, call.task, digest, size, call.suffix)
        discard(folder)
    return Ended(Outcome.DONE, "", digest, size)


@contextmanager
def _alone(folder: Path, check: Callable[[], None]) -> Iterator[None]:
    """Inside the block no other process makes this task: a worker that lost contact may still be at it."""
    with ExitStack() as stack:
        while not _has_locked(folder, stack):
            check()
            time.sleep(WAIT_S)
        yield


def _has_locked(folder: Path, stack: ExitStack) -> bool:
    try:
        stack.enter_context(locked(folder, _BUSY))
    except OutputError as error:
        if error.text != _BUSY:
            raise
        return False
    return True


def _source(call: CpuCall, file: MadeFile) -> Path:
    """The file of another task. Raises `FarmError` for one that is damaged: it is removed, and made again."""
    path = object_file(call.out, file.digest, file.suffix)
    if file_digest(path) != file.digest:
        discard(path)
        remove(call.out, file.digest, file.suffix)
        raise FarmError(f"{path.name}: the file is damaged, and is made again.")
    return path


def _join(
    call: CpuCall, join: Join, sources: list[Path], target: Path,
    notify: Callable[[float], None], check: Callable[[], None],
) -> None:  # fmt: skip
    from ..long_video.part_bundle import join_bundles
    from ..media import audio_file, silence

    voice = input_file(call.out, join.audio, join.audio_digest)
    if file_digest(voice) != join.audio_digest:
        raise SonicGuardError(f"{voice.name}: the file has been changed since the farm began. Start it again.")
    sound = audio_file.load(voice, track=join.track, check=check)
    if join.cut_silence:
        sound = silence.cut_silence(sound)
    try:
        join_bundles(sources, sound, call.encoding, target, target.parent, notify=notify, check=check)
    except PartError:
        for file in call.files:  # so that who tries it again makes other ones
            remove(call.out, file.digest, file.suffix)
        raise


def _finish(
    call: CpuCall, finish: Finish, source: Path, target: Path,
    notify: Callable[[float], None], check: Callable[[], None],
) -> None:  # fmt: skip
    from ..finishing.finish_all import FinishAllRequest, finish_all

    request = FinishAllRequest(source, PRESETS[finish.preset], call.encoding)
    finish_all(request, target, target.parent, notify=lambda event: notify(event.share), check=check)
