"""Sentences about finishing a video: progress and report."""

from ..devices.card_catalogue import GIB
from ..finishing.pipeline import Finished, Finishing
from . import finish_texts as texts
from .catalogue import clock, fill
from .plan_messages import frame_count


def progress_text(event: Finishing, lang: str = "en") -> str:
    """How far the work is, in a line."""
    items = [f"{event.share:.0%}"]
    if event.seconds_left is not None:
        items.append(fill(texts.TIME_LEFT, lang, time=clock(event.seconds_left)))
    return " · ".join(items)


def finish_report(finished: Finished, lang: str = "en") -> str:
    """The finished video and what was done to it."""
    footage = finished.source
    lines = [
        finished.path.name,
        fill(
            texts.VIDEO, lang, width=finished.width, height=finished.height,
            frames=frame_count(finished.frames, lang), fps=float(footage.rate * finished.frames / footage.frames),
            time=clock(footage.seconds), size=f"{finished.path.stat().st_size / GIB * 1024:.1f} MiB",
        ),
    ]  # fmt: skip
    if finished.is_copy:
        lines.append(fill(texts.UNCHANGED, lang))
    else:
        lines.append(fill(texts.CHANGED, lang, changed=finished.changed, frames=finished.frames))
        lines += [fill(texts.TRAITS[trait], lang) for trait in texts.TRAITS if trait in footage.traits]
    if finished.kept:
        lines.append(fill(texts.KEPT, lang, kept=finished.kept))
    if finished.sound_encoded_again:
        codecs = ", ".join(finished.sound_encoded_again)
        lines.append(fill(texts.SOUND_ENCODED, lang, codecs=codecs))
    return "\n".join(lines)
