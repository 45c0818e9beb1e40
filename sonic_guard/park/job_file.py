"""Reads a farm's job file: a CSV or JSON file, or a folder of pairs. Nothing of it is believed.

A file is named relative to the job file's folder, or to a folder or a bucket that the user has added. It has to lie
inside of it, also after links are followed: no job file reads anything else. Absolute paths, ``..`` and all URLs but
those below what the user has added are refused.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import FarmError, SonicGuardError, brief, first_of, reject_json_constant
from ..operations.preset_files import load_preset
from ..plain_files import open_plain, plain_file, printable, shown
from .content import file_digest
from .files import Location
from .input_roots import Root, below, root_at
from .jobs import FORMULA, MAX_NAME, NO_FINISH, FarmJob, read_finish, read_name, read_settings

MAX_FILE_BYTES = 64 << 20
"""Bytes of the largest job file: some 100,000 jobs."""
MAX_JOBS = 200_000
MAX_PATH = 1000
"""Most characters in the name of a file."""
MAX_PICTURE_BYTES, MAX_SOUND_BYTES = 256 << 20, 8 << 30
SHOWN_FAULTS = 10
"""Faults that are listed; a file of many jobs may have one in each line."""
PICTURES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp"))
SOUNDS = frozenset((".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"))
_OUTSIDE = re.compile(r"^[/\\~]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|[\\\x00-\x1f\x7f\ud800-\udfff]")
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:")


class Row(NamedTuple):
    """One job as it stands in the file."""

    place: str
    """For messages: "line 3", "job 3", or the pair's name."""
    values: Mapping[str, Any]


@dataclass
class _Reader:
    """What is known while a job file is read."""

    roots: Sequence[Root]
    finish: str = NO_FINISH
    """Of the jobs that do not say."""
    digests: dict[Path, str] = field(default_factory=dict)
    """Of the files read so far: a portrait may have many voices."""
    names: set[str] = field(default_factory=set)
    """Taken names, lower case: some file systems know no others."""
    presets: set[str] = field(default_factory=set)
    """That are there."""

    def job(self, row: Row) -> FarmJob:
        """The job of a row. Raises `SonicGuardError`."""
        values = dict(row.values)
        image, audio = (self._file(name, values.pop(name, ""), most) for name, most in _MEDIA)
        name = values.pop("name", "") or ""
        name = self._new_name(name or f"{image.stem} {audio.stem}"[:MAX_NAME], given=bool(name))
        finish = read_finish(values.pop("finish", "") or self.finish)
        settings = read_settings(values)
        self._check_preset(settings.preset)
        return FarmJob(name, image, audio, self._digest(image), self._digest(audio), settings, finish)

    def _file(self, what: str, name: Any, most_bytes: int) -> Path:
        if not isinstance(name, str) or not name.strip():
            raise FarmError(f"{what}: a file's name is missing.")
        name = name.strip()
        if len(name) > MAX_PATH:
            raise FarmError(f"{what}: a name of {len(name)} characters is not one of a file.")
        name, roots = below(self.roots, name)
        if _URL.match(name):
            raise FarmError(f"{what}: {brief(name)} is a URL. Nothing is fetched: copy the file beside the job file.")
        if _OUTSIDE.search(name) or name.startswith(FORMULA):
            raise FarmError(f"{what}: {brief(name)} is not a file below the job file's folder.")
        for root in roots:
            if path := root.find(what, name, most_bytes):
                return _of_size(what, path, most_bytes)
        raise FarmError(f"{what}: there is no file {brief(name)}.")

    def _check_preset(self, name: str) -> None:
        if name not in self.presets:
            load_preset(name)
            self.presets.add(name)

    def _digest(self, path: Path) -> str:
        if path not in self.digests:
            self.digests[path] = file_digest(path)
        return self.digests[path]

    def _new_name(self, name: str, *, given: bool) -> str:
        made, number = (name if given else name.lstrip("".join(FORMULA) + ".").strip(". ") or "video"), 1
        while made.casefold() in self.names:
            if given:
                raise FarmError(f"name: {brief(name)} is used by another job.")
            number += 1
            made = f"{name[: MAX_NAME - 6]} {number}"
        self.names.add(read_name(made).casefold())
        return made


_MEDIA = (("image", MAX_PICTURE_BYTES), ("audio", MAX_SOUND_BYTES))


