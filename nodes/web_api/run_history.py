"""The history of runs on this machine, for the nodes and for the pages."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...sonic_guard.devices.budget import Budget
from ...sonic_guard.devices.environment import pack_version
from ...sonic_guard.errors import HistoryError
from ...sonic_guard.history.history_cache import WAIT_S, HistoryCache
from ...sonic_guard.memory.stage_model import Estimate
from ...sonic_guard.messages.plan_messages import risk_line
from ...sonic_guard.relatives import ADAPTERS, Relative
from ..comfyui import host

if TYPE_CHECKING:
    from ...sonic_guard.history.history_store import History


@cache
def history() -> History:
    """The runs of this machine: in ComfyUI's user folder, or where SONIC_GUARD_DB says. Raises `HistoryError`."""
    try:
        from ...sonic_guard.history.history_store import History, history_location
    except ImportError as error:
        raise HistoryError(f"history: needs SQLAlchemy and alembic, which come with ComfyUI: {error}.") from error
    runs = History(history_location(host.user_folder() / "history.db"))
    runs.sweep()
    return runs


def wrapper_version(relative: Relative) -> str | None:
    """Version of the pack of `relative` that is installed; None without one."""
    sampler = host.node_classes().get(ADAPTERS[relative].sampler)
    file = getattr(sys.modules.get(sampler.__module__), "__file__", None) if sampler else None
    return pack_version(Path(file).parent) if file else None


history_cache = HistoryCache(history, wrapper_version)
"""What is learnt from the history, by card."""


def risk_text(estimate: Estimate, budget: Budget, language: str) -> str:
    """How likely a run is to run out of memory, or that the prediction comes from the model alone."""
    known = history_cache.of(budget.card, WAIT_S, budget.total_bytes, estimate.job.relative).calibration
    return risk_line(known.probability(estimate, budget.available_bytes), known.runs, language)
