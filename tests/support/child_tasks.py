"""What tests run in a process of its own (see `processes`), because it could hang or crash."""

import os
import time
from pathlib import Path
from typing import Any

from sonic_guard.errors import OutputError
from sonic_guard.long_video.rendering import run
from sonic_guard.long_video.saved_steps import StepsOnDisk
from sonic_guard.operations.example_files import place_examples
from sonic_guard.resume.exclusive_lock import locked
from tests.support.numbered_frames import make_part, order
from tests.support.numbered_runs import made_parts


def print_made_parts(folder: Path) -> None:
    """Run to the end; prints the parts that had to be made."""
    print("made", *made_parts(folder))  # noqa: T201


def print_steps_done(folder: Path, name: str) -> None:
    """Look at the steps in `folder`; prints how many are done."""
    print("done", StepsOnDisk(folder, name).done)  # noqa: T201


def place_with_little_room(input_folder: Path, noted: Path) -> None:
    """Place the example files where no file can have more than 20,000 bytes."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    place_examples(input_folder, noted)


def hang_in_the_second_part(folder: Path) -> None:
    """Make a video in `folder` as far as its second part, say so with the file ``hangs``, and go no further."""

    def hang(task: Any, emit: Any, tick: Any) -> None:
        if task.part.index:
            (folder / "hangs").touch()
            time.sleep(60)
        make_part(task, emit, tick)

    run(order(200), hang, folder / "one.mkv", folder / "work")


def take_a_lock(folder: Path, seconds: float) -> None:
    """Take one lock in `folder` as often as possible; fails where another process holds it at the same time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with locked(folder / "work" / "it", "another run"), (folder / "had").open("a") as had:
                os.close(os.open(folder / "mine", os.O_CREAT | os.O_EXCL))  # fails where another is in here
                had.write(".")
                (folder / "mine").unlink()
        except OutputError as error:
            assert str(error) == "another run"
