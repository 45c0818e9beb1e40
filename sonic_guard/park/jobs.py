"""A job of a farm: a portrait, a voice and settings, with an id that follows from their content.

Who sends the same content twice gets the same id, and so the same video, made once.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import FarmError, brief
from ..finishing.finish_presets import FinishPreset
from ..job import MAX_DURATION_S
from ..media.crop import Aspect
from ..media.video_writer import PRESETS
from ..optimizations import Mode
from ..plain_files import printable

CONTENT_VERSION = 1
"""Counts up where the same settings begin to mean another video: then all ids are new."""
MAX_NAME = 120
"""Most characters in the name of a job's video."""
VIDEO_FORMATS = ("h264", "ffv1", "prores")
_NO_NAME = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f\ud800-\udfff]|^[.\s]|[.\s]$')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
NO_FINISH = "none"
FINISHES = (NO_FINISH, *map(str, FinishPreset))
"""What may be done to a video after it was made, by the presets of finishing."""
FORMULA = ("=", "+", "-", "@")
"""A spreadsheet takes a cell that begins so for a formula."""


@dataclass(frozen=True)
class JobSettings:
    """What a job asks for, by the names of Sonic Talking Head's inputs; 0 is the preset's."""

    preset: str = "fast"
    seconds: float = 0.0
    min_resolution: int = 0
    inference_steps: int = 0
    dynamic_scale: float = 0.0
    margin: float = 0.0
    aspect: str = "original"
    face_index: int = 0
    face_box: str = ""
    track: int = 1
    """Audio track of the voice's file."""
    cut_silence: bool = False
    seed: int = 0
    mode: str = "auto"
    part_s: float = 0.0
    format: str = "h264"
    crf: int = 18
    encoder_preset: str = "medium"


@dataclass(frozen=True)
class FarmJob:
    """A job whose files are there."""

    name: str
    """Of the video, without folder and suffix; unique in a farm, whatever the case."""
    image: Path
    audio: Path
    image_digest: str
    """SHA-256 of the file, in hexadecimal digits; a file that changes before it is sent is noticed by it."""
    audio_digest: str
    settings: JobSettings
    finish: str = NO_FINISH
    """What is done to the video after it was made: one of `FINISHES`."""

    @property
    def id(self) -> str:
        """Of the video as Sonic makes it: the same for the same content and settings, whatever the names."""
        return content_id(self.image_digest, self.audio_digest, asdict(self.settings))

    @property
    def finished_id(self) -> str:
        """Of the video as it is wanted."""
        return self.id if self.finish == NO_FINISH else content_id(self.id, "finish", self.finish)


def content_id(*content: Any) -> str:
    """32 hexadecimal digits: the same for the same values."""
    return hashlib.sha256(json.dumps([CONTENT_VERSION, *content], sort_keys=True).encode()).hexdigest()[:32]


def read_finish(value: Any) -> str:
    """What is done to a finished video. Raises `FarmError` for what is not in `FINISHES`."""
    return _word(*FINISHES)("finish", value)


def read_settings(values: Mapping[str, Any]) -> JobSettings:
    """The settings in `values`, texts of a CSV file or values of JSON; an empty text is the default.

    Raises `FarmError` for an unknown name, and for a value that the node would not take.
    """
    known = {field.name for field in fields(JobSettings)}
    if unknown := sorted(set(values) - known):
        raise FarmError(f"{printable(unknown[0])[:MAX_NAME]}: no such setting. Known: {', '.join(sorted(known))}.")
    given = {name: _READ[name](name, value) for name, value in values.items() if value not in ("", None)}
    return JobSettings(**given)


def read_name(value: Any) -> str:
    """The name of a video. Raises `FarmError` for one that is no plain file name everywhere."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise FarmError(f"name: {brief(value)} is no name of 1 to {MAX_NAME} characters.")
    if _NO_NAME.search(value) or _RESERVED.fullmatch(value) or value.startswith(FORMULA):
        raise FarmError(f"name: {brief(value)} is no plain file name. Use letters, digits, spaces, _ and -.")
    return value


def _whole(low: int, high: int, step: int = 1) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value.strip(), re.A) else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high or number % step:
            kind = "a whole number" if step == 1 else f"a multiple of {step}"
            raise FarmError(f"{name}: expected {kind} from {low} to {high}, got {brief(value)}.")
        return number

    return read


def _number(high: float) -> Callable[[str, Any], float]:
    def read(name: str, value: Any) -> float:
        text = value.strip() if isinstance(value, str) else ""
        number = float(text) if re.fullmatch(r"\d{1,9}(\.\d{0,9})?", text, re.A) else value
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= high:
            raise FarmError(f"{name}: expected a number from 0 to {high:g}, got {brief(value)}.")
        return float(number)

    return read


def _word(*options: str) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in options:
            raise FarmError(f"{name}: there is no {brief(value)}; choose one of {', '.join(options)}.")
        return value

    return read


def _flag(name: str, value: Any) -> bool:
    read = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    found = value if isinstance(value, bool) else read.get(str(value).strip().lower()[:6])
    if found is None:
        raise FarmError(f"{name}: expected true or false, got {brief(value)}.")
    return found


def _matching(form: str, what: str) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(form, value, re.A):
            raise FarmError(f"{name}: expected {what}, got {brief(value)}.")
        return value

    return read


_READ: Mapping[str, Callable[[str, Any], Any]] = {
    "preset": _matching(r"[a-z0-9][a-z0-9_-]{0,63}", "the name of a preset"),
    "seconds": _number(MAX_DURATION_S),
    "min_resolution": _whole(0, 2048, 64),
    "inference_steps": _whole(0, 1024),
    "dynamic_scale": _number(2.0),
    "margin": _number(1.0),
    "aspect": _word(*map(str, Aspect)),
    "face_index": _whole(0, 99),
    "face_box": _matching(r"[\d., ]{0,80}", "x1, y1, x2, y2 in pixels"),
    "track": _whole(1, 99),
    "cut_silence": _flag,
    "seed": _whole(0, 2**31 - 1),
    "mode": _word(*map(str, Mode)),
    "part_s": _number(36_000.0),
    "format": _word(*VIDEO_FORMATS),
    "crf": _whole(1, 51),
    "encoder_preset": _word(*PRESETS),
}
