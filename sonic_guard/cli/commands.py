"""The command line: plan, estimate, trace, measure, history.

Exit codes: 0 it fits (or the work is done), 2 bad input, 3 nothing fits or nothing clears a hard limit. Large
packages are imported by the command that needs them, so that `measure` runs on a machine with little more than torch.
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
from ..optimizations import Optimization, Setting, without_redundant
from ..plain_files import printable, shown
from .arguments import ALL, named_optimizations, parse_arguments

EXIT_OK, EXIT_BAD_INPUT, EXIT_NOTHING_FITS = 0, 2, 3
_SHOWN_RUNS, _MAX_RUNS = 200, 1_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Redirected output on Windows cannot encode → or 显存, and some file names have no text in any encoding.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    arguments = parse_arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        code = _COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
    except SonicGuardError as error:
        sys.stderr.write(f"sonic-guard: {_with_path(error)}\n")
        return EXIT_BAD_INPUT
    except OSError as error:
        sys.stderr.write(f"sonic-guard: output: {error.strerror or error}.\n")
        return EXIT_BAD_INPUT
    return code


def _with_path(error: SonicGuardError) -> str:
    """The error's text, with the whole path where it has only a name: here the user has given that path."""
    text = str(error)
    return text if error.path is None or str(error.path) in text else f"{text} ({printable(str(error.path))})"


def _plan(arguments: argparse.Namespace) -> int:
    from ..devices.budget import budget_for, host_memory_bytes
    from ..media import audio_file, picture
    from ..media.crop import Aspect
    from ..operations.face_box import portrait_of
    from ..operations.preflight import PreflightRequest, preflight
    from ..operations.preset_files import load_preset
    from ..planning.capabilities import GraphCapabilities
    from ..planning.capacity import Capacity
    from ..planning.selection import Switches

    if arguments.aspect not in tuple(Aspect):
        raise SonicGuardError(f"--aspect: there is no {arguments.aspect!r}; choose one of {', '.join(Aspect)}.")
    available = named_optimizations(arguments.optimize)
    preset = load_preset(arguments.preset, arguments.preset_dir)
    budget = budget_for(arguments.gpu, reserve=arguments.reserve)
    sound = audio_file.probe(arguments.audio, track=arguments.track)
    request = PreflightRequest(
        portrait_of(picture.load(arguments.image)),
        sound.duration_s,
        preset,
        Capacity(budget, host_memory_bytes(arguments.gpu)),
        policy=arguments.policy,
        aspect=arguments.aspect,
        face_index=arguments.face,
        face_box=arguments.face_box,
        name=arguments.image,
        capabilities=GraphCapabilities(Switches(auto=available)),
    )
    result = preflight(request)
    if arguments.workflow:
        _write_workflow(result, available, arguments)
    if arguments.chart:
        from .chart import draw_chart

        draw_chart(result, arguments.chart)
    warnings = _sound_warnings(sound, arguments)
    if arguments.json:
        from .json_report import plan_dict

        _print_json(plan_dict(result, available, arguments.lang) | {"sound_warnings": warnings})
    else:
        from .tables import print_plan, print_warnings

        print_plan(result, available, arguments.lang)
        print_warnings(warnings)
    return EXIT_OK if result.plan.fits else EXIT_NOTHING_FITS


def _sound_warnings(sound: Any, arguments: argparse.Namespace) -> list[str]:
    """That the track is silent; and, where a workflow is written, what its Load Audio would not read."""
    from ..media import audio_tracks
    from ..messages.sound_messages import other_track_text, refusal_text, silence_text

    hearing = audio_tracks.listen(arguments.audio, arguments.track)
    warnings = [silence_text(hearing, arguments.lang, command_line=True)]
    if arguments.workflow:
        warnings.append(refusal_text(Path(arguments.audio).name, sound, arguments.lang))
        if arguments.track != 1:
            warnings.append(other_track_text(arguments.track, arguments.lang))
    return [warning for warning in warnings if warning]


def _write_workflow(result: Any, available: frozenset[Optimization], arguments: argparse.Namespace) -> None:
    """Write the graph that runs the plan: loaders and Sonic Talking Head, or the stock nodes behind Preflight."""
    from ..comfy.workflow_file import Way, WorkflowSettings, build_workflow

    settings = WorkflowSettings(
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
        way=Way.TALKING_HEAD if available else Way.STOCK,
        optimizations={Optimization.FP8_WEIGHTS: Setting.AUTO} if Optimization.FP8_WEIGHTS in available else {},
    )
    graph = build_workflow(result.plan.job, settings)
    _write(arguments.workflow, json.dumps(graph, indent=1, ensure_ascii=False) + "\n")


def _estimate(arguments: argparse.Namespace) -> int:
    from ..memory.stage_model import predict

    enabled = named_optimizations(arguments.optimize)
    if ALL in arguments.optimize:
        enabled = without_redundant(enabled)
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
        optimizations=enabled,
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
        sys.stdout.write(json.dumps({"deleted": deleted}) + "\n" if arguments.json else f"Runs deleted: {deleted}.\n")
        return EXIT_OK
    if arguments.csv:
        from ..atomic_files import write_file

        parts = csv_parts(history.pages(arguments.card, limit=arguments.limit))
        write_file(arguments.csv, (part.encode() for part in parts))
    page = history.page(arguments.card, limit=arguments.limit or _SHOWN_RUNS)
    found = calibrations(history, dict.fromkeys(run.environment.card for run in page.runs))
    if arguments.json:
        from ..preview.answer import run_dict

        calibration = {card: calibration_dict(each) for card, each in found.items()}
        more = {"unreadable": page.unreadable, "before": page.before}
        _print_json({
            "runs": list(map(run_dict, page.runs)), **more, "cards": history.cards(), "calibration": calibration,
        })  # fmt: skip
    else:
        from .tables import print_history

        print_history(page, found)
    return EXIT_OK


def _need_trace() -> None:
    """Raise `SonicGuardError` in the published pack, which comes without the tracing tools (see `.comfyignore`)."""
    if importlib.util.find_spec("..devtools", __package__) is None:
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


_COMMANDS = {"plan": _plan, "estimate": _estimate, "trace": _trace, "measure": _measure, "history": _history}
