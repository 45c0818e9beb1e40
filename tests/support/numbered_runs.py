"""Runs of the loop over parts with the frames of `numbered_frames`: interrupted, resumed, aged."""

import os
import shutil
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sonic_guard.long_video.rendering import run
from sonic_guard.media.audio import Sound
from sonic_guard.media.video_writer import Encoding, VideoWriter
from tests.support.numbered_frames import draw, make_part, order


class CancelError(Exception):
    """What a host raises where the user has cancelled."""


KEPT_IN: list[Path] = []
"""The folder, if any, in which what an interrupted run leaves is kept, to be copied by the next test that wants it."""


def interrupt_in_part(index: int, folder: Path, **more: Any) -> None:
    """Run until the middle of part `index`, where the user cancels.

    What such a run leaves in an empty folder is always the same, so it is made once.
    """
    if not KEPT_IN or (folder / "work").exists():
        _interrupt(index, folder, **more)
        return
    kept = KEPT_IN[0] / f"{index} {sorted(more.items())}"
    if not kept.exists():
        kept.mkdir()
        _interrupt(index, kept, **more)
    shutil.copytree(kept, folder, dirs_exist_ok=True)


def _interrupt(index: int, folder: Path, **more: Any) -> None:
    begun = []

    def make(task, emit, tick):
        begun.append(task.part.index)
        make_part(task, emit, tick)

    def check():
        if begun and begun[-1] == index:
            raise CancelError

    with pytest.raises(CancelError):
        run(order(300, **more), make, folder / "video.mkv", folder / "work", check=check)


def made_parts(folder: Path, **more: Any) -> list[int]:
    """Run to the end; the parts that had to be made."""
    made = []

    def make(task, emit, tick):
        made.append(task.part.index)
        make_part(task, emit, tick)

    run(order(300, **more), make, folder / "video.mkv", folder / "work")
    return made


def age(folder):
    """Have all that is in `folder` lie there for a while."""
    long_ago = time.time() - 15 * 86_400
    for path in folder.rglob("*"):
        os.utime(path, (long_ago, long_ago), follow_symlinks=os.utime not in os.supports_follow_symlinks)


def video_of(path: Path, encoding: Encoding, count: int, rate: int | None) -> Path:
    """A video of `count` frames, with noise of `rate` Hz if that is given."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, count * (rate or 0) // 25)).astype(np.float32)
    sound = Sound(noise, rate) if rate else None
    with VideoWriter(path, Fraction(25), encoding, sound, overwrite=True) as video:
        video.write(np.stack([draw(moment) for moment in range(count)]))
    return path
