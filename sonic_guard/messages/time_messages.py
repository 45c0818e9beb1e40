"""How long a run takes, in words."""

import math

from ..planning.pace import TimePrediction
from . import time_texts as texts
from .catalogue import fill

_UNITS = (("h", 3600.0, 5400.0, 0.5), ("min", 60.0, 120.0, 1.0), ("s", 1.0, 0.0, 5.0))
"""Unit, its seconds, the least seconds it is used for, and the step to which it is rounded."""


def time_text(time: TimePrediction, lang: str = "en") -> str:
    """How long a run denoises: "about 4 min of denoising", "4 to 9 min of denoising, not yet seen on this card"."""
    if time.high_s is None or time.low_s is None:
        relative = float(f"{time.relative:.2g}")
        if relative == 1:
            return fill(texts.AS_LONG, lang)
        return fill(texts.TIME[time.source], lang, time="", relative=relative)
    took = between(time.low_s, time.high_s, lang) if time.seconds is None else about(time.seconds, lang)
    return fill(texts.TIME[time.source], lang, time=took, relative=time.relative)


def about(seconds: float, lang: str = "en") -> str:
    """A length of time, rounded: "about 4 min"."""
    unit, one, step = _unit(seconds)
    return fill(texts.ABOUT[unit], lang, time=max(step, step * round(seconds / one / step)))


def between(low_s: float, high_s: float, lang: str = "en") -> str:
    """A range, rounded outwards: "4 to 9 min"."""
    unit, one, step = _unit(high_s)
    low, high = (step * turn(seconds / one / step) for turn, seconds in ((math.floor, low_s), (math.ceil, high_s)))
    return fill(texts.BETWEEN[unit], lang, low=max(low, step / 5 if unit == "s" else step), high=high)


def _unit(seconds: float) -> tuple[str, float, float]:
    return next((unit, one, step) for unit, one, least, step in _UNITS if seconds >= least)
