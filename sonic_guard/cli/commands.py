"""The command line: plan, finish, estimate, trace, measure, history, leases, farm.

Exit codes: 0 it fits (or the work is done), 2 bad input, 3 nothing fits or nothing clears a hard limit, 4 a farm is
done and some of its videos failed or fit no card (what the user has cancelled does not count). Large packages are
imported by the command that needs them, so that `measure` runs on a machine with little more than torch.
"""

import argparse
import importlib.util
import io
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import SonicGuardError
from ..job import Dtype, Job
from ..messages import cli_texts as texts
from ..messages.catalogue import fill
from ..optimizations import without_redundant
from ..plain_files import printable
from ..quiet_logs import quiet
from ..relatives import ADAPTERS, Relative
from .arguments import ALL, named_optimizations, parse_arguments
from .output import check_targets, print_json, progress, stoppable, write_text

EXIT_OK, EXIT_BAD_INPUT, EXIT_NOTHING_FITS, EXIT_NOT_ALL_MADE = 0, 2, 3, 4
_SHOWN_RUNS, _MAX_RUNS = 200, 1_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Redirected output on Windows cannot encode → or 显存, and some file names have no text in any encoding.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    arguments = parse_arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    told_below = quiet(logging.ERROR, "sonic_guard.atomic_files")
    try:
        with told_below, stoppable(f"\nsonic-guard: {fill(texts.STOPPED, arguments.lang)}"):
            code = _COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
    except SonicGuardError as error:
        sys.stderr.write(f"sonic-guard: {_with_path(error, arguments.lang)}\n")
        return EXIT_BAD_INPUT
    except OSError as error:
        sys.stderr.write(f"sonic-guard: {fill(texts.NO_OUTPUT, arguments.lang, error=error.strerror or error)}\n")
        return EXIT_BAD_INPUT
    return code


def _with_path(error: SonicGuardError, lang: str) -> str:
    """The error's text, with the whole path where it has only a name: here the user has given that path."""
    from ..messages.error_messages import error_text  # it knows the errors of media, which need numpy

    text = error_text(error, lang)
    return text if error.path is None or str(error.path) in text else f"{text} ({printable(str(error.path))})"


def _plan(arguments: argparse.Namespace) -> int:
    from .plan_command import run_plan

    return EXIT_OK if run_plan(arguments) else EXIT_NOTHING_FITS


def _finish(arguments: argparse.Namespace) -> int:
    from .finish_steps import run_finish

    with stoppable(f"\nsonic-guard: {fill(texts.STOPPED_FINISH, arguments.lang)}"):
        run_finish(arguments)
    return EXIT_OK


def _estimate(arguments: argparse.Namespace) -> int:
    from ..memory.stage_model import predict

    enabled, is_all = named_optimizations(arguments.optimize, arguments.lang), ALL in arguments.optimize
    relative = Relative(arguments.relative)
    if arguments.dtype == Dtype.BF16 and not ADAPTERS[relative].bf16:
        raise SonicGuardError(fill(texts.NO_BF16, arguments.lang))
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
        optimizations=without_redundant(enabled) if is_all else enabled,
        relative=relative,
        to_file=is_all and ADAPTERS[relative].talking_head,  # as that node runs, which README and cards count
    )
    unet_bytes = None
    if arguments.weights:
        from ..memory.checkpoints import read_header

        unet_bytes = read_header(arguments.weights).parameters * job.dtype.size
    estimate = predict(job, unet_bytes=unet_bytes)
    if arguments.json:
        from .json_report import estimate_dict

        print_json(estimate_dict(estimate, arguments.lang))
    else:
        from .tables import print_estimate

        print_estimate(estimate, arguments.lang)
    return EXIT_OK


def _trace(arguments: argparse.Namespace) -> int:
    _need_trace(arguments.lang)
    from ..devtools.trace import check, derive_constants

    comfyui = arguments.comfyui or arguments.sonic.expanduser().resolve().parent.parent
    if arguments.check:
        rows = check(arguments.sonic, comfyui, progress)
        if arguments.json:
            print_json(rows)
        else:
            from .tables import print_check

            print_check(rows, arguments.lang)
        return EXIT_OK
    text = derive_constants(arguments.sonic, comfyui, progress)
    if arguments.out:
        write_text(arguments.out, text)
    else:
        sys.stdout.write(text)
    return EXIT_OK


def _measure(arguments: argparse.Namespace) -> int:
    _need_trace(arguments.lang)
    from ..devtools.measure import measure
    from ..devtools.measured_summary import fit_overhead, summarise

    check_targets([arguments.markdown, arguments.overhead], [arguments.out])
    if arguments.squeeze:
        from ..devtools.squeeze import squeeze

        found = squeeze(arguments.sonic, arguments.out, limit_s=arguments.limit, progress=progress)
        progress(fill(texts.SQUEEZED, arguments.lang, found=len(found)))
    else:
        outcome = measure(arguments.sonic, arguments.out, limit_s=arguments.limit, progress=progress)
        progress(
            fill(
                texts.MEASURED, arguments.lang, measured=outcome.measured, left=outcome.left, given_up=outcome.given_up
            )
        )
    if arguments.markdown:
        write_text(arguments.markdown, summarise(arguments.out))
    if arguments.overhead:
        write_text(arguments.overhead, json.dumps(fit_overhead(arguments.out), indent=1) + "\n")
    return EXIT_OK


def _history(arguments: argparse.Namespace) -> int:
    try:
        from ..history.export import calibration_dict, calibrations, csv_parts
        from ..history.history_store import History, history_location
    except ModuleNotFoundError as error:
        raise SonicGuardError(fill(texts.NO_DATABASE, arguments.lang, error=error)) from error

    if arguments.limit is not None and not 1 <= arguments.limit <= _MAX_RUNS:
        raise SonicGuardError(fill(texts.WRONG_LIMIT, arguments.lang, most=_MAX_RUNS, limit=arguments.limit))
    location = arguments.db or history_location()
    check_targets([arguments.csv], [Path(location)])
    history = History(location, existing=True)
    if arguments.delete_card is not None:
        deleted = history.delete_card(arguments.delete_card)
        text = (
            json.dumps({"deleted": deleted}) if arguments.json else fill(texts.DELETED, arguments.lang, count=deleted)
        )
        sys.stdout.write(f"{text}\n")
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
        print_json({
            "runs": list(map(run_dict, page.runs)), **more, "cards": history.cards(), "calibration": calibration,
        })  # fmt: skip
    else:
        from .tables import print_history

        print_history(page, found, arguments.lang)
    return EXIT_OK


def _leases(arguments: argparse.Namespace) -> int:
    from ..farm.card_ledger import all_leases

    found = list(all_leases())
    if arguments.json:
        print_json({leases.card: [entry.__dict__ for entry in leases.entries] for leases in found})
    else:
        from .tables import print_leases

        print_leases(found, arguments.lang)
    return EXIT_OK


def _farm(arguments: argparse.Namespace) -> int:
    from .farm_command import run_farm

    return EXIT_OK if run_farm(arguments) else EXIT_NOT_ALL_MADE


def _need_trace(lang: str) -> None:
    """Raise `SonicGuardError` in the published pack, which comes without the tracing tools (see `.comfyignore`)."""
    if importlib.util.find_spec("..devtools", __package__) is None:
        raise SonicGuardError(fill(texts.NO_TRACING, lang))


_COMMANDS = {
    "plan": _plan, "finish": _finish, "estimate": _estimate, "trace": _trace, "measure": _measure, "history": _history,
    "leases": _leases, "farm": _farm,
}  # fmt: skip
