"""The command line's options: plan, finish, estimate, trace, measure, history, leases, farm."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import OptimizationError
from ..job import Dtype
from ..messages import cli_texts as texts
from ..messages.catalogue import LANGUAGES, fill
from ..messages.option_texts import ERROR, fault_text
from ..optimizations import ESCALATION_ORDER, EVERY, Optimization
from ..plain_files import printable
from ..relatives import ADAPTERS, Relative

ALL = "all"
"""The value of ``--optimize`` that stands for every optimization."""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line, and the name of its command as `command`.

    Ends the program with exit code 2 and a message where they cannot be parsed.
    """
    argv = with_finish_step(sys.argv[1:] if argv is None else argv)
    parser = _Parser(prog="sonic-guard", description=_text(texts.DESCRIPTION, _language(argv)), lang=_language(argv))
    parser.set_defaults(lang=LANGUAGES[0])
    commands = parser.add_subparsers(
        title=_text(texts.COMMANDS, parser.lang),
        required=True,
        dest="command",
        metavar=" | ".join(_COMMANDS),
    )
    for name, add in _COMMANDS.items():
        add(commands.add_parser(name, help=parser.help(name), description=parser.help(name), lang=parser.lang))
    return parser.parse_args(argv)


def with_finish_step(argv: Sequence[str]) -> list[str]:
    """`argv` with the step `ALL_STEPS` where the command is ``finish`` and no step follows."""
    given = list(argv)
    at = next((at for at, each in enumerate(given) if each in _COMMANDS), len(given))
    if given[at : at + 1] != [FINISH]:
        return given
    at += 1
    follows = given[at:]
    while follows and follows[0].startswith("--lang"):
        follows = follows[1 if "=" in follows[0] else 2 :]
    is_whole = not follows or follows[0] in (*_STEPS, "-h", "--help")
    return given if is_whole else [*given[:at], ALL_STEPS, *given[at:]]


def named_optimizations(names: Iterable[str], lang: str = LANGUAGES[0]) -> frozenset[Optimization]:
    """The optimizations that ``--optimize`` names.

    Raises `OptimizationError` for an unknown name, with the known ones.
    """
    given = frozenset(names)
    if unknown := sorted(given - {*ESCALATION_ORDER, ALL}):
        known = ", ".join([*ESCALATION_ORDER, ALL])
        raise OptimizationError(
            fill(texts.UNKNOWN_OPTIMIZATION, lang, unknown=printable(", ".join(unknown)), known=known)
        )
    return EVERY if ALL in given else frozenset(map(Optimization, given))


class _Formatter(argparse.HelpFormatter):
    """Help that begins with the word for "usage" in a language."""

    usage = texts.USAGE.en

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, self.usage if prefix is None else prefix)


class _Parser(argparse.ArgumentParser):
    """A parser whose help is in a language. Every option is in one group, whose title argparse does not know."""

    def __init__(self, *, lang: str, **settings: Any) -> None:
        formatter = type("_", (_Formatter,), {"usage": _text(texts.USAGE, lang)})
        super().__init__(add_help=False, formatter_class=formatter, **settings)
        self.lang = lang
        self.options = self.add_argument_group(_text(texts.OPTIONS, lang))
        self.options.add_argument("-h", "--help", action="help", help=self.help("help"))
        # Before the command or after it.
        self.options.add_argument("--lang", choices=LANGUAGES, default=argparse.SUPPRESS, help=self.help("lang"))

    def help(self, key: str, **values: object) -> str:
        return fill(texts.HELP[key], self.lang, **values).replace("%", "%%")

    def error(self, message: str) -> NoReturn:
        """End the program with the usage and what is wrong."""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {_text(ERROR, self.lang)}: {fault_text(message, self.lang)}\n")

    def argument(self, key: str, **settings: Any) -> None:
        """Add the argument without a name that `texts.HELP` has as "command.argument"."""
        self.options.add_argument(key.rpartition(".")[2], help=self.help(key), **settings)

    def option(self, key: str, target: Any = None, **settings: Any) -> None:
        """Add the option that `texts.HELP` has as "command.option", or as "option" alone."""
        values = {"names": ", ".join(ESCALATION_ORDER), "all": ALL} if key.endswith(".optimize") else {}
        (target or self.options).add_argument(
            f"--{key.rpartition('.')[2]}", help=self.help(key, **values), **settings
        )  # fmt: skip


