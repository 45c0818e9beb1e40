"""How long a run takes: in proportion to the network's work, once a run on the card is known."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from ..job import Job


def network_work(job: Job) -> int:
    """Latent pixels the network goes over: steps × windows × frames in a window × H·W / 64.

    Time follows it closely within a resolution; across resolutions spatial attention grows faster.
    """
    size = job.frame_size
    return job.steps * job.windows * job.window * (size.width * size.height // 64)


@dataclass(frozen=True)
class Pace:
    """Seconds a unit of `network_work` takes on one card."""

    seconds_per_work: float
    runs: int
    """How many runs it was computed from."""


def learn_pace(runs: Iterable[tuple[Job, float]]) -> Pace | None:
    """The pace of a card from its finished runs (job, seconds of denoising); None without any."""
    ratios = [seconds / network_work(job) for job, seconds in runs if seconds > 0]
    return Pace(median(ratios), len(ratios)) if ratios else None


def predict_seconds(job: Job, pace: Pace | None) -> float | None:
    """Seconds of denoising, or None while no run on this card is known: then the time is unknown."""
    return None if pace is None else network_work(job) * pace.seconds_per_work
