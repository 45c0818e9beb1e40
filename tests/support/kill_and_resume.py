"""Kill the making of a long video at random moments, and resume.

``python -m tests.support.kill_and_resume FOLDER KILLS SEED``
"""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2  # noqa: F401 - once, and not in every child
import pydub.silence  # noqa: F401
import torch

from sonic_guard.errors import OutputError
from sonic_guard.optimizations import EVERY
from tests.support.numbered_frames import digest
from tests.support.quick_sonic import TWO_PARTS, make, order, quick


def kill_and_resume(folder: Path, kills: int, seed: int) -> None:
    """Kill runs at random moments, `kills` times in all, resuming each time: every video has to be the undisturbed one.

    Ends with a message and status 1 where one is not, or where anything but the video and the work folder is left.
    """
    torch.set_num_threads(1)  # threads do not survive a fork
    sonic, vae = quick()
    asked = order(TWO_PARTS, kind="h264", steps=3)

    def film(folder: Path) -> None:
        make(sonic, vae, asked, folder / "video.mp4", folder / "work", EVERY)

    calm, stormy = folder / "calm", folder / "stormy"
    calm.mkdir()
    begun = time.monotonic()
    os.waitpid(_in_a_child(lambda: film(calm)), 0)
    took_s = time.monotonic() - begun
    wanted = digest(calm / "video.mp4")
    numbers = random.Random(seed)  # noqa: S311
    killed = finished = kept = steps = 0
    while killed < kills or stormy.exists():
        stormy.mkdir(exist_ok=True)
        child = _in_a_child(lambda: film(stormy))
        if killed < kills:
            time.sleep(numbers.uniform(0, took_s))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        kept += os.WIFSIGNALED(status) and any(stormy.glob("work/*/*-body.mp4"))
        steps += os.WIFSIGNALED(status) and any(stormy.glob("work/*/*.latents"))
        video = stormy / "video.mp4"
        if os.WIFEXITED(status) and status:
            sys.exit(f"a resumed run failed after {killed} kills")
        if not video.exists():
            continue
        try:
            same = digest(video) == wanted
        except OutputError as error:
            sys.exit(f"a file that is no whole video has the video's name: {error}")
        if not same:
            sys.exit(f"the video is another after {killed} kills")
        left = sorted(file.name for file in stormy.iterdir() if file.name not in ("video.mp4", "work"))
        if left or (os.WIFEXITED(status) and [*(stormy / "work").iterdir()] != [stormy / "work/.lock"]):
            sys.exit(f"not removed: {left}")
        finished += 1
        shutil.rmtree(stormy)
    sys.stdout.write(
        f"{killed} kills, {kept} of them with finished parts, {steps} with steps of one, {finished} videos, "
        f"undisturbed run {took_s:.2f} s\n"
    )


def _in_a_child(work: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    work()
    os._exit(0)


if __name__ == "__main__":
    kill_and_resume(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
