"""Steps on disk that were changed by hand count as none, or hold what was put into them; nothing hangs."""

import hashlib
import json
import logging
import os
import shutil
import tracemalloc

import pytest

torch = pytest.importorskip("torch")

from sonic_guard.errors import OutputError  # noqa: E402
from sonic_guard.long_video.saved_steps import StepsOnDisk  # noqa: E402
from tests.support.child_tasks import print_steps_done  # noqa: E402
from tests.support.processes import ended  # noqa: E402

NAME = "0123456789abcdef"
WINDOWS = 3
LATENTS = [torch.arange(40, dtype=torch.float32).view(1, 2, 4, 5, 1) + window for window in range(WINDOWS)]


@pytest.fixture
def step(tmp_path):
    """The file of step 7 of 9."""
    with StepsOnDisk(tmp_path, NAME) as steps:
        steps.begin(7, WINDOWS)
        for latents in LATENTS:
            steps.put(latents)
        steps.end()
    return tmp_path / f"{NAME}-7.latents"


def is_whole(steps):
    return all(torch.equal(steps.get(window, LATENTS[0]), latents) for window, latents in enumerate(LATENTS))


def edited_header(change):
    """An edit of the line of JSON at the beginning, with a digest that is right again."""

    def edit(data):
        head, _, numbers = data[: -hashlib.sha256().digest_size].partition(b"\n")
        text = json.loads(head)
        change(text)
        data = json.dumps(text).encode() + b"\n" + numbers
        return data + hashlib.sha256(data).digest()

    return edit


EDITS = {
    "deep": lambda data: b"[" * 200_000 + data,
    "a head that does not end": lambda data: b" " * (1 << 20) + data,
    "another step's": edited_header(lambda head: head.update(file=f"{NAME}-8.latents")),
    "another part's": edited_header(lambda head: head.update(file=f"{NAME[::-1]}-7.latents")),
    "no name": edited_header(lambda head: head.pop("file")),
    "windows: 10^18": edited_header(lambda head: head.update(windows=10**18)),
    "windows of 4,000 digits": edited_header(lambda head: head.update(windows=10**3999)),
    "no windows": edited_header(lambda head: head.update(windows=0)),
    "windows below 0": edited_header(lambda head: head.update(windows=-3)),
    "windows: true": edited_header(lambda head: head.update(windows=True)),
    "windows: 3.0": edited_header(lambda head: head.update(windows=3.0)),
    "windows: NaN": edited_header(lambda head: head.update(windows=float("nan"))),
    "more windows": edited_header(lambda head: head.update(windows=4)),
    "a huge shape": edited_header(lambda head: head.update(shape=[10**9] * 5)),
    "a shape of 0": edited_header(lambda head: head.update(shape=[0, 2, 4, 5, 1])),
    "a shape below 0": edited_header(lambda head: head.update(shape=[-1, 2, 4, -5, 1])),
    "a shape of 100 sides": edited_header(lambda head: head.update(shape=[1] * 100)),
    "no shape": edited_header(lambda head: head.update(shape=None)),
    "another format": edited_header(lambda head: head.update(dtype="float16")),
    "no format": edited_header(lambda head: head.update(dtype="Tensor")),
    "integers": edited_header(lambda head: head.update(dtype="int32")),
    "no object": lambda data: b"[]\n" + data,
    "twice": lambda data: data + data,
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_changed_step_counts_as_none(step, edit, caplog):
    assert is_whole(StepsOnDisk(step.parent, NAME)), "it was right before"
    step.write_bytes(edit(step.read_bytes()))
    with caplog.at_level(logging.WARNING):
        steps = StepsOnDisk(step.parent, NAME)
    assert (steps.done, steps.windows) == (0, 0)
    assert "its steps are made again" in caplog.text
    assert max(len(record.getMessage()) for record in caplog.records) < 1000


@pytest.mark.parametrize(
    "name", [f"{NAME}-8", f"{NAME}-70", f"{NAME}-{'9' * 100}", f"{NAME}-²", f"{NAME}-x", f"{NAME}--7"]
)
def test_a_step_under_another_name_counts_as_none(step, name):
    step.rename(step.with_name(f"{name}.latents"))
    assert StepsOnDisk(step.parent, NAME).done == 0


def test_a_step_under_another_part_s_name_counts_as_none(step):
    shutil.copy(step, step.with_name(f"{NAME[::-1]}-7.latents"))
    assert StepsOnDisk(step.parent, NAME[::-1]).done == 0


def test_a_step_as_large_as_the_disk_is_not_read(step):
    with step.open("r+b") as file:
        file.truncate(10 << 40)
    tracemalloc.start()
    try:
        assert StepsOnDisk(step.parent, NAME).done == 0
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_a_large_step_is_read_by_the_block(tmp_path):
    with StepsOnDisk(tmp_path, NAME) as steps:
        steps.begin(7, 1)
        steps.put(torch.zeros(1 << 24))  # 64 MiB
        steps.end()
    tracemalloc.start()
    try:
        assert StepsOnDisk(tmp_path, NAME).done == 7
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "change",
    [
        lambda step: os.truncate(step, 200),
        lambda step: step.write_bytes(edited_header(lambda head: head.update(shape=[1, 2, 20]))(step.read_bytes())),
    ],
    ids=["cut meanwhile", "a shape that is not the clip's"],
)
def test_a_step_that_turns_out_wrong_is_reported_and_removed(step, change):
    """The second would need a digest that was made for it."""
    steps = StepsOnDisk(step.parent, NAME)
    change(step)
    if step.stat().st_size > 200:
        steps = StepsOnDisk(step.parent, NAME)
    with pytest.raises(OutputError, match=r"has changed since it was written, and is removed\. Run again\."):
        is_whole(steps)
    assert not step.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="on Windows links need rights, and there are no such FIFOs")
@pytest.mark.parametrize("thing", ["a FIFO", "a link", "a folder", "a device"])
def test_what_is_no_file_is_neither_followed_nor_opened(step, thing):
    moved = step.rename(step.with_name("moved"))
    {
        "a FIFO": lambda: os.mkfifo(step),
        "a link": lambda: step.symlink_to(moved),
        "a folder": step.mkdir,
        "a device": lambda: step.symlink_to("/dev/zero"),
    }[thing]()
    result = ended(print_steps_done, step.parent, NAME, limit_s=120)  # where it hangs
    assert result.code == 0, result.err
    assert result.out.split() == [b"done", b"0"]
