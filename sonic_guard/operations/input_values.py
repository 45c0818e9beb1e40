"""Checks of input values: ComfyUI checks no value that comes over a link, and 0.3.64 checks none at all."""

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from ..errors import SonicGuardError, brief

Word = TypeVar("Word", bound=str)


def one_of(name: str, value: Any, options: Iterable[Word]) -> Word:
    """The option that equals `value`. Raises `SonicGuardError` where none does."""
    words = tuple(options)
    if not isinstance(value, str) or value not in words:
        raise SonicGuardError(f"{name}: there is no {brief(value)}; choose one of {', '.join(words)}.")
    return words[words.index(value)]


def flag(name: str, value: Any) -> bool:
    """`value` as a bool: True or False, or a whole number, which some packs use.

    Raises `SonicGuardError` for anything else: "false" would count as true, and an array as neither.
    """
    if not isinstance(value, int | np.bool_):
        raise SonicGuardError(f"{name}: expected true or false, got {brief(value)}.")
    return bool(value)


def is_amount(value: Any, most: float) -> bool:
    """Whether `value` is a number from 0 to `most`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def is_whole(value: Any, least: int | None = None, most: int | None = None) -> bool:
    """Whether `value` is a whole number, and where `least` and `most` are given, from one to the other."""
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return (least is None or value >= least) and (most is None or value <= most)


def text(name: str, value: Any) -> str:
    """`value`, which has to be a text. Raises `SonicGuardError` for anything else."""
    if not isinstance(value, str):
        raise SonicGuardError(f"{name}: expected a text, got {brief(value)}.")
    return value
