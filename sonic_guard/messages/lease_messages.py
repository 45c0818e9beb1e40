"""Sentences about leases of a card's memory."""

from ..farm.leases import Place
from ..farm.ledger import Entry
from . import lease_texts as texts
from .catalogue import count, fill, gib


def place_text(place: Place, lang: str = "en") -> str:
    """Where a run stands in line, and for what it waits, in a line."""
    running = count(texts.RUNNING, lang, place.running)
    line = fill(texts.WAITING, lang, place=place.number, running=running, free=gib(place.free_bytes))
    if place.foreign_bytes:
        line += f" · {fill(texts.FOREIGN, lang, foreign=gib(place.foreign_bytes))}"
    return line


def state_word(entry: Entry, lang: str = "en") -> str:
    """What a process does."""
    return fill(texts.STATES[entry.state], lang)
