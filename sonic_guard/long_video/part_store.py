"""Stores the finished parts of one long video on disk, and sorts a part's frames into its files.

A part has up to three files: its body, encoded like the final video; and its head and tail, lossless, because at a seam
the tail of one part and the head of the next are blended into new pictures. Joining copies the bodies.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from ..atomic_files import discard, errors_about, fault, kind_of
from ..errors import OutputError, WrapperError
from ..media.seams import hide_seam
from ..media.video_file import frames, verify
from ..media.video_writer import FFV1, Encoding, VideoWriter
from .exclusive_lock import locked, remove_stale_locks
from .manifest import FileNote, Manifest, content_key, file_digest, plain_size
from .part_plan import Part
from .video_request import VideoRequest

log = logging.getLogger(__name__)

_KEY_LENGTH = 16
"""Digits of a key in the names of folders and files."""
STEP_SUFFIX = ".latents"
"""Suffix of a file with a denoising step: see `saved_steps`."""
_UNUSED = "unused"
"""Name of the file that marks a folder unused for long: see `sweep`."""


def sweep(work: Path, days: float) -> None:
    """Remove folders of parts below `work` that have not been used for twice `days` days.

    A folder unused for `days` is only marked at first, which renews its time stamp; it is removed `days` later. So a
    clock that is wrong once deletes nothing. Folders in use, and those dated in the future, are kept. A folder that
    cannot be removed, for example because another program holds a file open, is kept with a warning in the log.
    """
    for folder in work.glob("[0-9a-f]" * _KEY_LENGTH):
        if kind_of(folder) != "folder":
            continue
        try:
            with locked(folder, "a run is using it"), errors_about(folder):
                newest = max(path.lstat().st_mtime for path in (folder, *folder.iterdir()))
                if _now(work) - newest > days * 86_400:
                    if kind_of(mark := folder / _UNUSED):
                        discard(folder)
                    else:
                        mark.touch()
        except OutputError as error:
            log.warning("%s stays: %s", folder, error)
    remove_stale_locks(work)


def _now(folder: Path) -> float:
    """The time in seconds by the clock of the file system of `folder`, which may be another machine's."""
    with TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime


@contextmanager
def opened(
    request: VideoRequest, work: Path, target: Path, check: Callable[[], None] = lambda: None
) -> Iterator["PartStore"]:
    """The store of `request` below `work`, locked together with the name `target` for the duration of the block.

    Raises `OutputError`, without waiting, if another run has locked one of them, or if the disk fails.
    """
    folder = work.absolute() / request.key[:_KEY_LENGTH]
    same_video = (
        f"{target.name}: another run is making the same video right now, in this ComfyUI or another one. "
        "Wait until it is finished, or cancel it there and run again: finished parts are kept. "
        "For another version of the video change the seed."
    )
    same_name = (
        f"{target.name}: another run is making a video of this name right now. Choose another name, or wait for it."
    )
    name = content_key(os.path.normcase(os.path.realpath(target)))[:_KEY_LENGTH]
    with locked(folder, same_video), locked(folder.with_name(f"name-{name}"), same_name):
        yield PartStore(request, folder, check)


