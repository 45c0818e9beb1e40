"""How long a run takes, in words."""

import math
from typing import NamedTuple

from ..planning.pace import TimePrediction
from . import time_texts as texts
from .catalogue import fill


class _Unit(NamedTuple):
    name: str
    seconds: float
    step: float
    """What a length of time is rounded to."""


_SECONDS, _MINUTES, _FIVE_MINUTES, _HOURS = (
    _Unit("s", 1.0, 5.0), _Unit("min", 60.0, 1.0), _Unit("min", 60.0, 5.0), _Unit("h", 3600.0, 0.5)
)  # fmt: skip


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
    unit = _unit(seconds, seconds)
    return fill(texts.ABOUT[unit.name], lang, time=unit.step * max(1, round(seconds / unit.seconds / unit.step)))


def between(low_s: float, high_s: float, lang: str = "en") -> str:
    """A range, rounded outwards: "4 to 9 min"."""
    unit = _unit(low_s, high_s)
    low, high = (seconds / unit.seconds / unit.step for seconds in (low_s, high_s))
    return fill(
        texts.BETWEEN[unit.name], lang, low=max(1.0, unit.step * math.floor(low)), high=unit.step * math.ceil(high)
    )  # fmt: skip


def _unit(low_s: float, high_s: float) -> _Unit:
    if low_s >= 3600.0:
        return _HOURS
    if high_s >= 2700.0:
        return _FIVE_MINUTES
    return _MINUTES if high_s >= 120.0 else _SECONDS
