"""Facts about the files in ComfyUI's input folder: each is found out once and cached, what a slow disk spoils longer.

A page can only choose a name, and only files inside the folder are opened.
"""

import math
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import Any, TypeVar

import numpy as np

from ..errors import FileNameError, SlowFileError, UnknownNameError
from ..media import audio_file, audio_tracks, picture, silence
from ..media.audio import SoundInfo
from ..media.audio_file import TrackChoice
from ..media.audio_tracks import Hearing
from ..media.cancellation import Check, deadline
from ..media.face import SURE, TILE, Box, Face, find_faces
from ..media.footage import open_footage
from .file_outcomes import Failure, Outcome, Substitute, attempt

Known = TypeVar("Known")
Limit = Callable[..., Check]
"""From a file, and the seconds it may take, to the check that ends work on it that starts now: `_Fact.limit`."""

MAX_NAME = 1000
"""Longest name in characters; file systems allow 255 in each folder."""
CAPACITY = 512
"""Facts in the cache; the least recently used are dropped first."""
MAX_DECODED_BYTES = 1 << 30
"""Bytes of the largest sound that is decoded to find its silence: 50 minutes of stereo at 44.1 kHz."""
LIMIT_S = 10.0
"""Seconds for reading a file: a small one can take a minute, and other files wait in the same queue."""
HEADER_LIMIT_S = 2.0
"""Seconds for reading a picture's header, which takes milliseconds."""
MAX_SEARCHED_PIXELS = 64_000_000
"""Pixels of the largest picture in which faces are searched: 0.7 s to decode as a PNG, and four times its bytes."""
ROUGH_SIDE = 2 * TILE
"""Long side in pixels of the first search. Its boxes are within two pixels of those of the full picture."""

_OUTSIDE = re.compile(r"^/|^[A-Za-z]:|(^|/)\.\.(/|$)|[\\\x00-\x1f\x7f\ud800-\udfff]|\[(output|temp)\]$")
"""Absolute, on a drive, up the tree, with a character that is special on some system, or of another folder."""


def resolve(folder: Path, name: str) -> Path:
    """The file called `name` in `folder`, as LoadImage and LoadAudio name it: "a.png", "b/a.png", "a.png [input]".

    Raises `FileNameError` for a name that leads out of the folder, also through links, and `UnknownNameError` where
    there is no such file. Nothing is opened.
    """
    if not name:
        raise FileNameError("file: a name is missing. Choose a file of the input folder.")
    if len(name) > MAX_NAME:
        raise FileNameError(f"file: a name of {len(name)} characters is not one of a file in the input folder.")
    plain = name.removesuffix("[input]").rstrip() if name.endswith("[input]") else name
    if _OUTSIDE.search(plain):
        raise FileNameError(f"file: {name!r} is not a file in the input folder.")
    home = os.path.realpath(folder)
    path = Path(os.path.realpath(os.path.join(home, plain)))
    if not path.is_relative_to(home):
        raise FileNameError(f"file: {name!r} leads out of the input folder.")
    if not os.path.isfile(path):  # unlike `Path.is_file`, it returns False for an impossible name
        raise UnknownNameError(f"file: there is no {name!r} in the input folder.")
    return path


class NotYetError(Exception):
    """The fact is not known yet; a thread is finding it out."""

    def __init__(self, future: Future[Any], wanted: Callable[[], AbstractContextManager[None]]) -> None:
        super().__init__("not known yet")
        self.future = future
        self.wanted = wanted
        """A context for waiting. The work is cancelled when the last waiter leaves it."""


class _CancelledError(Exception):
    """The last waiter has left."""


@dataclass(eq=False)
class _Fact:
    """A fact about a file, known or being found out."""

    future: Future[Outcome] = field(init=False)
    before: Outcome | None = None
    """What came of the last attempt, where this is another one."""
    attempts: int = 0
    """Those before this one."""
    waiting: int = 0
    cancelled: bool = False

    @property
    def is_over(self) -> bool:
        """Whether another attempt is due."""
        done = self.future.done() and not self.future.cancelled() and self.future.exception() is None
        return done and self.future.result().is_over

    def limit(self, path: Path, seconds: float | None = None) -> Check:
        """A check that ends work on `path`: after `seconds` (`LIMIT_S`), or when the last waiter has left."""
        in_time = deadline(path, LIMIT_S if seconds is None else seconds)

        def check() -> None:
            if self.cancelled:
                raise _CancelledError
            in_time()

        return check