class PartStore:
    """The folder with the finished parts of a `VideoRequest`. Raises `OutputError` if the disk fails."""

    def __init__(self, request: VideoRequest, folder: Path, check: Callable[[], None] = lambda: None) -> None:
        """Open `folder`, and remove everything but complete files from it: unfinished ones, links, folders.

        `check` is called repeatedly while files are read and written; an exception from it ends the work.
        """
        self._check = check
        self.folder = folder
        self._request = request
        with errors_about(folder):
            if kind_of(folder) == "link":
                log.warning("%s is a link, and is removed; what it leads to stays as it is.", folder)
                discard(folder)
            elif kind_of(folder) not in ("", "folder"):
                raise fault(folder, "what has this name is no folder. Move it away, and run again.")
            folder.mkdir(exist_ok=True)
            for path in folder.iterdir():
                if (kind := kind_of(path)) != "file":
                    log.warning("%s is no plain file but a %s, and is removed.", path, kind)
                    discard(path)
                elif path.match(".*.part") or path.name == _UNUSED:
                    path.unlink()
        self._manifest = Manifest(folder)
        self._keys = list(request.part_keys)
        """The key of every part, as it was last read or written."""

    def has(self, part: Part, optimizations: Collection[str] = ()) -> bool:
        """Whether `part` is finished and the bytes and frame counts of all its files are right.

        A part made without inexact optimizations is preferred to one made with `optimizations`.
        """
        for key in dict.fromkeys((self._request.part_key(part), self._request.part_key(part, optimizations))):
            self._keys[part.index] = key
            if self._is_whole(part):
                return True
        return False

    def _is_whole(self, part: Part) -> bool:
        noted = self._manifest.files(self._keys[part.index])
        if noted is None:
            return False
        for path, count in self._files(part).items():
            try:
                if not self._is_as_noted(path, noted.get(path.name), count):
                    raise fault(path, "it has changed since it was written.")
            except (OSError, OutputError) as error:
                log.warning("part %d is made again: %s", part.index + 1, error)
                return False
        return True

    def _is_as_noted(self, path: Path, note: FileNote | None, frames: int) -> bool:
        # In this order: libav reads the file only after its digest has been verified.
        return (
            note is not None
            and plain_size(path) == note.size_bytes
            and file_digest(path, self._check) == note.sha256
            and verify(path).frames == frames
        )

    @contextmanager
    def writing(self, part: Part, optimizations: Collection[str] = ()) -> Iterator["FrameSorter"]:
        """The sorter that takes the frames of `part`, made with the additional `optimizations`.

        After the block all its files are complete, or, after an exception, none is kept.
        """
        self._keys[part.index] = self._request.part_key(part, optimizations)
        with ExitStack() as stack:
            writers: dict[str, VideoWriter] = {}
            for path in self._files(part):
                role = path.stem.rpartition("-")[2]
                encoding = self._request.encoding if role == "body" else Encoding(FFV1.name)
                writer = VideoWriter(path, self._request.fps, encoding, overwrite=True, faststart=False)
                writers[role] = stack.enter_context(writer)
            sorter = FrameSorter(part, writers)
            yield sorter
            sorter.finish()

    def add(self, part: Part) -> None:
        """Record that `part` is finished, and remove its steps. Not interrupted by `check`: the part would be lost."""
        notes = {path.name: FileNote(plain_size(path), file_digest(path)) for path in self._files(part)}
        self._manifest.add(self._keys[part.index], notes)
        for path in steps_of(self.folder, ""):  # parts are made one after the other
            discard(path)

    def step_names(self, part: Part, optimizations: Collection[str] = ()) -> list[str]:
        """The names under which steps of `part` may be stored in the folder.

        The first is for steps made with the additional `optimizations`; if these are inexact, the second is for steps
        made without them.
        """
        keys = dict.fromkeys((self._request.part_key(part, optimizations), self._request.part_key(part)))
        return [key[:_KEY_LENGTH] for key in keys]

    def files_to_join(self) -> list[Path]:
        """The video files that make up the result, in order. Writes the files of the seams between the parts."""
        files = []
        before: Part | None = None
        for part in self._request.parts:
            if before is not None:
                files.append(self._seam(before, part))
            files.append(self._path(part, "body"))
            before = part
        return files

    def clear(self) -> None:
        """Remove the folder; what cannot be removed is left, with a warning in the log."""
        discard(self.folder)

    def _seam(self, before: Part, after: Part) -> Path:
        path = self.folder / f"seam-{after.index}{self._request.encoding.kind.suffix}"
        old = list(islice(frames(self._path(before, "tail")), before.tail))
        with VideoWriter(path, self._request.fps, self._request.encoding, overwrite=True, faststart=False) as video:
            for picture in hide_seam(old, frames(self._path(after, "head")), after.head - before.tail):
                self._check()
                video.write(picture[None])
        return path

    def _files(self, part: Part) -> dict[Path, int]:
        """The files of `part` with their numbers of frames."""
        counts = {"head": part.head, "body": part.body, "tail": part.tail}
        return {self._path(part, role): count for role, count in counts.items() if count}

    def _path(self, part: Part, role: str) -> Path:
        suffix = self._request.encoding.kind.suffix if role == "body" else FFV1.suffix
        return self.folder / f"{self._keys[part.index][:_KEY_LENGTH]}-{role}{suffix}"


def steps_of(folder: Path, name: str) -> Iterator[Path]:
    """The files with denoising steps in `folder` of the part called `name`; of all parts if that is empty."""
    return folder.glob(f"{name or '*'}-*{STEP_SUFFIX}")


class FrameSorter:
    """Receives the output frames of a part in order and writes each to the file it belongs to."""

    def __init__(self, part: Part, writers: dict[str, VideoWriter]) -> None:
        """Sort into `writers` by role: head, body, tail. Frames of other roles are dropped."""
        self._part = part
        rest = part.made - part.skip - part.head - part.body - part.tail
        spans = [("", part.skip), ("head", part.head), ("body", part.body), ("tail", part.tail), ("", rest)]
        self._spans = [(count, writers.get(role)) for role, count in spans]
        self.taken = 0
        """Frames received so far."""

    def take(self, group: Any) -> None:
        """Write `group`, the next frames, as `video_writer.pictures` takes them.

        Raises `WrapperError` if there are too many.
        """
        first, count = self.taken, len(group)
        self.taken += count
        if self.taken > self._part.made:
            raise self._miscounted()
        start = 0
        for span, writer in self._spans:
            low, high = max(start, first) - first, min(start + span, first + count) - first
            if writer and low < high:
                writer.write(group[low:high])
            start += span

    def finish(self) -> None:
        """Raise `WrapperError` unless all frames were received."""
        if self.taken != self._part.made:
            raise self._miscounted()

    def _miscounted(self) -> WrapperError:
        return WrapperError(
            f"Sonic made {self.taken} frames from {self._part.latent_frames} latent ones; {self._part.made} were "
            "expected. Its node pack may have changed: update this pack, or report it with the pack's version."
        )
