"""Sentences about lip sync."""

from ..finishing.lip_sync.confidence import Reason
from ..finishing.lip_sync.correction import LEAST_CORRECTION_MS, Correction
from ..finishing.lip_sync.film import FilmSync
from ..finishing.lip_sync.measurement import LipSync
from ..finishing.pipeline import Finished
from . import finish_texts
from . import lipsync_texts as texts
from .catalogue import clock, fill

HIGHEST = 0.99
"""Highest confidence that is shown: no measurement is certain."""


def found_lines(found: LipSync, lang: str = "en") -> list[str]:
    """What was measured."""
    if found.offset_ms is None:
        return [fill(texts.ABSTAINED, lang, reason=fill(texts.REASONS[found.reason or Reason.NO_MATCH], lang))]
    sure = min(found.confidence, HIGHEST)
    size = abs(found.offset_ms)
    if size < LEAST_CORRECTION_MS:
        lines = [fill(texts.IN_SYNC, lang, offset=found.offset_ms, confidence=sure)]
    else:
        text = texts.LATE if found.offset_ms > 0 else texts.EARLY
        lines = [fill(text, lang, offset=size, confidence=sure)]
    if found.drift_ppm:
        lines.append(fill(texts.DRIFTS, lang, drift=found.drift_ppm, minute=found.drift_ppm * 60 / 1000))
    return lines


def sampled_lines(film: FilmSync, lang: str = "en") -> list[str]:
    """How much of a long film was measured; nothing if all of it was."""
    if not film.is_sampled:
        return []
    return [fill(texts.SAMPLED, lang, measured=clock(film.measured_s), total=clock(film.footage.seconds))]


def kept_lines(finished: Finished, lang: str = "en") -> list[str]:
    """What was kept of a file: everything but the sound's time, unless the container does not allow it."""
    lines = [fill(texts.COPIED if finished.is_copy else texts.ENCODED, lang)]
    if finished.sound_encoded_again:
        lines.append(fill(finish_texts.SOUND_ENCODED, lang, codecs=", ".join(finished.sound_encoded_again)))
    return lines


def correction_lines(correction: Correction, lang: str = "en") -> list[str]:
    """What was done about it."""
    if not correction.applied_ms:
        return [fill(texts.NOT_MOVED, lang)]
    text = texts.MOVED_LATER if correction.applied_ms > 0 else texts.MOVED_EARLIER
    lines = [fill(text, lang, applied=abs(correction.applied_ms))]
    if abs(correction.left_ms) >= 0.5:
        lines.append(fill(texts.LEFT, lang, left=correction.left_ms))
    return lines
