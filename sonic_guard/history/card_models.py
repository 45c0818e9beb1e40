"""One calibration for each card model, from the runs of every worker that writes to the same history.

Runs are recorded with the name that the card's driver gives. That is the same for cards of one model with different
memory ("NVIDIA GeForce RTX 3060" has 8 or 12 GB), and not the same in every system, so the catalogue decides.
"""

from collections.abc import Iterable, Iterator

from ..devices.card_catalogue import card_of_device
from ..devices.environment import RunEnvironment
from ..relatives import Relative
from .calibration import MAX_RUNS
from .history_cache import CardHistory, card_history
from .history_store import History
from .run_record import Run

MAX_NAMES = 256
"""Most names of cards that are read, the most recently used first."""


def model_of(environment: RunEnvironment) -> str:
    """The catalogue's title of the card of a run; the driver's name where the catalogue does not have it."""
    card = card_of_device(environment.card, environment.total_bytes)
    return card.title if card else environment.card


def model_histories(history: History, wrapper: str | None = None) -> dict[str, CardHistory]:
    """What the runs of all workers tell of each card model, by its title.

    Only Sonic's runs with the given version of the wrapper count; by default, for each model the version that ran last.
    Raises `HistoryError` where the history cannot be read.
    """
    by_model: dict[str, list[Run]] = {}
    for run in _newest(history, history.cards(MAX_NAMES)):
        by_model.setdefault(model_of(run.environment), []).append(run)
    return {model: card_history(_of_one_wrapper(runs, wrapper)) for model, runs in by_model.items()}


def _newest(history: History, names: Iterable[str]) -> Iterator[Run]:
    for name in names:
        # Twice: a repeated job counts once.
        yield from history.runs(card=name, limit=2 * MAX_RUNS, relative=Relative.SONIC)


def _of_one_wrapper(runs: list[Run], wrapper: str | None) -> list[Run]:
    """Of `runs`, which come by name, those with one version of the wrapper, newest first."""
    runs.sort(key=lambda run: run.id, reverse=True)
    wanted = runs[0].environment.wrapper if wrapper is None else wrapper
    return [run for run in runs if run.environment.wrapper == wanted]
