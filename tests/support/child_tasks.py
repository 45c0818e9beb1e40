"""What tests have done in a process of its own (see `processes`), where it could hang, or take down its process."""

from pathlib import Path

from sonic_guard.long_video.saved_steps import StepsOnDisk
from tests.support.numbered_runs import made_parts


def print_made_parts(folder: Path) -> None:
    """Run to the end; prints the parts that had to be made."""
    print("made", *made_parts(folder))  # noqa: T201


def print_steps_done(folder: Path, name: str) -> None:
    """Look at the steps in `folder`; prints how many are done."""
    print("done", StepsOnDisk(folder, [name]).done)  # noqa: T201