class Files:
    """Facts about the files in a folder. Thread-safe; each fact is found out once, by one thread.

    No work takes longer than `LIMIT_S`, and it is cancelled when its last waiter leaves. What a slow or failing disk
    has spoiled is tried again after a pause (see `file_outcomes`), when it is asked for. Meanwhile a value that stands
    in for the fact is still given; an error is not, its callers wait as for a fact that is asked for the first time.
    """

    def __init__(self, folder: Callable[[], Path], capacity: int = CAPACITY) -> None:
        self._folder = folder
        self._capacity = capacity
        self._facts: OrderedDict[tuple[object, ...], _Fact] = OrderedDict()
        self._lock = threading.Lock()
        self._waits = True
        self._warm = False
        # One thread each: pictures do not wait for a long sound, and a face detector is bound to its thread.
        self._headers = ThreadPoolExecutor(1, "sonic-guard-header")
        self._pictures = ThreadPoolExecutor(1, "sonic-guard-picture")
        self._sounds = ThreadPoolExecutor(1, "sonic-guard-sound")

    def without_waiting(self) -> "Files":
        """The same facts, but a fact that is not known yet raises `NotYetError` instead of being waited for."""
        files = copy(self)
        files._waits = False
        return files

    def has(self, name: str) -> bool:
        """Whether there is a file of that name; nothing is read. Raises `FileNameError` as `resolve`."""
        try:
            resolve(self._folder(), name)
        except UnknownNameError:
            return False
        return True

    def name_of(self, path: str) -> str | None:
        """The name of the file at a path, as nodes take it that ask for a path instead of a name; None outside.

        A relative path starts where ComfyUI was started: there the folder is called ``input``.
        """
        if not os.path.isabs(path):
            parts = PurePath(path).parts
            return PurePath(*parts[1:]).as_posix() if len(parts) > 1 and parts[0] == "input" else None
        for folder in (self._folder(), os.path.realpath(self._folder())):
            if Path(path).is_relative_to(folder):
                return Path(path).relative_to(folder).as_posix()
        return None

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of a picture. Raises `PictureError` and, as all methods below, what `resolve` raises."""
        return self._fact(name, _size, self._headers)

    def video_extent(self, name: str) -> tuple[int, int, int]:
        """Width and height of a video's frames, as shown, and how many there are. Raises `FootageError`."""
        return self._fact(name, _video_extent, self._headers)

    def faces(self, name: str) -> tuple[Face, ...] | None:
        """The faces in a picture, largest first; None where that takes too long (`MAX_SEARCHED_PIXELS`)."""
        return self._fact(name, _faces, self._pictures)

    def is_batch(self, name: str) -> bool:
        """Whether LoadImage makes a batch of a picture."""
        return self._fact(name, _is_batch, self._headers)

    def sound(self, name: str, track: TrackChoice = 1) -> SoundInfo:
        """The length of a track; that in its header, where counting takes too long. Raises `AudioError`."""
        return self._fact(name, _sound, self._sounds, track)

    def hearing(self, name: str, track: TrackChoice = 1) -> Hearing | None:
        """Whether a track is silent; None where listening takes too long. Raises `AudioError`."""
        return self._fact(name, _hearing, self._sounds, track)

    def voice_s(self, name: str, track: TrackChoice = 1) -> float | None:
        """Seconds of a track without the silence at its ends; None where finding it takes too long."""
        info = self.sound(name, track)
        if not info.counted or 4 * info.samples * info.channels > MAX_DECODED_BYTES:
            return None
        return self._fact(name, _voice_s, self._sounds, track)

    def warm_up(self) -> None:
        """Load the face detector in the background, once: it takes most of a second."""
        if not self._warm:
            self._warm = True
            self._pictures.submit(find_faces, np.zeros((32, 32, 3), np.uint8))

    def _fact(
        self, name: str, find: Callable[..., Known | Substitute], executor: ThreadPoolExecutor, *about: Any
    ) -> Known:
        """What `find` returns for the file, a limit and `about`."""
        path = resolve(self._folder(), name)
        try:
            status = path.stat()
        except OSError as error:
            raise UnknownNameError(f"file: {name!r} cannot be read: {error.strerror}.") from error
        key = (find, about, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            fact = self._facts.get(key)
            if fact is None or fact.is_over:
                fact = self._facts[key] = _next_attempt(fact)
                look = partial(find, path, fact.limit, *about)
                fact.future = executor.submit(attempt, look, path, fact.attempts)
            self._facts.move_to_end(key)
            if len(self._facts) > self._capacity:
                self._facts.popitem(last=False)
            if fact.before and fact.before.is_usable and not fact.future.done():
                return fact.before.found
            fact.waiting += self._waits
        if not (self._waits or fact.future.done()):
            raise NotYetError(fact.future, partial(self._wanted, key, fact))
        try:
            found = fact.future.result().found
        except BaseException:  # not caused by the file, such as a lack of memory: the next caller tries again
            with self._lock:
                self._forget(key, fact)
            raise
        finally:
            with self._lock:
                fact.waiting -= self._waits
        if isinstance(found, Failure):
            raise found.kind(found.text)
        return found

    @contextmanager
    def _wanted(self, key: tuple[object, ...], fact: _Fact) -> Iterator[None]:
        with self._lock:
            fact.waiting += 1
        try:
            yield
        finally:
            with self._lock:
                fact.waiting -= 1
                if not (fact.waiting or fact.future.done()):
                    fact.cancelled = True
                    self._forget(key, fact)  # before another thread can wait for it
            if fact.cancelled:
                fact.future.cancel()  # if it has not started

    def _forget(self, key: tuple[object, ...], fact: _Fact) -> None:
        if self._facts.get(key) is fact:
            del self._facts[key]


def _next_attempt(fact: _Fact | None) -> _Fact:
    """Another attempt at `fact`, which is done, or the first one."""
    return _Fact() if fact is None else _Fact(fact.future.result(), fact.attempts + 1)


def _size(path: Path, limit: Limit) -> tuple[int, int]:
    return picture.read_size(path, check=limit(path, HEADER_LIMIT_S))


def _video_extent(path: Path, limit: Limit) -> tuple[int, int, int]:
    footage = open_footage(path, limit(path))
    return footage.width, footage.height, footage.frames


def _is_batch(path: Path, limit: Limit) -> bool:
    return picture.is_batch(path, check=limit(path, HEADER_LIMIT_S))


def _sound(path: Path, limit: Limit, track: TrackChoice) -> SoundInfo | Substitute:
    try:
        return audio_file.probe(path, track=track, check=limit(path))
    except SlowFileError:
        return Substitute(audio_file.claimed(path, track=track, check=limit(path)))


def _hearing(path: Path, limit: Limit, track: TrackChoice) -> Hearing | Substitute:
    try:
        return audio_tracks.listen(path, track, check=limit(path))
    except SlowFileError:
        return Substitute(None)


def _voice_s(path: Path, limit: Limit, track: TrackChoice) -> float | Substitute:
    try:
        check = limit(path)
        return silence.cut_silence(audio_file.load(path, track=track, check=check), check=check).duration_s
    except SlowFileError:
        return Substitute(None)


def _faces(path: Path, limit: Limit) -> tuple[Face, ...] | Substitute | None:
    try:
        return _faces_in(path, limit(path))
    except SlowFileError:
        return Substitute(None)


def _faces_in(path: Path, check: Check) -> tuple[Face, ...] | None:
    """The faces in the picture at `path`; of a large JPEG at a reduced size, if that shows one with certainty."""
    width, height = picture.read_size(path, check=check)
    if width * height > MAX_SEARCHED_PIXELS:
        return None
    rough = picture.load(path, enough=ROUGH_SIDE, check=check)
    scale = max(width, height) / max(rough.shape[:2])
    faces = find_faces(rough, closer=scale == 1, check=check)
    if scale == 1:
        return tuple(faces)
    if max((face.score for face in faces), default=0.0) < SURE:
        return tuple(find_faces(picture.load(path, check=check), check=check))
    return tuple(Face(_enlarged(face.box, scale, width, height), face.score) for face in faces)


def _enlarged(box: Box, scale: float, width: int, height: int) -> Box:
    x2, y2 = math.ceil(box.x2 * scale), math.ceil(box.y2 * scale)
    return Box(int(box.x1 * scale), int(box.y1 * scale), min(x2, width), min(y2, height))
