"""Sentences about a farm that runs."""

from ..devices.card_catalogue import Card
from ..park.events import Told
from . import farm_run_texts as texts
from .catalogue import fill, gib
from .error_messages import error_text


def refusal_by_memory(needed_bytes: int, card: Card | None, lang: str = "en") -> str:
    """Why a job is on no card of the farm, and the card that would hold it."""
    if card is None:
        return fill(texts.NEEDS_MORE, lang, needed=gib(needed_bytes))
    return fill(texts.NEEDS, lang, needed=gib(needed_bytes), card=card.title)


def told_text(told: Told, lang: str = "en") -> str:
    """What has happened, in a line."""
    detail = error_text(told.text, lang)
    return fill(texts.HAPPENINGS[told.what], lang, subject=told.subject, detail=detail).strip()
