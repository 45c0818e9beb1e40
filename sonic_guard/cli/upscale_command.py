"""The commands `finish interpolate` and `finish upscale`: more pictures a second, more pixels a picture."""

import argparse

from rich.console import Console

from .finish_command import finish_file, print_finished

DEFAULT_HEIGHT = 1080
"""Of an upscaled video, in pixels."""


def run_interpolate(arguments: argparse.Namespace) -> None:
    """Double the frame rate. Raises `SonicGuardError` for bad input."""
    from ..finishing.interpolate import Interpolate

    print_finished(arguments, finish_file(arguments, (Interpolate(),)), {}, ())


def run_upscale(arguments: argparse.Namespace) -> None:
    """Enlarge the video with a model. Raises `SonicGuardError` for bad input."""
    from ..finishing.output_size import OutputSize
    from ..finishing.upscale.network import load_network
    from ..finishing.upscale.upscale_video import Upscale
    from ..media.footage import open_footage
    from ..messages.upscale_messages import plan_lines, upscale_dict, upscale_lines

    height = DEFAULT_HEIGHT if arguments.height is arguments.factor is None else arguments.height
    size = OutputSize(height, arguments.factor)
    step = Upscale(load_network(arguments.model), size, arguments.device, arguments.tile)
    footage = open_footage(arguments.input)
    planned = plan_lines(step, step.plan(footage.width, footage.height), arguments.lang)
    Console(stderr=True, highlight=False, quiet=arguments.json).print("\n".join(planned), markup=False)
    finished = finish_file(arguments, (step,))
    lines = upscale_lines(step, footage.width, footage.height, arguments.lang)
    print_finished(arguments, finished, upscale_dict(step, footage.width, footage.height), lines)
