"""Values that come over links, of which ComfyUI checks none."""

from typing import Any

import numpy as np

from ...sonic_guard.errors import SonicGuardError, brief


def flag(name: str, value: Any) -> bool:
    """The truth that `value` is: True or False, or a whole number as some packs have it.

    Raises `SonicGuardError` for anything else: "false" would count as true, and an array as neither.
    """
    if not isinstance(value, int | np.bool_):
        raise SonicGuardError(f"{name}: expected true or false, got {brief(value)}.")
    return bool(value)


def text(name: str, value: Any) -> str:
    """The text that `value` is. Raises `SonicGuardError` for anything else."""
    if not isinstance(value, str):
        raise SonicGuardError(f"{name}: expected a text, got {brief(value)}.")
    return value
