"""The command `finish smooth`: removes pulses of brightness and jitter."""

import argparse

from ..finishing.smooth import STRENGTH, SmoothNotes, smooth_filters
from ..messages.smooth_messages import smooth_lines
from .finish_command import finish_file, print_finished


def run_smooth(arguments: argparse.Namespace) -> None:
    """Smooth the video. Raises `SonicGuardError` for bad input."""
    notes, deflicker = SmoothNotes(), not arguments.no_deflicker
    strength = STRENGTH if arguments.strength is None else arguments.strength
    finished = finish_file(arguments, smooth_filters(deflicker, strength, notes), notes=(notes,))
    found = {"pulse_frames": len(notes.factors), "largest_pulse": notes.largest - 1, "strength": strength}
    print_finished(arguments, finished, found, smooth_lines(notes, deflicker, strength, arguments.lang))
