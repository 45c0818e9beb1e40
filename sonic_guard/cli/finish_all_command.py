"""The command `finish` with a file instead of a step: everything that a preset includes."""

import argparse
from dataclasses import replace

from ..finishing.finish_all import FinishAllRequest, finish_all
from ..finishing.finish_presets import PRESETS, FinishPreset
from ..finishing.output_size import OutputSize
from ..messages.finish_all_messages import finish_all_lines
from .finish_command import encoding_of, print_finished, shown_progress, work_folder_of
from .lipsync_command import lipsync_dict


def run_all(arguments: argparse.Namespace) -> None:
    """Finish the video by a preset. Raises `SonicGuardError` for bad input."""
    request = _request(arguments)
    with shown_progress(arguments.out.name) as notify, work_folder_of(arguments.out) as work:
        done = finish_all(request, arguments.out, work, notify=notify, overwrite=arguments.overwrite)
    sync = {} if done.film is None else {"lip_sync": lipsync_dict(done.film.found, done.correction)}
    print_finished(arguments, done.finished, sync, finish_all_lines(done, arguments.lang))


def _request(arguments: argparse.Namespace) -> FinishAllRequest:
    steps = PRESETS[FinishPreset(arguments.preset)]
    if arguments.height is not None:
        steps = replace(steps, height=arguments.height)
    request = FinishAllRequest(arguments.input, steps, encoding_of(arguments))
    if arguments.model is None:
        return request
    # Here, because they import torch.
    from ..finishing.upscale.network import load_network
    from ..finishing.upscale.upscale_video import Upscale

    network = load_network(arguments.model)

    def upscale(size: OutputSize) -> Upscale:
        return Upscale(network, size, arguments.device)

    return replace(request, model=network.name, upscale=upscale)
