"""Stores the finished parts of one long video on disk, and sorts a part's frames into its files.

A part has up to three files: its body, encoded like the final video; and its head and tail, lossless, because at a seam
the tail of one part and the head of the next are blended into new pictures. Joining copies the bodies.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ..atomic_files import discard, fault
from ..errors import OutputError, WrapperError
from ..media.video_file import verify
from ..media.video_writer import FFV1, Encoding, VideoWriter
from ..resume.manifest import Manifest, is_as_noted, note_of
from ..resume.work_folder import KEY_LENGTH, work_folder
from .joining import FinishedParts
from .part_plan import Part
from .video_request import VideoRequest

log = logging.getLogger(__name__)

STEP_SUFFIX = ".latents"
"""Suffix of a file with a denoising step: see `saved_steps`."""


@contextmanager
def opened(
    request: VideoRequest, key: str, work: Path, target: Path, check: Callable[[], None] = lambda: None
) -> Iterator["PartStore"]:
    """The store of `request` below `work`, locked together with the name `target` for the duration of the block.

    `key` names it: the video's, or that of a part which is made alone. Raises `OutputError`, without waiting, if
    another run has locked one of them, or if the disk fails.
    """
    same_video = (
        f"{target.name}: another run is making the same video right now, in this ComfyUI or another one. "
        "Wait until it is finished, or cancel it there and run again: finished parts are kept. "
        "For another version of the video change the seed."
    )
    with work_folder(work, key, target, same_video) as folder:
        yield PartStore(request, folder, check)


class PartStore:
    """The folder with the finished parts of a `VideoRequest`. Raises `OutputError` if the disk fails."""

    def __init__(self, request: VideoRequest, folder: Path, check: Callable[[], None] = lambda: None) -> None:
        """Open `folder`, which `work_folder` has prepared.

        `check` is called repeatedly while files are read and written; an exception from it ends the work.
        """
        self._check = check
        self.folder = folder
        self._request = request
        self._manifest = Manifest(folder)
        self._keys = request.part_keys

    def has(self, part: Part) -> bool:
        """Whether `part` is finished and the bytes and frame counts of all its files are right."""
        noted = self._manifest.files(self._keys[part.index])
        if noted is None:
            return False
        for path, count in self._files(part).items():
            try:
                # In this order: libav reads the file only after its digest has been verified.
                if not is_as_noted(path, noted.get(path.name), self._check) or verify(path).frames != count:
                    raise fault(path, "it has changed since it was written.")
            except (OSError, OutputError) as error:
                log.warning("part %d is made again: %s", part.index + 1, error)
                return False
        return True

    @contextmanager
    def writing(self, part: Part) -> Iterator["FrameSorter"]:
        """The sorter that takes the frames of `part`.

        After the block all its files are complete, or, after an exception, none is kept.
        """
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
        notes = {path.name: note_of(path) for path in self._files(part)}
        self._manifest.add(self._keys[part.index], notes)
        for path in steps_of(self.folder, ""):  # parts are made one after the other
            discard(path)

    def step_name(self, part: Part) -> str:
        """The name under which the steps of `part` are stored in the folder."""
        return self._keys[part.index][:KEY_LENGTH]

    def made(self) -> FinishedParts:
        """All parts as they are stored, to be joined."""
        return FinishedParts(self._request.parts, self.path, self._request.encoding, self._request.fps)

    def clear(self) -> None:
        """Remove the folder; what cannot be removed is left, with a warning in the log."""
        discard(self.folder)

    def _files(self, part: Part) -> dict[Path, int]:
        """The files of `part` with their numbers of frames."""
        return {self.path(part, role): count for role, count in part.counts.items()}

    def path(self, part: Part, role: str) -> Path:
        """The file of `part` for one of the roles head, body, tail."""
        suffix = self._request.encoding.kind.suffix if role == "body" else FFV1.suffix
        return self.folder / f"{self._keys[part.index][:KEY_LENGTH]}-{role}{suffix}"


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
