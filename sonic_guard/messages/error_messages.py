"""The text of an error in the user's language.

Errors are raised with their text in English, often far from anybody who knows the language. So it is translated where
it is shown, by the sentence it was made from: `ERRORS` has the English and the Chinese one, with the same placeholders.
A test finds every error that is raised and requires its sentence.

An error's text is sentences one after another, often behind what they are about, such as an input's or a file's name:
"image: no face found. Use …". A placeholder's value is translated where it is such a text itself.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from ..errors import SonicGuardError
from ..optimizations import Text
from . import (
    error_texts_farm,
    error_texts_farm_runs,
    error_texts_finishing,
    error_texts_finishing_lipsync,
    error_texts_finishing_smooth,
    error_texts_finishing_upscale,
    error_texts_media,
    error_texts_requests,
    error_texts_runs,
    error_texts_settings,
    sound_texts,
)
from .catalogue import LANGUAGES
from .sentences import sentences

ERRORS: tuple[Text, ...] = (
    *error_texts_settings.ERRORS, *error_texts_media.ERRORS, *error_texts_finishing.ERRORS,
    *error_texts_finishing_lipsync.ERRORS, *error_texts_finishing_smooth.ERRORS,
    *error_texts_finishing_upscale.ERRORS,
    *error_texts_runs.ERRORS, *error_texts_requests.ERRORS, *error_texts_farm.ERRORS,
    *error_texts_farm_runs.ERRORS,
    sound_texts.REFUSED, *sound_texts.REFUSALS.values(),
)  # fmt: skip
"""Without the names in front of them."""
SUBJECTS: Mapping[str, Text] = {
    "card": Text("card", "显卡"),
    "chart": Text("chart", "图表"),
    "crop": Text("crop", "裁剪"),
    "device": Text("device", "设备"),
    "face threshold": Text("face threshold", "人脸阈值"),
    "file": Text("file", "文件"),
    "files": Text("files", "文件"),
    "frames": Text("frames", "画面"),
    "graph": Text("graph", "工作流"),
    "history": Text("history", "运行历史"),
    "image and audio": Text("image and audio", "image 和 audio"),
    "journal": Text("journal", "农场日志"),
    "lease": Text("lease", "租约"),
    "low VRAM": Text("low VRAM", "低显存"),
    "memory": Text("memory", "显存"),
    "node": Text("node", "节点"),
    "part length": Text("part length", "分段长度"),
    "preset": Text("preset", "预设"),
    "size": Text("size", "尺寸"),
    "scheduler": Text("scheduler", "调度器"),
    "server": Text("server", "服务器"),
    "servers": Text("servers", "服务器"),
    "settings": Text("settings", "设置"),
    "tables": Text("tables", "表格"),
    "tile": Text("tile", "分块"),
    "worker": Text("worker", "工作进程"),
}
"""Names in front of an error that are words. Others are those of inputs and files, the same in every language."""
MOST_SUBJECTS = 3
"""In front of an error, such as a file, and a key in it."""
MOST_SENTENCES = 12
"""In an error."""
MOST_NESTED = 2
"""Levels of texts in the placeholders of texts."""
_COLON = "："
_PLACE = re.compile(r"(line|job) ([0-9]+)")
_PLACES = {"line": "行", "job": "个任务"}
"""Of a job file."""
_BEGIN_OF_A_VALUE = ("{", "[", "'", '"')
_COLON_IN_VALUE = re.compile(r":(?= |$)")
_END = re.compile(r"\.(?= )")


def error_text(error: SonicGuardError | str, lang: str) -> str:
    """The text of `error`, or of an error, in `lang`, one of `LANGUAGES`.

    It stays as it is where it is not known, such as a plan's, which is in the user's language already.
    """
    text = error if isinstance(error, str) else error.text
    return text if lang == LANGUAGES[0] else "\n".join(_translated(line) or line for line in text.split("\n"))


@lru_cache(maxsize=256)  # also so that no part of a long text is tried twice
def _translated(text: str, nested: int = 0) -> str | None:
    """In Chinese; None where a part of `text` is not known."""
    splits = list(_splits(text))
    for subjects, rest in splits:
        if found := _sentences(rest, nested, colons=False):
            return subjects + found
    for subjects, rest in reversed(splits):  # a value may look like a subject
        if found := _sentences(rest, nested, colons=True):
            return subjects + found
    return None


def _splits(text: str) -> Iterator[tuple[str, str]]:
    """`text` with more and more of its beginning taken for what it is about: that in Chinese, and the rest."""
    subjects, rest = "", text
    yield subjects, rest
    for _ in range(MOST_SUBJECTS):
        subject, colon, rest = rest.partition(": ")
        if not colon or subject.startswith(_BEGIN_OF_A_VALUE):
            return
        subjects += f"{_subject(subject)}{_COLON}"
        yield subjects, rest


def _subject(subject: str) -> str:
    place = _PLACE.fullmatch(subject)
    if place:
        return f"第 {place[2]} {_PLACES[place[1]]}"
    return SUBJECTS[subject].zh if subject in SUBJECTS else subject


def _sentences(text: str, nested: int, *, colons: bool) -> str | None:
    """One sentence or several: the longest at the beginning, and then the others."""
    if whole := _sentence(text, nested, colons=colons):
        return whole
    ends = [found.end() for found in _END.finditer(text)]
    if len(ends) > MOST_SENTENCES:
        return None
    for end in reversed(ends):
        if begin := _sentence(text[:end], nested, colons=colons):
            following = _translated(text[end:].lstrip(), nested)
            return begin + following if following else None
    return None


def _sentence(text: str, nested: int, *, colons: bool) -> str | None:
    """One sentence; with `colons`, a value that it begins with may have some."""
    for sentence in _SENTENCES:
        values = sentence.match(text)
        if values is not None and (
            colons or sentence.literals[0] or not _COLON_IN_VALUE.search(next(iter(values.values())))
        ):
            deeper = {name: _value(value, nested + 1) for name, value in values.items()}
            return sentence.text.zh.format(**deeper)
    return None


def _value(value: str, nested: int) -> str:
    return (nested <= MOST_NESTED and _translated(value, nested)) or value


_SENTENCES = sentences(ERRORS)
