"""The steps of the command `finish`: which function runs which."""

import argparse
from collections.abc import Callable, Mapping

from .arguments import ALL_STEPS
from .finish_all_command import run_all
from .lipsync_command import run_lipsync
from .smooth_command import run_smooth
from .upscale_command import run_interpolate, run_upscale

STEPS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    ALL_STEPS: run_all,
    "lipsync": run_lipsync,
    "smooth": run_smooth,
    "interpolate": run_interpolate,
    "upscale": run_upscale,
}


def run_finish(arguments: argparse.Namespace) -> None:
    """Run the step that the options choose. Raises `SonicGuardError` for bad input."""
    STEPS[arguments.step](arguments)
