"""Two processes make one video at a time.

``python -m tests.support.two_at_once FOLDER TRIALS SEED``
"""

import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pydub.silence  # noqa: F401 - once, and not in every child

from sonic_guard.errors import OutputError
from sonic_guard.long_video.rendering import run
from tests.support.numbered_frames import digest, make_part, order

DONE, REFUSED, FAILED = 0, 3, 1
"""How a child ends: with a video, with the message that another run is making it, or in any other way."""
LATENT_FRAMES = 200
WAIT_S = 60
"""A run that takes longer hangs."""


def make_twice(folder: Path, trials: int, seed: int) -> None:
    """Start two runs of one order, `trials` times, the second at a random moment of the first.

    Ends with a message and status 1 unless at least one has the video, every video is the undisturbed one, and a run
    without one has reported that another is making it.
    """
    asked = order(LATENT_FRAMES)

    def film(folder: Path, name: str) -> None:
        run(asked, make_part, folder / name, folder / "work")

    calm = folder / "calm"
    calm.mkdir()
    begun = time.monotonic()
    if ended(started(lambda: film(calm, "one.mkv"))) != DONE:
        sys.exit("the undisturbed run failed")
    took_s = time.monotonic() - begun
    wanted = digest(calm / "one.mkv")
    numbers = random.Random(seed)  # noqa: S311
    both = refused = 0
    wrong = []
    for trial in range(trials):
        both_in = folder / f"trial {trial}"
        both_in.mkdir()
        children = {}
        for name in ("one.mkv", "two.mkv"):
            children[name] = started(partial(film, both_in, name))
            if name == "one.mkv":
                time.sleep(numbers.uniform(0, took_s) * numbers.choice((0, 1)))
        ends = {name: ended(child) for name, child in children.items()}
        both += list(ends.values()) == [DONE, DONE]
        refused += REFUSED in ends.values()
        for name, end in ends.items():
            if end == DONE and digest(both_in / name) != wanted:
                wrong.append(f"trial {trial}: success was reported for a wrong video")
        if DONE not in ends.values() or not {*ends.values()} <= {DONE, REFUSED}:
            wrong.append(f"trial {trial}: {ends}")
        shutil.rmtree(both_in)
    sys.stdout.write(f"{trials} trials, {refused} refused the second, {both} made both\n")
    if wrong:
        sys.exit("\n".join(wrong))


def started(work: Callable[[], object]) -> int:
    """The id of a process of its own that does `work`."""
    child = os.fork()
    if child:
        return child
    signal.alarm(WAIT_S)
    try:
        work()
    except OutputError as error:
        if "another run" in str(error):
            os._exit(REFUSED)
        traceback.print_exc()
        os._exit(FAILED)
    except BaseException:
        traceback.print_exc()
        os._exit(FAILED)
    os._exit(DONE)


def ended(child: int) -> int:
    """How a process ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    make_twice(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
