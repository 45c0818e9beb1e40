"""The command line's options: plan, estimate, trace, measure, history."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import OptimizationError
from ..job import Dtype
from ..optimizations import ESCALATION_ORDER, EXACT, Optimization
from ..plain_files import printable

ALL = "all"
"""The value of ``--optimize`` that stands for every exact optimization."""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line, and the name of its command as `command`.

    Ends the program with exit code 2 and a message where they cannot be parsed.
    """
    parser = argparse.ArgumentParser(prog="sonic-guard", description="Plan Sonic runs that fit the card.")
    commands = parser.add_subparsers(
        required=True, dest="command", metavar="plan | estimate | trace | measure | history"
    )
    for add in (_add_plan, _add_estimate, _add_trace, _add_measure, _add_history):
        add(commands)
    return parser.parse_args(argv)


def named_optimizations(names: Iterable[str]) -> frozenset[Optimization]:
    """The optimizations that ``--optimize`` names.

    Raises `OptimizationError` for an unknown name, with the known ones.
    """
    given = frozenset(names)
    if unknown := sorted(given - {*ESCALATION_ORDER, ALL}):
        raise OptimizationError(
            f"--optimize: unknown {printable(', '.join(unknown))}; known are {', '.join([*ESCALATION_ORDER, ALL])}."
        )
    exact = EXACT if ALL in given else frozenset[Optimization]()
    return exact | frozenset(map(Optimization, given - {ALL}))


def _add_plan(commands: Any) -> None:
    plan = commands.add_parser("plan", help="from a picture and a sound to settings that fit a card")
    plan.add_argument("--image", required=True, help="the portrait: any picture file")
    plan.add_argument("--audio", required=True, help="the voice: any sound or video file")
    plan.add_argument("--track", type=int, default=1, help="audio track of a file that has several (default: 1)")
    plan.add_argument("--preset", default="fast", help="fast, hd, minimal or one of your own (default: fast)")
    plan.add_argument("--preset-dir", type=Path, help="folder of your own presets")
    plan.add_argument(
        "--gpu", default="auto", type=_gpu, help='"RTX 3060 12GB", a number of GiB, or auto: this machine'
    )
    plan.add_argument("--reserve", type=float, default=0.10, help="part of the memory to keep free (default: 0.10)")
    plan.add_argument("--policy", default="lossless_first", help="lossless_first or article")
    _add_optimize(plan, "memory optimizations that may be enabled where the run does not fit without (default: none)")
    plan.add_argument("--aspect", default="original", help="crop: original, 1:1, 9:16, 16:9 or none")
    plan.add_argument("--face", type=int, default=0, help="which face, 0 is the largest")
    plan.add_argument("--face-box", help="x1,y1,x2,y2 in pixels instead of face detection")
    plan.add_argument("--lang", choices=("en", "zh"), default="en", help="language of the reasons")
    plan.add_argument("--json", action="store_true", help="print JSON instead of tables")
    plan.add_argument("--workflow", type=Path, help="write a ComfyUI workflow to this file")
    plan.add_argument("--chart", type=Path, help="write a chart of VRAM by stage to this file")


def _add_estimate(commands: Any) -> None:
    estimate = commands.add_parser("estimate", help="the memory a run needs, stage by stage")
    estimate.add_argument("--width", type=int, required=True, help="width of the frames in pixels")
    estimate.add_argument("--height", type=int, required=True, help="height of the frames in pixels")
    estimate.add_argument("--duration", type=float, required=True, help="seconds of sound")
    estimate.add_argument("--min-resolution", type=int, help="shorter side to scale to (default: as given)")
    estimate.add_argument("--fps", type=float, default=25.0, help="sets the window (default: 25)")
    estimate.add_argument("--dtype", choices=[str(dtype) for dtype in Dtype], default="fp16")
    estimate.add_argument("--steps", type=int, default=25)
    estimate.add_argument("--no-interframe", action="store_true", help="without frame interpolation")
    _add_optimize(estimate, "memory optimizations that are enabled (default: none, the stock wrapper)")
    estimate.add_argument("--weights", type=Path, help="Sonic's checkpoint: count its parameters")
    estimate.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_optimize(command: argparse.ArgumentParser, text: str) -> None:
    names = ", ".join(ESCALATION_ORDER)
    command.add_argument(
        "--optimize", action="extend", nargs="+", default=[], metavar="NAME",
        help=f"{text}: {names}, or {ALL} for those that give the same frames",
    )  # fmt: skip


def _add_trace(commands: Any) -> None:
    trace = commands.add_parser("trace", help="derive the model's constants from a Sonic checkout, without a GPU")
    trace.add_argument("--sonic", type=Path, required=True, help="folder of the ComfyUI_Sonic pack")
    trace.add_argument("--comfyui", type=Path, help="folder of ComfyUI (default: two levels above --sonic)")
    trace.add_argument("--out", type=Path, help="write the constants to this file")
    trace.add_argument("--check", action="store_true", help="only compare the shipped model with a few traced runs")
    trace.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_measure(commands: Any) -> None:
    measure = commands.add_parser("measure", help="measure the wrapper's classes on a CUDA card")
    measure.add_argument("--sonic", type=Path, required=True, help="folder of the ComfyUI_Sonic pack")
    measure.add_argument("--out", type=Path, default=Path("measured.jsonl"), help="table to write or to continue")
    measure.add_argument("--limit", type=float, default=540.0, help="seconds after which no case is begun")
    measure.add_argument("--markdown", type=Path, help="also write the table as Markdown to this file")
    measure.add_argument("--overhead", type=Path, help="write the overhead the table shows, as memory/overhead.json")


def _add_history(commands: Any) -> None:
    history = commands.add_parser("history", help="earlier runs, and the calibration of the next prediction")
    history.add_argument("--db", help="file or database URL (default: SONIC_GUARD_DB)")
    history.add_argument("--card", help="only the runs on this card, named as in the table")
    history.add_argument("--limit", type=int, help="only so many of the newest runs (default: 200 shown, all to --csv)")
    history.add_argument("--json", action="store_true", help="print JSON instead of a table")
    history.add_argument("--csv", type=Path, metavar="FILE", help="write the runs to this file, for a spreadsheet")
    history.add_argument("--delete-card", metavar="CARD", help="delete all runs on this card, and show nothing")


def _gpu(text: str) -> str:
    return "auto" if text.strip().lower() == "auto" else text
