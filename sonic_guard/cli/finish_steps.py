"""The steps of the command `finish`: which module runs which."""

import argparse
from collections.abc import Callable, Mapping

from .lipsync_command import run_lipsync

STEPS: Mapping[str, Callable[[argparse.Namespace], None]] = {"lipsync": run_lipsync}


def run_finish(arguments: argparse.Namespace) -> None:
    """Run the step that the options choose. Raises `SonicGuardError` for bad input."""
    STEPS[arguments.step](arguments)
