"""The command `farm`: many jobs on many cards."""

import argparse
from collections.abc import Callable

from ..errors import SonicGuardError
from ..messages import farm_texts as texts
from ..messages.catalogue import clock, fill
from .output import print_json


def run_farm(arguments: argparse.Namespace) -> bool:
    """Run the command that the options choose. Raises `SonicGuardError` for bad input.

    Returns False where it ran a farm of which videos failed, or fit no card.
    """
    return _COMMANDS[arguments.farm_command](arguments)


def _simulate(arguments: argparse.Namespace) -> bool:
    from ..park.sample_park import CALM, USUAL
    from ..park.simulation import simulate

    report = simulate(arguments.cards, arguments.jobs, arguments.seed, CALM if arguments.calm else USUAL)
    if arguments.json:
        print_json(report.as_dict())
        return True
    from rich.console import Console

    lang = arguments.lang
    console = Console(highlight=False, soft_wrap=True)
    made = clock(report.makespan_s)
    console.print(fill(texts.SIMULATED, lang, jobs=report.jobs, works=report.works, cards=report.cards, makespan=made))
    console.print(fill(texts.BOUND, lang, bound=clock(report.lower_bound_s), ratio=report.ratio))
    console.print(fill(texts.PLACING, lang, us=report.us_per_job))
    console.print(fill(texts.SHARES, lang, idle=report.idle_share, wasted=report.wasted_share))
    console.print(
        fill(
            texts.MISHAPS, lang, out_of_memory=report.out_of_memory, stragglers=report.stragglers,
            lost=report.lost_workers,
        )
    )  # fmt: skip
    if report.refused:
        console.print(fill(texts.REFUSED, lang, refused=report.refused), style="yellow")
    return True


def _with_packages(work: Callable[[argparse.Namespace], bool]) -> Callable[[argparse.Namespace], bool]:
    """`work`, which needs packages that the pack itself does without."""

    def run(arguments: argparse.Namespace) -> bool:
        try:
            import aiohttp  # noqa: F401
            import distributed  # noqa: F401
        except ModuleNotFoundError as error:
            raise SonicGuardError(fill(texts.NO_DASK, arguments.lang, error=error)) from error
        return work(arguments)

    return run


def _run(arguments: argparse.Namespace) -> bool:
    from .farm_commands import run_jobs

    return run_jobs(arguments)


def _resume(arguments: argparse.Namespace) -> bool:
    from .farm_commands import resume

    return resume(arguments)


def _status(arguments: argparse.Namespace) -> bool:
    from .farm_commands import print_status

    print_status(arguments)
    return True


def _cancel(arguments: argparse.Namespace) -> bool:
    from .farm_commands import ask_to_cancel

    ask_to_cancel(arguments)
    return True


_COMMANDS: dict[str, Callable[[argparse.Namespace], bool]] = {
    "simulate": _simulate,
    "run": _with_packages(_run),
    "resume": _with_packages(_resume),
    "status": _status,
    "cancel": _cancel,
}
