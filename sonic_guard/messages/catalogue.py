"""Texts in several languages, and how their placeholders and numbers are filled in."""

from typing import NamedTuple

from ..devices.card_catalogue import GIB
from ..optimizations import Text

LANGUAGES: tuple[str, ...] = Text._fields
"""Codes of the languages every text has. The first is the default."""


def fill(text: Text, lang: str, **values: object) -> str:
    """`text` in the language `lang`, with a value for each of its placeholders.

    Raises `KeyError` for a placeholder without a value; a test compares every call with the text it fills.
    """
    return text[LANGUAGES.index(lang)].format(**values)


class Counted(NamedTuple):
    """A text with a number, for one and for any other."""

    one: Text
    others: Text


def count(text: Counted, lang: str, number: int, **values: object) -> str:
    """`text` for that `number`, which fills its placeholder ``number``; raises as `fill` does."""
    return fill(text.one if number == 1 else text.others, lang, number=number, **values)


def gib(size_bytes: float) -> str:
    """Bytes in GiB (2**30) with one decimal, such as "6.4 GiB"."""
    return f"{size_bytes / GIB:.1f} GiB"


def clock(duration_s: float) -> str:
    """Seconds as 1:02:03, or 2:03."""
    minutes, rest = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
