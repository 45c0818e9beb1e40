"""The command line: plan, estimate, trace, measure, history.

Exit codes: 0 it fits (or the work is done), 2 bad input, 3 nothing fits. Everything heavy is imported by
the command that needs it, so that `measure` runs on a machine with little more than torch.
"""

import argparse
import importlib.util
import io
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError, SonicGuardError
from ..job import Dtype, Job
from ..optimizations import Optimization
from ..plain_files import printable, shown

EXIT_OK, EXIT_BAD_INPUT, EXIT_NOTHING_FITS = 0, 2, 3
_SHOWN_RUNS, _MAX_RUNS = 200, 1_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A redirect on Windows would take neither → nor 显存; and a file's name may be no text in any encoding.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        code = arguments.run(arguments)
        sys.stdout.flush()
    except SonicGuardError as error:
        sys.stderr.write(f"sonic-guard: {_with_path(error)}\n")
        return EXIT_BAD_INPUT
    except OSError as error:
        sys.stderr.write(f"sonic-guard: output: {error.strerror or error}.\n")
        return EXIT_BAD_INPUT
    return code


def _with_path(error: SonicGuardError) -> str:
    """What is wrong, with the whole path where the text has only a name: whoever reads it here has typed that path."""
    text = str(error)
    return text if error.path is None or str(error.path) in text else f"{text} ({printable(str(error.path))})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sonic-guard", description="Plan Sonic runs that fit the card.")
    commands = parser.add_subparsers(required=True, metavar="plan | estimate | trace | measure | history")
    _add_plan(commands)
    _add_estimate(commands)
    _add_trace(commands)
    _add_measure(commands)
    _add_history(commands)
    return parser


def _add_plan(commands: Any) -> None:
    plan = commands.add_parser("plan", help="from a picture and a sound to settings that fit a card")
    plan.add_argument("--image", required=True, help="the portrait: any picture file")
    plan.add_argument("--audio", required=True, help="the voice: any sound or video file")
    plan.add_argument("--preset", default="fast", help="fast, hd, minimal or one of your own (default: fast)")
    plan.add_argument("--preset-dir", type=Path, help="folder of your own presets")
    plan.add_argument(
        "--gpu", default="auto", type=_gpu, help='"RTX 3060 12GB", a number of GiB, or auto: this machine'
    )
    plan.add_argument("--reserve", type=float, default=0.10, help="part of the memory to leave alone (default: 0.10)")
    plan.add_argument("--policy", default="lossless_first", help="lossless_first or article")
    plan.add_argument("--aspect", default="original", help="crop: original, 1:1, 9:16, 16:9 or none")
    plan.add_argument("--face", type=int, default=0, help="which face, 0 is the largest")
    plan.add_argument("--face-box", help="x1,y1,x2,y2 in pixels instead of looking for a face")
    plan.add_argument("--lang", choices=("en", "zh"), default="en", help="language of the reasons")
    plan.add_argument("--json", action="store_true", help="print JSON instead of tables")
    plan.add_argument("--workflow", type=Path, help="write a ComfyUI workflow to this file")
    plan.add_argument("--chart", type=Path, help="write a chart of VRAM by stage to this file")
    plan.set_defaults(run=_plan)


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
    optimizations = [str(optimization) for optimization in Optimization]
    estimate.add_argument("--optimize", action="extend", nargs="+", default=[], choices=optimizations)
    estimate.add_argument("--weights", type=Path, help="Sonic's checkpoint: count its parameters")
    estimate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    estimate.set_defaults(run=_estimate)


def _add_trace(commands: Any) -> None:
    trace = commands.add_parser("trace", help="derive the model's constants from a Sonic checkout, without a GPU")
    trace.add_argument("--sonic", type=Path, required=True, help="folder of the ComfyUI_Sonic pack")
    trace.add_argument("--comfyui", type=Path, help="folder of ComfyUI (default: two levels above --sonic)")
    trace.add_argument("--out", type=Path, help="write the constants to this file")
    trace.add_argument("--check", action="store_true", help="only hold the shipped model against a few rehearsals")
    trace.add_argument("--json", action="store_true", help="print JSON instead of a table")
    trace.set_defaults(run=_trace)


