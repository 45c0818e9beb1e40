"""The finished parts of one long video on disk, and the sorting of a part's frames into its files.

A part has up to three files: its body, already encoded as the video will be; its head and tail, without loss, because
at a seam the head of one part and the tail of the one before become new pictures. Joining then copies the bodies.
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
from .exclusive_lock import alone, tidy
from .manifest import FileNote, Manifest, content_key, file_digest, plain_size
from .part_plan import Part
from .video_request import Order

log = logging.getLogger(__name__)

_KEY_LENGTH = 16
"""Digits of a key in the names of folders and files."""
STEP_SUFFIX = ".latents"
"""Of a file with a denoising step: see `steps`."""
_UNUSED = "unused"
"""The file that marks a folder in which nothing had happened for long: see `sweep`."""


def sweep(work: Path, days: float) -> None:
    """Remove the parts below `work` of videos that no run has gone on with for `days`, and for `days` once more.

    The first time a folder is found so old it is marked only, which makes it new again: the clock may be wrong, and a
    clock that is wrong once costs nothing. A folder that a run is using stays, and so does one from the future.
    What cannot be removed, such as a file that another program holds open, stays, with a line in the log.
    """
    for folder in work.glob("[0-9a-f]" * _KEY_LENGTH):
        if kind_of(folder) != "folder":
            continue
        try:
            with alone(folder, "a run is using it"), errors_about(folder):
                newest = max(path.lstat().st_mtime for path in (folder, *folder.iterdir()))
                if _now(work) - newest > days * 86_400:
                    if kind_of(mark := folder / _UNUSED):
                        discard(folder)
                    else:
                        mark.touch()
        except OutputError as error:
            log.warning("%s stays: %s", folder, error)
    tidy(work)


def _now(folder: Path) -> float:
    """The time by the clock that the stamps of files in `folder` come from; a server's may be another than ours."""
    with TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime


@contextmanager
def opened(order: Order, work: Path, target: Path, check: Callable[[], None] = lambda: None) -> Iterator["Store"]:
    """The store of `order` below `work`, and the name `target`, for one run at a time.

    Raises `OutputError`, at once, if another run has one of them, or where the disk fails.
    """
    folder = work.absolute() / order.key[:_KEY_LENGTH]
    same_video = (
        f"{target.name}: another run is making the same video right now, in this ComfyUI or another one. "
        "Wait until it is finished, or cancel it there and run again: finished parts are kept. "
        "For another version of the video change the seed."
    )
    same_name = (
        f"{target.name}: another run is making a video of this name right now. Choose another name, or wait for it."
    )
    name = content_key(os.path.normcase(os.path.realpath(target)))[:_KEY_LENGTH]
    with alone(folder, same_video), alone(folder.with_name(f"name-{name}"), same_name):
        yield Store(order, folder, check)


