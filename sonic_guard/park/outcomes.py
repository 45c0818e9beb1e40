"""How an attempt to make a video ends. Plain data between the processes of a farm."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    OUT_OF_MEMORY = "out_of_memory"
    """On to the next optimization, then to a larger card."""
    NO_ROOM = "no_room"
    """Other programs hold the card's memory at the moment: the server's own plan does not begin."""
    SERVER_FAILED = "server_failed"
    """The server could not; another may."""
    JOB_FAILED = "job_failed"
    """The portrait, the voice or the settings: no server could."""
    OUTPUT_FAILED = "output_failed"
    """The video could not be written, or an input not be read: a full disk, a folder without permission."""
    LOST = "lost"
    """Contact with the worker, the scheduler or the server ended. What the server was making may go on."""
    SERVER_DIED = "server_died"
    """The server has ended or begun anew: what it was making is made elsewhere, from its last finished part."""
    SERVER_STUCK = "server_stuck"
    """The server makes no progress and does not stop: it gets no work until it has been restarted."""
    CANCELLED = "cancelled"


GONE = frozenset((Outcome.SERVER_DIED, Outcome.SERVER_STUCK))
"""Ends after which a server has to come anew."""
UNTRIED = GONE | {Outcome.LOST}
"""Ends that say nothing of the job. The next attempt asks for the same work by the same name."""


@dataclass(frozen=True)
class Ended:
    """The end of an attempt."""

    outcome: Outcome
    text: str = ""
    digest: str = ""
    """SHA-256 of the video, which is on disk by that name."""
    size_bytes: int = 0
    used_bytes: int | None = None
    """Measured peak on the card, where the server measures it."""
    failure: tuple[int, int] | None = None
    """Option index and usable bytes, where memory ran out."""