def _add_measure(commands: Any) -> None:
    measure = commands.add_parser("measure", help="measure the wrapper's classes on a CUDA card")
    measure.add_argument("--sonic", type=Path, required=True, help="folder of the ComfyUI_Sonic pack")
    measure.add_argument("--out", type=Path, default=Path("measured.jsonl"), help="table to write or go on with")
    measure.add_argument("--limit", type=float, default=540.0, help="seconds after which no case is begun")
    measure.add_argument("--markdown", type=Path, help="also write the table for people to this file")
    measure.add_argument("--overhead", type=Path, help="write the overhead the table shows, as vram/overhead.json")
    measure.set_defaults(run=_measure)


def _add_history(commands: Any) -> None:
    history = commands.add_parser("history", help="what earlier runs took, and what they say about the next one")
    history.add_argument("--db", help="file or database URL (default: SONIC_GUARD_DB)")
    history.add_argument("--card", help="only the runs on this card, named as in the table")
    history.add_argument("--limit", type=int, help="only so many of the newest runs (default: 200 shown, all to --csv)")
    history.add_argument("--json", action="store_true", help="print JSON instead of a table")
    history.add_argument("--csv", type=Path, metavar="FILE", help="write the runs to this file, for a spreadsheet")
    history.add_argument("--delete-card", metavar="CARD", help="delete all runs on this card, and show nothing")
    history.set_defaults(run=_history)


def _plan(arguments: argparse.Namespace) -> int:
    from ..devices.budget import budget_for
    from ..media import audio_file, picture
    from ..media.crop import Aspect
    from ..operations.preflight import run_preflight
    from ..planning.presets import load_preset

    if arguments.aspect not in tuple(Aspect):
        raise SonicGuardError(f"--aspect: there is no {arguments.aspect!r}; choose one of {', '.join(Aspect)}.")
    preset = load_preset(arguments.preset, arguments.preset_dir)
    budget = budget_for(arguments.gpu, reserve=arguments.reserve)
    sound = audio_file.probe(arguments.audio)
    result = run_preflight(
        picture.load(arguments.image),
        sound.duration_s,
        preset,
        budget,
        target=arguments.gpu,
        policy=arguments.policy,
        aspect=Aspect(arguments.aspect),
        face_index=arguments.face,
        face_box=arguments.face_box,
        name=arguments.image,
    )
    if arguments.workflow:
        _write_workflow(result, arguments)
    if arguments.chart:
        from .chart import draw_chart

        draw_chart(result, arguments.chart)
    if arguments.json:
        from .json_report import plan_dict

        _print_json(plan_dict(result, arguments.lang))
    else:
        from .tables import print_plan

        print_plan(result, arguments.lang)
    return EXIT_OK if result.plan.fits else EXIT_NOTHING_FITS


def _gpu(text: str) -> str:
    return "auto" if text.strip().lower() == "auto" else text


def _write_workflow(result: Any, arguments: argparse.Namespace) -> None:
    from ..comfy.workflow_file import build_workflow

    graph = build_workflow(
        result.plan.job,
        image=Path(arguments.image).name,
        audio=Path(arguments.audio).name,
        preset=arguments.preset,
        target="auto" if arguments.gpu == "auto" else result.plan.budget.card,
        policy=arguments.policy,
        aspect=arguments.aspect,
        face_index=arguments.face,
        face_box=arguments.face_box or "",
        reserve=arguments.reserve,
        language=arguments.lang,
    )
    _write(arguments.workflow, json.dumps(graph, indent=1, ensure_ascii=False) + "\n")


