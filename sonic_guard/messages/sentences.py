"""Finds by which text a sentence in English was made, and with which values for its placeholders."""

from collections.abc import Iterable
from string import Formatter
from typing import NamedTuple

from ..optimizations import Text


class Sentence(NamedTuple):
    """A text, taken apart."""

    literals: tuple[str, ...]
    """The English text around the placeholders: one more than there are names."""
    names: tuple[str, ...]
    text: Text

    def match(self, text: str) -> dict[str, str] | None:
        """The placeholders' values in `text`; None where it is another sentence. Takes linear time."""
        first, *others = self.literals
        if not others:
            return {} if text == first else None
        *between, last = others
        if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
            return None
        at, end, values = len(first), len(text) - len(last), []
        for literal in between:
            found = text.find(literal, at, end)
            if found < 0:
                return None
            values.append(text[at:found])
            at = found + len(literal)
        return dict(zip(self.names, [*values, text[at:end]], strict=True))


def sentences(texts: Iterable[Text]) -> list[Sentence]:
    """Those with the most text of their own first: where two match, it is the one that says more."""
    return sorted(map(_taken_apart, texts), key=lambda each: -sum(map(len, each.literals)))


def _taken_apart(text: Text) -> Sentence:
    literals, names, before = [], [], ""
    for literal, name, _, _ in Formatter().parse(text.en):
        before += literal
        if name is not None:
            literals.append(before)
            names.append(name)
            before = ""
    return Sentence((*literals, before), tuple(names), text)