def _language(argv: Sequence[str] | None) -> str:
    """The language that the help is in, which has to be known before there is a parser."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--lang", default=LANGUAGES[0])
    try:
        lang = first.parse_known_args(argv)[0].lang
    except argparse.ArgumentError:  # without a value: the parser itself reports it
        return LANGUAGES[0]
    return lang if lang in LANGUAGES else LANGUAGES[0]


def _text(text: Any, lang: str) -> str:
    return fill(text, lang)


def _add_plan(plan: _Parser) -> None:
    plan.option("plan.image", required=True, metavar="FILE")
    plan.option("plan.audio", required=True, metavar="FILE")
    plan.option("plan.track", type=int, default=1, metavar="NUMBER")
    plan.option("plan.preset", default="fast", metavar="NAME")
    plan.option("plan.preset-dir", type=Path, metavar="FOLDER")
    plan.option("plan.gpu", default="auto", type=_gpu, metavar="CARD")
    plan.option("plan.reserve", type=float, default=0.10, metavar="PART")
    plan.option("plan.policy", default="lossless_first")
    nodes = plan.options.add_mutually_exclusive_group()
    plan.option("plan.optimize", nodes, action="extend", nargs="+", default=[], metavar="NAME")
    plan.option("plan.stock", nodes, action="store_true")
    plan.option("plan.aspect", default="original")
    plan.option("plan.face", type=int, default=0, metavar="NUMBER")
    plan.option("plan.face-box", metavar="X1,Y1,X2,Y2")
    plan.option("json", action="store_true")
    plan.option("plan.workflow", type=Path, metavar="FILE")
    plan.option("plan.chart", type=Path, metavar="FILE")


def _add_estimate(estimate: _Parser) -> None:
    estimate.option("estimate.width", type=int, required=True, metavar="PX")
    estimate.option("estimate.height", type=int, required=True, metavar="PX")
    estimate.option("estimate.duration", type=float, required=True, metavar="SECONDS")
    estimate.option("estimate.min-resolution", type=int, metavar="PX")
    estimate.option("estimate.fps", type=float, default=25.0)
    estimate.option("estimate.dtype", choices=[str(dtype) for dtype in Dtype], default="fp16")
    estimate.option("estimate.steps", type=int, default=25)
    estimate.option("estimate.no-interframe", action="store_true")
    estimate.option("estimate.optimize", action="extend", nargs="+", default=[], metavar="NAME")
    estimate.option("estimate.weights", type=Path, metavar="FILE")
    relatives = [str(each) for each, adapter in ADAPTERS.items() if adapter.constants is not None]
    estimate.option("estimate.relative", choices=relatives, default=str(Relative.SONIC))
    estimate.option("json", action="store_true")


def _add_trace(trace: _Parser) -> None:
    trace.option("sonic", type=Path, required=True, metavar="FOLDER")
    trace.option("trace.comfyui", type=Path, metavar="FOLDER")
    trace.option("trace.out", type=Path, metavar="FILE")
    trace.option("trace.check", action="store_true")
    trace.option("json", action="store_true")


def _add_measure(measure: _Parser) -> None:
    measure.option("measure.sonic", type=Path, required=True, metavar="FOLDER")
    measure.option("measure.out", type=Path, default=Path("measured.jsonl"), metavar="FILE")
    measure.option("measure.squeeze", action="store_true")
    measure.option("measure.limit", type=float, default=540.0, metavar="SECONDS")
    measure.option("measure.markdown", type=Path, metavar="FILE")
    measure.option("measure.overhead", type=Path, metavar="FILE")


def _add_history(history: _Parser) -> None:
    history.option("history.db")
    history.option("history.card")
    history.option("history.limit", type=int, metavar="RUNS")
    history.option("json", action="store_true")
    history.option("history.csv", type=Path, metavar="FILE")
    history.option("history.delete-card", metavar="CARD")


def _add_finish(finish: _Parser) -> None:
    steps = finish.add_subparsers(
        title=_text(texts.STEPS, finish.lang), required=True, dest="step", metavar=" | ".join(_STEPS)
    )
    for name, add in _STEPS.items():
        step = steps.add_parser(
            name, help=finish.help(f"finish.{name}"), description=finish.help(f"finish.{name}"), lang=finish.lang
        )
        step.argument("finish.input", type=Path, metavar="FILE")
        add(step)
        step.option("finish.overwrite", action="store_true")
        step.option("json", action="store_true")


def _add_encoding(step: _Parser) -> None:
    """The options of a step that writes pictures."""
    step.option("finish.out", type=Path, required=True, metavar="FILE")
    step.option("finish.format", choices=("h264", "ffv1", "prores"), default="h264")
    step.option("finish.crf", type=int, default=18, metavar="NUMBER")


def _add_all(step: _Parser) -> None:
    _add_encoding(step)
    step.option("finish.all.preset", choices=("fast", "hd"), default="hd")
    step.option("finish.all.model", type=Path, metavar="FILE")
    step.option("finish.all.height", type=int, metavar="PIXELS")
    step.option("finish.device", default="auto")


def _add_lipsync(step: _Parser) -> None:
    step.option("finish.lipsync.out", type=Path, metavar="FILE")
    step.option("finish.lipsync.max-correction", type=float, default=50.0, metavar="MS")


def _add_smooth(step: _Parser) -> None:
    _add_encoding(step)
    step.option("finish.smooth.strength", type=float, metavar="NUMBER")
    step.option("finish.smooth.no-deflicker", action="store_true")


def _add_upscale(step: _Parser) -> None:
    _add_encoding(step)
    step.option("finish.model", type=Path, required=True, metavar="FILE")
    size = step.options.add_mutually_exclusive_group()
    step.option("finish.height", size, type=int, metavar="PIXELS")
    step.option("finish.factor", size, type=float, metavar="NUMBER")
    step.option("finish.device", default="auto")
    step.option("finish.tile", type=int, metavar="PIXELS")


def _gpu(text: str) -> str:
    return "auto" if text.strip().lower() == "auto" else text


def _count(text: str) -> int:
    """At least one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {printable(text)[:100]}")
    return int(text)