def _estimate(arguments: argparse.Namespace) -> int:
    from ..memory.stage_model import predict

    job = Job(
        arguments.width,
        arguments.height,
        arguments.duration,
        min_resolution=(
            min(arguments.width, arguments.height) if arguments.min_resolution is None else arguments.min_resolution
        ),
        fps=arguments.fps,
        dtype=Dtype(arguments.dtype),
        steps=arguments.steps,
        interpolate=not arguments.no_interframe,
        optimizations=frozenset(map(Optimization, arguments.optimize)),
    )
    unet_bytes = None
    if arguments.weights:
        from ..memory.checkpoints import read_header

        unet_bytes = read_header(arguments.weights).parameters * job.dtype.size
    estimate = predict(job, unet_bytes=unet_bytes)
    if arguments.json:
        from .json_report import estimate_dict

        _print_json(estimate_dict(estimate))
    else:
        from .tables import print_estimate

        print_estimate(estimate)
    return EXIT_OK


def _trace(arguments: argparse.Namespace) -> int:
    _need_trace()
    from ..devtools.trace import check, derive_constants

    comfyui = arguments.comfyui or arguments.sonic.expanduser().resolve().parent.parent
    if arguments.check:
        rows = check(arguments.sonic, comfyui, _progress)
        if arguments.json:
            _print_json(rows)
        else:
            from .tables import print_check

            print_check(rows)
        return EXIT_OK
    text = derive_constants(arguments.sonic, comfyui, _progress)
    if arguments.out:
        _write(arguments.out, text)
    else:
        sys.stdout.write(text)
    return EXIT_OK


def _measure(arguments: argparse.Namespace) -> int:
    _need_trace()
    from ..devtools.measure import measure
    from ..devtools.measured_summary import fit_overhead, summarise

    outcome = measure(arguments.sonic, arguments.out, limit_s=arguments.limit, progress=_progress)
    _progress(f"{outcome.measured} cases measured, {outcome.left} left, {outcome.given_up} given up.")
    if arguments.markdown:
        _write(arguments.markdown, summarise(arguments.out))
    if arguments.overhead:
        _write(arguments.overhead, json.dumps(fit_overhead(arguments.out), indent=1) + "\n")
    return EXIT_OK


def _history(arguments: argparse.Namespace) -> int:
    try:
        from ..history.export import calibration_dict, calibrations, csv_parts
        from ..history.history_store import History, history_location
    except ModuleNotFoundError as error:
        raise SonicGuardError(f"history: needs SQLAlchemy and Alembic, which ComfyUI brings: {error}.") from error

    if arguments.limit is not None and not 1 <= arguments.limit <= _MAX_RUNS:
        raise SonicGuardError(f"--limit: expected 1 to {_MAX_RUNS} runs, got {arguments.limit}.")
    history = History(arguments.db or history_location(), existing=True)
    if arguments.delete_card is not None:
        deleted = history.delete_card(arguments.delete_card)
        sys.stdout.write(json.dumps({"deleted": deleted}) + "\n" if arguments.json else f"{deleted} runs deleted.\n")
        return EXIT_OK
    if arguments.csv:
        from ..atomic_files import write_file

        parts = csv_parts(history.pages(arguments.card, limit=arguments.limit))
        write_file(arguments.csv, (part.encode() for part in parts))
    page = history.page(arguments.card, limit=arguments.limit or _SHOWN_RUNS)
    learnt = calibrations(history, dict.fromkeys(run.environment.card for run in page.runs))
    if arguments.json:
        from ..preview.answer import run_dict

        calibration = {card: calibration_dict(found) for card, found in learnt.items()}
        more = {"unreadable": page.unreadable, "before": page.before}
        _print_json({
            "runs": list(map(run_dict, page.runs)), **more, "cards": history.cards(), "calibration": calibration,
        })  # fmt: skip
    else:
        from .tables import print_history

        print_history(page, learnt)
    return EXIT_OK


def _need_trace() -> None:
    """The tracing tools are no part of the published pack (see `.comfyignore`)."""
    if importlib.util.find_spec("sonic_guard.devtools") is None:
        raise SonicGuardError("this copy of the pack has no tracing tools; use a clone of its repository.")


def _progress(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _print_json(data: Any) -> None:
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    from ..atomic_files import write_file

    try:
        content = text.encode()
    except UnicodeEncodeError as error:  # a file's name may be any bytes, and stand in a workflow
        raise OutputError(f"{shown(path)}: it would name a file whose name is no text. Rename that file.") from error
    write_file(path, [content])
