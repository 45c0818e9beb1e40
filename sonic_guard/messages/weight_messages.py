"""Sentences and tables about the weight files of Sonic and its relatives."""

from collections.abc import Iterator

from ..comfy.weight_files import FILES_OF, WeightFile
from ..relatives import Relative
from . import weight_texts as texts
from .catalogue import fill


def table_head(lang: str = "en") -> tuple[str, str, str]:
    """The head of a table of the files."""
    return fill(texts.FILE, lang), fill(texts.SIZE, lang), fill(texts.FROM, lang)


def table_rows(lang: str = "en", relative: Relative = Relative.SONIC) -> Iterator[tuple[str, str, str]]:
    """A row for each file, in Markdown: where it is put, its size, and where it comes from."""
    for file in FILES_OF[relative]:
        yield f"`{file.path}`", size_text(file) or "–", _source(file, lang)


def size_text(file: WeightFile) -> str:
    """The size of a file; empty where it is not known."""
    if file.about_mb is None:
        return ""
    return f"{file.about_mb / 1000:.1f} GB" if file.about_mb >= 1000 else f"{file.about_mb} MB"


def _source(file: WeightFile, lang: str) -> str:
    link = f"[{fill(texts.DOWNLOAD, lang)}]({file.url})"
    return f"{link} · [{fill(texts.LICENCE, lang)}]({file.page})" if file.page else link
