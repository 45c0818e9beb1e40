"""A farm from its settings: begun with a job file, resumed, asked how it is, cancelled."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..atomic_files import errors_about
from ..devices.card_catalogue import Card
from ..errors import FarmError
from ..plain_files import printable
from .comfyui_client import check_url
from .comfyui_start import ServerStart, server_start
from .content import work_folder
from .dask_link import DaskLink, Security, check_address, configured_security, without_tracebacks
from .events import Event
from .farm_run import FarmRun
from .files import FileStore, Location
from .job_file import read_job_file
from .jobs import NO_FINISH
from .journal import Journal
from .local_park import LocalPark
from .outputs import Outputs
from .task_content import Models, bring_inputs, new_tasks

JOURNAL = "farm.db"
LOCAL = "local"
"""Folder with the processes of a local farm."""


@dataclass(frozen=True)
class FarmSettings:
    """Where a farm's videos are made. It is kept in the journal, so it holds no secret."""

    servers: tuple[str, ...] = ()
    """Addresses of running ComfyUI servers."""
    comfyui: str = ""
    """Folder of a ComfyUI that is started instead, once for each of `cards`."""
    comfyui_python: str = ""
    comfyui_arguments: tuple[str, ...] = ()
    all_packs: bool = False
    """Whether a ComfyUI that is started loads packs that no video needs."""
    cards: tuple[int | None, ...] = ()
    """CUDA's numbers; None: a server on the CPU."""
    scheduler: str = ""
    """Address of a Dask scheduler with workers that are bound to servers."""
    tls: tuple[str, ...] = ()
    """PEM files: the certificate authority, the certificate, the key."""
    in_parts: bool = True
    """Whether long videos may be made in parts on several cards."""
    cpu_workers: int = 1
    """Of a local farm: workers that join parts and finish videos."""
    checkpoint: str = Models.checkpoint
    sonic_unet: str = Models.sonic_unet

    @property
    def security(self) -> Security | None:
        """For a scheduler beyond the loopback: as given, else as Dask's own configuration has it."""
        if self.tls:
            return Security(*self.tls)
        return configured_security() if self.scheduler.startswith("tls:") else None

    def starts(self) -> list[str | ServerStart]:
        """The servers of a local farm. Raises `FarmError`."""
        if self.servers:
            return [check_url(each) for each in self.servers]
        python = Path(self.comfyui_python) if self.comfyui_python else None
        return [
            server_start(Path(self.comfyui), python, self.comfyui_arguments, card, all_packs=self.all_packs)
            for card in self.cards
        ]


@dataclass(frozen=True)
class Watcher:
    """Who watches a run."""

    tell: Callable[[Event], object]
    refuse: Callable[[int, Card | None], str]
    """Words a refusal by memory: the bytes that are needed, and the smallest common card that has them."""


def journal_of(out: Location, location: str = "", *, create: bool = False) -> Journal:
    """The journal of the farm whose outputs are in `out`: a file there, or at the URL `location`.

    That of a farm in a bucket is a file on this machine. Raises `FarmError` where there is none and `create` is not
    set, and for an `out` that is no place for files; `OutputError` where there cannot be a journal.
    """
    name = out.absolute().name if isinstance(out, Path) else FileStore(out).location
    file = work_folder(out) / JOURNAL
    if location:
        return Journal(location, str(out.absolute()) if isinstance(out, Path) else name)
    if create:
        with errors_about(file):
            file.parent.mkdir(parents=True, exist_ok=True)
    elif not file.is_file():
        raise FarmError(
            f"{printable(name)}: there is no farm in this folder. Begin one with `sonic-guard farm run`.",
            path=file.parent,
        )
    return Journal(file)


@dataclass(frozen=True)
class JobList:
    """Where the jobs of a farm stand."""

    path: Path
    """A CSV or JSON file, or a folder of pairs."""
    roots: Sequence[Location] = ()
    """Further places of files that it may name."""
    finish: str = NO_FINISH
    """What is done to the videos of jobs that do not say."""


def begin(jobs: JobList, out: Location, settings: FarmSettings, journal: Journal, watcher: Watcher) -> None:
    """Add jobs to the farm in `out`, and run it to its end.

    Raises `FarmError` for a job file or an address that cannot be used, before anything starts.
    """
    wanted = read_job_file(jobs.path, jobs.roots, jobs.finish)
    _check(settings)
    journal.begin(_stored(settings))
    try:
        journal.add([task for job in wanted for task in new_tasks(job, out)])
        _go(journal, out, settings, watcher)
    finally:
        journal.end()


def resume(out: Location, journal: Journal, watcher: Watcher, *, retry: bool = False) -> None:
    """Go on with a farm; with `retry` also with what has failed, was refused or cancelled."""
    settings = _settings(journal.begin())
    try:
        if retry:
            journal.retry()
        _go(journal, out, settings, watcher)
    finally:
        journal.end()


def _go(journal: Journal, out: Location, settings: FarmSettings, watcher: Watcher) -> None:
    journal.recover()
    park: AbstractContextManager[LocalPark | None] = nullcontext()
    outputs = Outputs(out, watcher.tell)
    rows = outputs.take_stock(journal)
    for row in rows.values():
        bring_inputs(row, out)  # to plan with them, and this client may be on another machine than the last
    if rows and not settings.scheduler:
        work = work_folder(out)
        park = LocalPark(work / LOCAL, settings.starts(), work / "user", settings.cpu_workers)
    with without_tracebacks(), park as local:
        address = local.scheduler if local else settings.scheduler
        run = FarmRun(
            journal, outputs, Models(settings.checkpoint, settings.sonic_unet),
            lambda on_share: DaskLink(address, settings.security, on_share),
            watcher.refuse, watcher.tell, in_parts=settings.in_parts,
        )  # fmt: skip
        if local:
            run.tend, run.expected, run.fleet.own = local.tend, len(local.servers), local.started
        run.run(rows)


def _check(settings: FarmSettings) -> None:
    if settings.scheduler:
        check_address(settings.scheduler, settings.security)
        if settings.security:
            settings.security.check()
    elif not settings.starts():
        raise FarmError("servers: there is none. Name their addresses, or a ComfyUI to start.")


def _stored(settings: FarmSettings) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}


def _settings(stored: dict[str, Any]) -> FarmSettings:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
    }
    try:
        return FarmSettings(**values)
    except TypeError as error:
        raise FarmError("journal: this farm was begun by another version of this pack.") from error
