"""The segments of a video that is being finished: short files, each encoded by itself, from which a run is resumed."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic_files import write_text
from ..errors import OutputError
from ..media.video_file import verify
from ..resume.manifest import Manifest, is_as_noted, note_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Segment:
    """Consecutive pictures of the result."""

    path: Path
    start: int
    """When the first of them is shown, in units of the result's time base, counted from its beginning."""
    frames: int
    changed: int
    """How many of them differ from the source's."""
    notes: tuple[list[Any], ...] = ()
    """What `frames.Notes.of` gave of them, for each of the request's notes."""


class SegmentStore:
    """The finished segments in a folder, in order."""

    def __init__(self, folder: Path, suffix: str, check: Callable[[], None]) -> None:
        """Find those that earlier runs have finished, up to the first that is missing or damaged."""
        self._folder, self._suffix = folder, suffix
        self._manifest = Manifest(folder)
        self._segments = list(self._kept(check))
        self.kept_frames = self.frames
        """Pictures that an earlier run has made."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All of them."""
        return tuple(self._segments)

    @property
    def frames(self) -> int:
        """Pictures in them."""
        return sum(segment.frames for segment in self._segments)

    @property
    def changed(self) -> int:
        """Pictures in them that differ from the source's."""
        return sum(segment.changed for segment in self._segments)

    def next_path(self) -> Path:
        """The file to write the next segment to."""
        return self._folder / f"{len(self._segments):06}{self._suffix}"

    def add(self, segment: Segment) -> None:
        """Record that `segment`, the next one, is finished. Raises `OutputError`."""
        path, notes = segment.path, segment.path.with_suffix(".json")
        write_text(notes, json.dumps(segment.notes))
        name = f"{len(self._segments)} {segment.start} {segment.frames} {segment.changed}"
        self._manifest.add(name, {each.name: note_of(each) for each in (path, notes)})
        self._segments.append(segment)

    def _kept(self, check: Callable[[], None]) -> Iterator[Segment]:
        found = {int(name.split()[0]): name for name in self._manifest.names}
        for index in range(len(found)):
            if index not in found:
                return
            _, start, frames, changed = map(int, found[index].split())
            files = {self._folder / name: note for name, note in (self._manifest.files(found[index]) or {}).items()}
            path, notes = (self._folder / f"{index:06}{suffix}" for suffix in (self._suffix, ".json"))
            try:
                # In this order: libav reads the file only after its digest has been verified.
                is_whole = all(is_as_noted(each, files.get(each), check) for each in (path, notes))
                if not is_whole or verify(path).frames != frames:
                    log.warning("%s has changed since it was written; it is made again.", path)
                    return
                noted = tuple(json.loads(notes.read_text(encoding="utf-8")))
            except (OSError, OutputError) as error:
                log.warning("%s is made again: %s", path, error)
                return
            yield Segment(path, start, frames, changed, noted)