def _place(text: str) -> Path | str:
    """A folder, or the address of a bucket."""
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    return text.rstrip("/") if "://" in text else Path(text).absolute()


def _add_leases(leases: _Parser) -> None:
    leases.option("json", action="store_true")


def _add_farm(farm: _Parser) -> None:
    commands = farm.add_subparsers(
        title=_text(texts.COMMANDS, farm.lang), required=True, dest="farm_command", metavar=" | ".join(_FARM)
    )
    for name, add in _FARM.items():
        key = f"farm.{name}"
        add(commands.add_parser(name, help=farm.help(key), description=farm.help(key), lang=farm.lang))


def _add_simulate(simulate: _Parser) -> None:
    simulate.option("simulate.cards", type=int, default=1000, metavar="NUMBER")
    simulate.option("simulate.jobs", type=int, default=100_000, metavar="NUMBER")
    simulate.option("simulate.seed", type=int, default=0, metavar="NUMBER")
    simulate.option("simulate.calm", action="store_true")
    simulate.option("json", action="store_true")


def _add_run(run: _Parser) -> None:
    run.argument("run.jobs", type=Path, metavar="JOBS")
    _add_out(run)
    where = run.options.add_mutually_exclusive_group()
    run.option("run.local", action="store_true")
    run.option("run.servers", where, nargs="+", default=[], metavar="URL")
    run.option("run.comfyui", where, type=Path, metavar="FOLDER")
    run.option("run.scheduler", where, default="", metavar="ADDRESS")
    run.option("run.comfyui-python", type=Path, metavar="FILE")
    run.option("run.comfyui-args", default="", metavar="OPTIONS")
    run.option("run.packs", choices=PACKS, default=PACKS[0])
    run.option("run.cards", default="", metavar="NUMBERS")
    run.option("run.cpu-servers", type=_count, default=0, metavar="NUMBER")
    run.option("run.root", type=_place, action="append", default=[], metavar="FOLDER")
    run.option("run.finish", choices=FINISHES, default=FINISHES[0])
    run.option("run.parts", choices=PARTS, default=PARTS[0])
    run.option("run.cpu-workers", type=_count, default=1, metavar="NUMBER")
    for name in ("ca", "cert", "key"):
        run.option(f"run.tls-{name}", type=Path, metavar="FILE")
    run.option("run.checkpoint", default="svd_xt_1_1.safetensors", metavar="NAME")
    run.option("run.sonic-unet", default="unet.pth", metavar="NAME")


def _add_resume(resume: _Parser) -> None:
    resume.argument("resume.out", type=_place, metavar="FOLDER")
    resume.option("run.journal", default="", metavar="URL")
    resume.option("resume.retry", action="store_true")
    resume.option("json", action="store_true")


def _add_status(status: _Parser) -> None:
    status.argument("resume.out", type=_place, metavar="FOLDER")
    status.option("run.journal", default="", metavar="URL")
    status.option("json", action="store_true")


def _add_out(run: _Parser) -> None:
    run.option("run.out", type=_place, required=True, metavar="FOLDER")
    run.option("run.journal", default="", metavar="URL")
    run.option("json", action="store_true")


PACKS = ("needed", "all")
"""What a ComfyUI that the farm starts loads."""
PARTS = ("auto", "off")
"""Whether a farm may make a long video on several cards."""
FINISHES = ("none", "fast", "hd")
FINISH, ALL_STEPS = "finish", "all"
_STEPS: dict[str, Callable[[_Parser], None]] = {
    ALL_STEPS: _add_all, "lipsync": _add_lipsync, "smooth": _add_smooth, "interpolate": _add_encoding,
    "upscale": _add_upscale,
}  # fmt: skip
_FARM: dict[str, Callable[[_Parser], None]] = {
    "run": _add_run, "resume": _add_resume, "status": _add_status, "cancel": _add_status, "simulate": _add_simulate,
}  # fmt: skip
_COMMANDS = {
    "plan": _add_plan, FINISH: _add_finish, "estimate": _add_estimate, "trace": _add_trace, "measure": _add_measure,
    "history": _add_history, "leases": _add_leases, "farm": _add_farm,
}  # fmt: skip
