"""The commands `farm run`, `resume`, `status` and `cancel`."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import takewhile
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from ..devices.nvml import read_card
from ..errors import SonicGuardError
from ..messages import farm_run_texts as texts
from ..messages.catalogue import clock, fill
from ..messages.error_messages import error_text
from ..messages.farm_messages import refusal_by_memory, told_text
from ..park.events import Began, Event, Over, Remaining, Share, Told
from ..park.farm import FarmSettings, JobList, Watcher, begin, journal_of
from ..park.farm import resume as resume_farm
from ..park.journal import Journal
from ..park.local_comfyui import PORTS, comfyui_folder, running_servers
from ..park.report import FarmReport, farm_report
from ..plain_files import printable
from .arguments import PACKS, PARTS
from .farm_report import write_report
from .output import print_json, progress, stoppable

MAX_SERVERS = 64
"""On one machine."""


def run_jobs(arguments: argparse.Namespace) -> bool:
    """Begin a farm with a job file, or add its jobs to the one in the folder of outputs.

    Returns whether every video of the folder was made that was not cancelled.
    """
    settings, out = _settings(arguments), arguments.out
    journal = journal_of(out, arguments.journal, create=True)
    with _stoppable(arguments), _Shown(arguments.lang) as shown:
        jobs = JobList(arguments.jobs, arguments.root, arguments.finish)
        begin(jobs, out, settings, journal, shown.watcher)
    return _print_end(arguments, journal)


def resume(arguments: argparse.Namespace) -> bool:
    """Go on with the farm in a folder. Returns the same as `run_jobs`."""
    journal = journal_of(arguments.out, arguments.journal)
    with _stoppable(arguments), _Shown(arguments.lang) as shown:
        resume_farm(arguments.out, journal, shown.watcher, retry=arguments.retry)
    return _print_end(arguments, journal)


def print_status(arguments: argparse.Namespace) -> None:
    """How far the farm in a folder is. Changes nothing."""
    _print_report(arguments, farm_report(journal_of(arguments.out, arguments.journal)))


def ask_to_cancel(arguments: argparse.Namespace) -> None:
    """Have the client that drives the farm end it."""
    journal_of(arguments.out, arguments.journal).ask_to_cancel()
    progress(fill(texts.ASKED, arguments.lang))


def _stoppable(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """Ctrl+C inside of it ends the client with a line that says how to go on."""
    return stoppable(fill(texts.STOPPED, arguments.lang, out=arguments.out))


class _Shown:
    """A context in which what happens is shown on the error stream."""

    def __init__(self, lang: str) -> None:
        self._lang = lang
        columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[left]}")
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(*columns, console=self._console, disable=not sys.stderr.isatty())
        self._all: TaskID | None = None
        self._bars: dict[str, TaskID] = {}
        self.watcher = Watcher(self._tell, lambda needed, card: refusal_by_memory(needed, card, lang))

    def __enter__(self) -> "_Shown":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _tell(self, event: Event) -> None:
        match event:
            case Told():
                self._console.print(told_text(event, self._lang), markup=False)
            case Began(task, name, worker, _):
                self._bars[task] = self._progress.add_task(f"{name} · {worker}", total=1.0, left="")
            case Share(task, share) if task in self._bars:
                self._progress.update(self._bars[task], completed=share)
            case Over(task):
                if bar := self._bars.pop(task, None):
                    self._progress.remove_task(bar)
            case Remaining(over, total, left_s):
                if self._all is None:
                    self._all = self._progress.add_task(fill(texts.ALL_JOBS, self._lang), left="")
                left = "" if left_s is None else fill(texts.LEFT, self._lang, left=clock(left_s))
                self._progress.update(self._all, completed=over, total=total, left=left)


def _settings(arguments: argparse.Namespace) -> FarmSettings:
    tls = [arguments.tls_ca, arguments.tls_cert, arguments.tls_key]
    servers, comfyui = tuple(arguments.servers), arguments.comfyui
    to_start = arguments.cards or arguments.cpu_servers or arguments.comfyui_python or arguments.comfyui_args
    if not servers and comfyui is None and not arguments.scheduler:
        servers, comfyui = _found(arguments.lang, ports=() if to_start else PORTS)
    if to_start and comfyui is None:
        raise SonicGuardError(fill(texts.ONLY_STARTED, arguments.lang))
    return FarmSettings(
        servers=servers,
        comfyui=str(comfyui.absolute()) if comfyui else "",
        comfyui_python=str(arguments.comfyui_python.absolute()) if arguments.comfyui_python else "",
        comfyui_arguments=_words(arguments),
        all_packs=arguments.packs == PACKS[1],
        cards=_cards(arguments) if comfyui else (),
        scheduler=arguments.scheduler,
        tls=tuple(str(each.absolute()) for each in tls) if all(tls) else (),
        in_parts=arguments.parts == PARTS[0],
        cpu_workers=min(arguments.cpu_workers, MAX_SERVERS),
        checkpoint=arguments.checkpoint,
        sonic_unet=arguments.sonic_unet,
    )


def _words(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The options for the ComfyUIs that are started. Raises `SonicGuardError` where a quotation does not end."""
    try:
        return tuple(shlex.split(arguments.comfyui_args))
    except ValueError as error:
        raise SonicGuardError(fill(texts.NO_WORDS, arguments.lang)) from error


