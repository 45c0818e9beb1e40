"""Sentences about the sound of a run: silence, the track with the voice, and what Load Audio does not read."""

from ..media.audio import Sound, SoundInfo
from ..media.audio_tracks import Hearing, Track, is_silent
from ..media.silence import THRESHOLD_DBFS
from . import sound_texts as texts
from .catalogue import count, fill


def silence_text(hearing: Hearing, lang: str = "en", *, command_line: bool = False) -> str:
    """That a track is silent, which of the others are not, and how to choose one; empty if something is heard."""
    if not hearing.silent:
        return ""
    if hearing.tracks == 1:
        return fill(texts.SILENT, lang, threshold=THRESHOLD_DBFS)
    sentences = [fill(texts.SILENT_TRACK, lang, track=hearing.track, tracks=hearing.tracks, threshold=THRESHOLD_DBFS)]
    if hearing.voices:
        names = fill(texts.COMMA, lang).join(_name(voice, lang) for voice in hearing.voices)
        sentences.append(count(texts.VOICE_TRACKS, lang, len(hearing.voices), tracks=names))
        sentences.append(
            fill(texts.CHOOSE_ON_COMMAND_LINE, lang, number=hearing.voices[0].number)
            if command_line
            else fill(texts.CHOOSE_IN_GRAPH, lang)
        )
    return _joined(sentences, lang)


def sound_lines(sound: Sound, lang: str = "en") -> list[str]:
    """What a report has to say of a sound in memory: a line if it is silent."""
    return [f"! {fill(texts.SILENT, lang, threshold=THRESHOLD_DBFS)}"] if is_silent(sound) else []


def refusal_text(name: str, info: SoundInfo, lang: str = "en") -> str:
    """That ComfyUI's Load Audio will not read the file `name`; empty if it will."""
    if info.refusal is None:
        return ""
    return fill(texts.REFUSED, lang, name=name, refusal=fill(texts.REFUSALS[info.refusal], lang))


def _name(track: Track, lang: str) -> str:
    if not track.title:
        return str(track.number)
    return fill(texts.NAMED_TRACK, lang, number=track.number, title=track.title)


def _joined(sentences: list[str], lang: str) -> str:
    return ("" if lang == "zh" else " ").join(sentences)
