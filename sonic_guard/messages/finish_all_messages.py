"""Sentences about a video to which everything was done that a preset includes."""

from ..finishing.finish_all import FinishedAll
from . import finish_texts as texts
from .catalogue import fill
from .lipsync_messages import correction_lines, found_lines, sampled_lines
from .smooth_messages import smooth_lines


def finish_all_lines(done: FinishedAll, lang: str = "en") -> list[str]:
    """What each step has found and done, in the order of the steps."""
    steps, lines = done.request.steps, []
    if steps.deflicker or steps.jitter:
        lines += smooth_lines(done.notes, steps.deflicker, steps.jitter, lang)
    if steps.height is not None:
        lines.append(_size_line(done, lang))
    if done.film is not None:
        lines += [*found_lines(done.film.found, lang), *sampled_lines(done.film, lang)]
        lines += correction_lines(done.correction, lang)
    return lines


def _size_line(done: FinishedAll, lang: str) -> str:
    height, model = done.finished.height, done.request.model
    if model is None:
        return fill(texts.RESIZED, lang, height=height)
    return fill(texts.ENLARGED, lang, height=height, model=model)
