"""What a stage's bytes are made of: the three colours of its bar.

weights
    There for one frame or a hundred, and whatever the picture's size: the networks, and what is constant.
clip
    Grows with the length of the clip.
window
    The rest: grows with the picture, and with the frames that go through a network together.

The parts are read from the very row of `constants.json` that decides the stage (see `stage_model`), so their sum is the
stage's size to the byte. An adaptive stage is split at its floor: what it cannot do without.
"""

from typing import NamedTuple

from ..job import Job
from .constants import FEATURES, Constants, constants
from .stage_model import (
    job_features,
    largest_row,
    one_frame_decode,
    prompts_in_host_bytes,
    resident_bytes,
    row_keys,
    score_bytes,
)

_ONE = FEATURES.index("one")
_CLIP = frozenset(FEATURES.index(name) for name in ("frames", "sound_frames", "frames*pixels", "mel_windows"))


class Split(NamedTuple):
    """Bytes of one stage, overhead not included."""

    weights: int
    window: int = 0
    clip: int = 0

    @property
    def total(self) -> int:
        """What the stage cannot do without."""
        return sum(self)


def split_stages(job: Job, *, unet_bytes: int | None = None, device: str = "cuda") -> dict[str, Split]:
    """The parts of every stage of `job`, in the order of a run; of a stage that is left out they are 0.

    Each `total` is the stage's size in ``stage_model.predict`` for the same arguments, decode's its floor.
    """
    table, row, keys = constants(job.relative), job_features(job), row_keys(job)
    unet = resident_bytes(job, unet_bytes)
    rife = Split(table.rife_bytes if job.interpolate else 0)
    scores = Split(0, score_bytes(job, device))
    window = _sum(Split(unet.window), _parts(table, keys.entry, row), _parts(table, keys.window, row), scores)
    prepare = _sum(Split(unet.prepare), _parts(table, keys.prepare, row))
    prompts = Split(0, 0, -prompts_in_host_bytes(job))
    return {
        "load": _sum(Split(unet.predata), rife),  # what it cannot do without stays there for predata
        "predata": _sum(Split(unet.predata), rife, _parts(table, keys.predata, row)),
        "denoise": _sum(rife, max(window, prepare, key=lambda parts: parts.total), prompts),
        "decode": _sum(rife, _parts(table, keys.decode, one_frame_decode(row)), prompts),
        "interpolate": _sum(rife, _parts(table, keys.interpolate, row), prompts) if job.interpolate else Split(0),
    }


def _parts(table: Constants, key: str, row: tuple[int, ...]) -> Split:
    """The parts of the row of `key` that is largest."""
    form = max(table.rows[key], key=lambda form: sum(coefficient * row[index] for index, coefficient in form))
    weights = max(0, int(sum(coefficient for index, coefficient in form if index == _ONE)))
    clip = int(sum(coefficient * row[index] for index, coefficient in form if index in _CLIP))
    window = largest_row(table, key, row) - weights - clip
    # A clip of 2N - 1 frames is a row that takes one frame off again.
    return Split(weights, max(0, window), clip + min(0, window))


def _sum(*parts: Split) -> Split:
    return Split(*map(sum, zip(*parts, strict=True)))
