"""What happens in a farm, as it is told to whoever watches it."""

from dataclasses import dataclass
from enum import StrEnum

from .outcomes import Outcome


class Happening(StrEnum):
    """What a person is told in a line."""

    DIED = "died"
    """A process of the local farm has died, and is started again."""
    LINK_LOST = "link_lost"
    LINKED = "linked"
    JOINED = "joined"
    LEFT = "left"
    UNUSABLE = "unusable"
    LOADING = "loading"
    """A server that the farm has started does not listen yet."""
    LACKING = "lacking"
    """A server lacks nodes that a video needs."""
    BENCHED = "benched"
    """A server fails everything, and gets no more work for a while."""
    PAUSED = "paused"
    """Outputs cannot be written."""
    REFUSED = "refused"
    FAILED = "failed"
    AGAIN = "again"
    """A task begins anew or elsewhere."""


@dataclass(frozen=True)
class Told:
    """A line for a person."""

    what: Happening
    subject: str = ""
    """A worker, a server or a video."""
    text: str = ""


@dataclass(frozen=True)
class Began:
    """A video is being made."""

    task: str
    name: str
    worker: str
    predicted_s: float


@dataclass(frozen=True)
class Share:
    """How much of it is done, 0 … 1."""

    task: str
    share: float


@dataclass(frozen=True)
class Over:
    """An attempt has ended."""

    task: str
    name: str
    outcome: Outcome
    is_last: bool
    """Whether the task is over with it."""
    predicted_s: float


@dataclass(frozen=True)
class Remaining:
    """How far the farm is."""

    over: int
    """Videos that are made, or will not be."""
    total: int
    left_s: float | None
    """Estimated from the predictions and the pace of this run; None before its first video."""


Event = Told | Began | Share | Over | Remaining
