"""Sentences about smoothing a video."""

from ..finishing.smooth import SmoothNotes
from . import smooth_texts as texts
from .catalogue import fill
from .plan_messages import frame_count


def smooth_lines(notes: SmoothNotes, deflicker: bool, strength: float, lang: str = "en") -> list[str]:
    """What was smoothed, in sentences; none for what was off."""
    lines = []
    if deflicker and notes.factors:
        frames = frame_count(len(notes.factors), lang)
        lines.append(fill(texts.PULSES, lang, frames=frames, largest=notes.largest - 1))
    elif deflicker:
        lines.append(fill(texts.NO_PULSES, lang))
    if strength > 0:
        lines.append(fill(texts.JITTER, lang, strength=strength))
    return lines