class Store:
    """The folder of an order's finished parts. Raises `OutputError` where the disk fails."""

    def __init__(self, order: Order, folder: Path, check: Callable[[], None] = lambda: None) -> None:
        """Open `folder`, and clear what is no whole file of a run: half-written ones, links, and all else.

        `check` is called now and then while files are read and written; what it raises ends the work.
        """
        self._check = check
        self.folder = folder
        self._order = order
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
        self._keys = list(order.part_keys)
        """Of every part, the key it is kept by."""

    def has(self, part: Part, optimizations: Collection[str] = ()) -> bool:
        """Whether `part` is finished and all its files are whole: their bytes, and the frames in them.

        One made as exactly as may be counts before one with `optimizations` pulled.
        """
        for key in dict.fromkeys((self._order.part_key(part), self._order.part_key(part, optimizations))):
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
        # In this order: the digest reads the whole file, and libav whatever is in it.
        return (
            note is not None
            and plain_size(path) == note.size_bytes
            and file_digest(path, self._check) == note.sha256
            and verify(path).frames == frames
        )

    @contextmanager
    def writing(self, part: Part, optimizations: Collection[str] = ()) -> Iterator["Sorter"]:
        """The sorter that takes the frames of `part`, made with `optimizations` pulled on the way.

        Behind it, all its files are whole or none is.
        """
        self._keys[part.index] = self._order.part_key(part, optimizations)
        with ExitStack() as stack:
            writers: dict[str, VideoWriter] = {}
            for path in self._files(part):
                role = path.stem.rpartition("-")[2]
                encoding = self._order.encoding if role == "body" else Encoding(FFV1.name)
                writer = VideoWriter(path, self._order.fps, encoding, overwrite=True, faststart=False)
                writers[role] = stack.enter_context(writer)
            sorter = Sorter(part, writers)
            yield sorter
            sorter.finish()

    def add(self, part: Part) -> None:
        """Note that `part` is finished, and forget its steps. Nothing stops this: the part would be lost."""
        notes = {path.name: FileNote(plain_size(path), file_digest(path)) for path in self._files(part)}
        self._manifest.add(self._keys[part.index], notes)
        for path in steps_of(self.folder, ""):  # parts are made one after the other
            discard(path)

    def step_names(self, part: Part, optimizations: Collection[str] = ()) -> list[str]:
        """What the steps of `part`, made with `optimizations` pulled on the way, go by in the folder.

        The first is their own; behind it the one they go by where they are made as exactly as may be.
        """
        keys = dict.fromkeys((self._order.part_key(part, optimizations), self._order.part_key(part)))
        return [key[:_KEY_LENGTH] for key in keys]

    def pieces(self) -> list[Path]:
        """The files that make up the video, one after the other; the seams between the parts are made for it."""
        pieces = []
        before: Part | None = None
        for part in self._order.parts:
            if before is not None:
                pieces.append(self._seam(before, part))
            pieces.append(self._path(part, "body"))
            before = part
        return pieces

    def clear(self) -> None:
        """Remove the folder, as far as that can be done: the video is there."""
        discard(self.folder)

    def _seam(self, before: Part, after: Part) -> Path:
        path = self.folder / f"seam-{after.index}{self._order.encoding.kind.suffix}"
        old = list(islice(frames(self._path(before, "tail")), before.tail))
        with VideoWriter(path, self._order.fps, self._order.encoding, overwrite=True, faststart=False) as video:
            for picture in hide_seam(old, frames(self._path(after, "head")), after.head - before.tail):
                self._check()
                video.write(picture[None])
        return path

    def _files(self, part: Part) -> dict[Path, int]:
        """The files of `part`, and the frames each has."""
        counts = {"head": part.head, "body": part.body, "tail": part.tail}
        return {self._path(part, role): count for role, count in counts.items() if count}

    def _path(self, part: Part, role: str) -> Path:
        suffix = self._order.encoding.kind.suffix if role == "body" else FFV1.suffix
        return self.folder / f"{self._keys[part.index][:_KEY_LENGTH]}-{role}{suffix}"


def steps_of(folder: Path, name: str) -> Iterator[Path]:
    """The denoising steps in `folder` of the part that goes by `name`, or of any where that is empty."""
    return folder.glob(f"{name or '*'}-*{STEP_SUFFIX}")


class Sorter:
    """Takes the output frames of a part in order and gives each to the file it belongs in."""

    def __init__(self, part: Part, writers: dict[str, VideoWriter]) -> None:
        """Sort into `writers` by role; a role without one takes no frames."""
        self._part = part
        rest = part.made - part.skip - part.head - part.body - part.tail
        spans = [("", part.skip), ("head", part.head), ("body", part.body), ("tail", part.tail), ("", rest)]
        self._spans = [(count, writers.get(role)) for role, count in spans]
        self.taken = 0
        """Frames that came so far."""

    def take(self, group: Any) -> None:
        """Take `group`, the next frames: see `media.video.pictures`. Raises `WrapperError` beyond the last."""
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
        """Raise `WrapperError` unless all frames came."""
        if self.taken != self._part.made:
            raise self._miscounted()

    def _miscounted(self) -> WrapperError:
        return WrapperError(
            f"Sonic made {self.taken} frames of {self._part.latent_frames} latent ones; {self._part.made} were "
            "expected. Its node pack may have changed: update this pack, or report it with the pack's version."
        )
