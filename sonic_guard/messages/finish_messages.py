"""Sentences about a finished video."""

from ..finishing.pipeline import Finished
from ..media.video_file import VideoInfo
from . import finish_texts as texts
from .catalogue import fill
from .run_messages import file_lines


def finish_report(finished: Finished, lang: str = "en") -> str:
    """The finished video and what was done to it."""
    footage = finished.source
    info = VideoInfo(finished.frames, footage.rate * finished.frames / footage.frames)
    lines = file_lines(finished.path, (finished.width, finished.height), info, lang)
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