def read_job_file(path: Path, roots: Sequence[Location] = (), finish: str = NO_FINISH) -> list[FarmJob]:
    """The jobs in the CSV or JSON file `path`, or the pairs in that folder; `roots` are further places of files.

    `finish` is done to the videos of jobs that do not say.

    Raises `FarmError` with the first faults of all rows: a file is taken as a whole or not at all.
    """
    folder = path if path.is_dir() else path.parent
    reader = _Reader([root_at(each) for each in (folder, *roots)], finish)
    jobs, faults = [], []
    for row in _rows(path):
        try:
            jobs.append(reader.job(row))
        except SonicGuardError as error:
            faults.append(f"{row.place}: {error.text}")
    if faults:
        listed = first_of(faults, SHOWN_FAULTS, "\n")
        raise FarmError(f"{shown(path)}: {listed}", path=path)
    if not jobs:
        raise FarmError(f"{shown(path)}: there is no job in it.", path=path)
    return jobs


def _rows(path: Path) -> Iterable[Row]:
    if path.is_dir():
        return _pairs(path)
    with open_plain(path, FarmError, "a job file") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise FarmError(f"{shown(path)}: a job file has at most {MAX_FILE_BYTES >> 20} MiB.", path=path)
    text = _decoded(path, content)
    rows = list(_json_rows(path, text) if path.suffix.lower() == ".json" else _csv_rows(path, text))
    if len(rows) > MAX_JOBS:
        raise FarmError(f"{shown(path)}: {len(rows)} jobs are more than {MAX_JOBS}.", path=path)
    return rows


def _decoded(path: Path, content: bytes) -> str:
    # Spreadsheets export "Unicode text" in UTF-16 with a mark, and CSV with or without UTF-8's.
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise FarmError(f"{shown(path)}: this is no text in UTF-8 (byte {error.start}). Save it in UTF-8.") from error
    if "\0" in text:
        raise FarmError(f"{shown(path)}: this is no text: it has a zero byte.", path=path)
    return text


def _csv_rows(path: Path, text: str) -> Iterator[Row]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [each.strip().lower() for each in next(reader, [])]
        _check_header(path, header)
        for cells in reader:
            if not any(map(str.strip, cells)):
                continue
            if len(cells) > len(header):
                raise FarmError(f"{shown(path)}: line {reader.line_num}: {len(cells)} cells are more than columns.")
            yield Row(f"line {reader.line_num}", dict(zip(header, map(str.strip, cells), strict=False)))
    except csv.Error as error:
        raise FarmError(f"{shown(path)}: line {reader.line_num}: this is no CSV ({error}).", path=path) from error


def _check_header(path: Path, header: Sequence[str]) -> None:
    if missing := [name for name in ("image", "audio") if name not in header]:
        raise FarmError(f"{shown(path)}: the first line names the columns, and {' and '.join(missing)} is missing.")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise FarmError(f"{shown(path)}: there are two columns {brief(twice[0])}.", path=path)


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    try:
        data = json.loads(text, parse_constant=reject_json_constant)
    except (ValueError, RecursionError) as error:
        raise FarmError(f"{shown(path)}: this is no JSON ({brief(str(error))}).", path=path) from error
    jobs = data.get("jobs") if isinstance(data, dict) else data
    if not isinstance(jobs, list) or not all(isinstance(each, dict) for each in jobs):
        raise FarmError(f'{shown(path)}: expected a list of objects, or {{"jobs": [objects]}}.', path=path)
    for number, values in enumerate(jobs, start=1):
        yield Row(f"job {number}", values)


def _pairs(folder: Path) -> Iterator[Row]:
    """Pictures and sounds of the same name; one portrait alone speaks with all voices."""
    files = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    pictures = [each for each in files if each.suffix.lower() in PICTURES]
    sounds = [each for each in files if each.suffix.lower() in SOUNDS]
    by_stem: dict[str, list[Path]] = {}
    for each in pictures:
        by_stem.setdefault(each.stem, []).append(each)
    for sound in sounds:
        found = pictures if len(pictures) == 1 else by_stem.get(sound.stem, [])
        if len(found) != 1:
            count = len(found) or "no"
            raise FarmError(f"{shown(folder)}: {printable(sound.name)} has {count} picture of its name beside it.")
        yield Row(printable(sound.name), {"image": found[0].name, "audio": sound.name, "name": sound.stem})


def _of_size(what: str, path: Path, most_bytes: int) -> Path:
    size = plain_file(path, FarmError, "a file of a job").stat().st_size
    if not 0 < size <= most_bytes:
        raise FarmError(f"{what}: {shown(path)} has {size} bytes; 1 to {most_bytes} are taken.")
    return path
