"""The result of the command `plan`."""

from collections.abc import Collection
from typing import NamedTuple

from ..operations.preflight import Preflight
from ..operations.stock_plan import StockPlan
from ..optimizations import Optimization


class Planned(NamedTuple):
    """What the tables, the chart and the JSON show."""

    result: Preflight
    available: Collection[Optimization]
    """The optimizations that could be enabled."""
    stock: StockPlan | None
    """The same with Sonic's own nodes alone; None where these are planned for."""
    warnings: tuple[str, ...] = ()
    """What may spoil a run that fits."""