def _found(lang: str, ports: Sequence[int]) -> tuple[tuple[str, ...], Path | None]:
    """The servers that run at these ports of this machine, else the folder of a ComfyUI.

    Raises `SonicGuardError` without either.
    """
    if servers := running_servers(ports):
        progress(fill(texts.FOUND, lang, place=", ".join(servers)))
        return servers, None
    comfyui = comfyui_folder()
    if comfyui is None:
        raise SonicGuardError(fill(texts.NONE_FOUND, lang, first=PORTS[0]))
    progress(fill(texts.FOUND, lang, place=printable(str(comfyui))))
    return (), comfyui


def _cards(arguments: argparse.Namespace) -> tuple[int | None, ...]:
    """The cards for which a ComfyUI is started. Raises `SonicGuardError` for what is no list of numbers."""
    if arguments.cpu_servers:
        return (None,) * min(arguments.cpu_servers, MAX_SERVERS)
    if arguments.cards:
        numbers = [each.strip() for each in arguments.cards.split(",")]
        if not all(each.isdecimal() and len(each) < 4 for each in numbers):  # noqa: PLR2004
            raise SonicGuardError(fill(texts.NO_CARDS, arguments.lang, cards=printable(arguments.cards)[:100]))
        return tuple(map(int, numbers))
    found = tuple(takewhile(read_card, range(MAX_SERVERS)))
    return found or (None,)


def _print_end(arguments: argparse.Namespace, journal: Journal) -> bool:
    report = farm_report(journal)
    page = write_report(report, arguments.out, arguments.lang)
    if not arguments.json:
        progress(fill(texts.WRITTEN, arguments.lang, path=page))
    _print_report(arguments, report)
    return not report.unmade


def _print_report(arguments: argparse.Namespace, report: FarmReport) -> None:
    if arguments.json:
        print_json(report.as_dict())
        return
    lang = arguments.lang
    counts = ", ".join(f"{count} {fill(texts.STATES[state], lang)}" for state, count in report.counts.items() if count)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{fill(texts.COUNTS, lang)}: {counts}", markup=False)
    console.print(f"{fill(texts.ELAPSED, lang)}: {clock(report.elapsed_s)}", markup=False)
    if len(report.kinds) > 1:
        steps = [f"{fill(texts.KINDS[kind], lang)} {done}/{every}" for kind, (done, every) in report.kinds.items()]
        console.print(f"{fill(texts.STEPS, lang)}: {', '.join(steps)}", markup=False)
    for task in report.unmade:
        state, reason = fill(texts.STATES[task.state], lang), error_text(task.reason, lang)
        console.print(f"{', '.join(task.names)}: {state}: {reason}", markup=False)
